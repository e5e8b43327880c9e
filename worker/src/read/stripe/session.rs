//! Reads `checkout.session.*`.

use super::json::JsonObject;
use crate::{
    domain::{
        fact::{Grant, SessionFact, SessionStep},
        ids::SubscriptionId,
    },
    failure::{Permanent, Refusal},
};
use shared::catalog::Catalog;

pub(super) fn read(step: SessionStep, object: JsonObject<'_>, catalog: &Catalog) -> Result<SessionFact, Refusal> {
    let mode = object.required_text("mode")?.to_owned();
    let payment_status = object.text("payment_status")?.unwrap_or_default().to_owned();
    Ok(SessionFact {
        session: object.own_id()?.to_owned(),
        step,
        grants: if sells(step, &mode, &payment_status) {
            grant(object, catalog)?.into_iter().collect()
        } else {
            Vec::new()
        },
        mode,
        payment_status,
        subscription: object.id("subscription")?.map(SubscriptionId::new),
        user: object.metadata_user()?,
        reference: object.user("client_reference_id")?,
        payment_intent: object.id("payment_intent")?.map(str::to_owned),
        amount_total: object.number("amount_total")?,
        currency: object.text("currency")?.map(str::to_owned),
        invoice: object.id("invoice")?.map(str::to_owned),
    })
}

/// Whether a session sold credits: it is a paid one-time payment.
pub(super) fn sells(step: SessionStep, mode: &str, payment_status: &str) -> bool {
    let paid = match step {
        SessionStep::Completed => matches!(payment_status, "paid" | "no_payment_required"),
        SessionStep::PaymentSucceeded => true,
        SessionStep::PaymentFailed | SessionStep::Expired => false,
    };
    paid && mode == "payment"
}

/// The credits of a paid session: the pack `metadata.pack`, times `metadata.quantity`. `None`
/// if it names no pack.
fn grant(object: JsonObject<'_>, catalog: &Catalog) -> Result<Option<Grant>, Refusal> {
    let metadata = object.object("metadata", "data.object.metadata")?;
    let text = |key| metadata.map_or(Ok(None), |m| m.text(key));
    let Some(name) = text("pack")?.filter(|name| !name.is_empty()) else {
        return Ok(None);
    };
    let pack = catalog.pack(name).ok_or_else(|| {
        let detail = format!(
            "the catalog has no pack '{name}'; set metadata.pack of the session to a pack of CATALOG_FILE (or add the pack there and restart the workers), then replay"
        );
        Refusal::new(Permanent::UnknownPack, detail)
    })?;
    let quantity = text("quantity")?
        .map_or(Ok(1), str::parse::<i64>)
        .ok()
        .filter(|q| *q >= 1);
    let credits = quantity
        .and_then(|q| pack.credits.checked_mul(q))
        .ok_or_else(|| Refusal::malformed("data.object.metadata.quantity is not a whole number of packs, 1 or more"))?;
    Ok(Some(Grant {
        pack: pack.name.clone(),
        meter: pack.meter.clone(),
        credits,
    }))
}
