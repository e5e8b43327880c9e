//! Builders of facts about packs, refunds and disputes.

use crate::domain::{
    fact::{ChargeRefundedFact, DisputeFact, FactBody, Grant, RefundFailedFact, SessionFact, SessionStep},
    ids::UserId,
};

/// A paid session of `u1` for 10.00 that grants credits. Its payment intent is `pi_`
/// and the session's id.
pub(in crate::domain) fn pack(session: &str, meter: &str, credits: i64) -> SessionFact {
    SessionFact {
        session: session.to_owned(),
        step: SessionStep::Completed,
        mode: "payment".to_owned(),
        payment_status: "paid".to_owned(),
        subscription: None,
        user: Some(UserId::new("u1")),
        reference: None,
        payment_intent: Some(format!("pi_{session}")),
        amount_total: Some(1_000),
        currency: None,
        invoice: None,
        grants: vec![Grant {
            pack: "a_pack".to_owned(),
            meter: meter.to_owned(),
            credits,
        }],
    }
}

/// The refunds of a session's 10.00 sum up to this amount.
pub(in crate::domain) fn refunded(session: &str, amount_refunded: i64) -> FactBody {
    FactBody::ChargeRefunded(ChargeRefundedFact {
        charge: format!("ch_{session}"),
        payment_intent: Some(format!("pi_{session}")),
        amount: 1_000,
        amount_refunded,
        currency: None,
        invoice: None,
    })
}

pub(in crate::domain) fn refund_failed(session: &str, refund: &str, amount: i64) -> FactBody {
    FactBody::RefundFailed(RefundFailedFact {
        refund: refund.to_owned(),
        charge: None,
        payment_intent: Some(format!("pi_{session}")),
        amount,
    })
}

/// The money of a dispute was withdrawn (`true`), or came back.
pub(in crate::domain) fn disputed(session: &str, dispute: &str, amount: i64, withdrawn: bool) -> FactBody {
    FactBody::Dispute(DisputeFact {
        dispute: dispute.to_owned(),
        charge: None,
        payment_intent: Some(format!("pi_{session}")),
        amount,
        currency: None,
        withdrawn,
    })
}
