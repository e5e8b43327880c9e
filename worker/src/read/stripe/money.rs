//! Reads `charge.refunded`, `refund.failed` and its equals, and `charge.dispute.funds_*`.

use super::json::JsonObject;
use crate::{
    domain::fact::{ChargeRefundedFact, DisputeFact, RefundFailedFact},
    failure::Refusal,
};

fn payment_intent(object: JsonObject<'_>) -> Result<Option<String>, Refusal> {
    Ok(object.id("payment_intent")?.map(str::to_owned))
}

fn charge(object: JsonObject<'_>) -> Result<Option<String>, Refusal> {
    Ok(object.id("charge")?.map(str::to_owned))
}

pub(super) fn charge_refunded(object: JsonObject<'_>) -> Result<ChargeRefundedFact, Refusal> {
    Ok(ChargeRefundedFact {
        charge: object.own_id()?.to_owned(),
        payment_intent: payment_intent(object)?,
        amount: object.required_number("amount")?,
        amount_refunded: object.required_number("amount_refunded")?,
        currency: object.text("currency")?.map(str::to_owned),
        invoice: object.id("invoice")?.map(str::to_owned),
    })
}

pub(super) fn refund_failed(object: JsonObject<'_>) -> Result<RefundFailedFact, Refusal> {
    Ok(RefundFailedFact {
        refund: object.own_id()?.to_owned(),
        charge: charge(object)?,
        payment_intent: payment_intent(object)?,
        amount: object.required_number("amount")?,
    })
}

/// Whether a refund gives no money back any more.
pub(super) fn refund_ended(object: JsonObject<'_>) -> Result<bool, Refusal> {
    Ok(matches!(object.text("status")?, Some("failed" | "canceled")))
}

pub(super) fn dispute(object: JsonObject<'_>, withdrawn: bool) -> Result<DisputeFact, Refusal> {
    Ok(DisputeFact {
        dispute: object.own_id()?.to_owned(),
        charge: charge(object)?,
        payment_intent: payment_intent(object)?,
        amount: object.required_number("amount")?,
        currency: object.text("currency")?.map(str::to_owned),
        withdrawn,
    })
}
