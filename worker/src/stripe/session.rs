//! `checkout.session.*`

use super::json::Object;
use crate::{
    domain::{
        fact::{Grant, SessionFact, SessionStep},
        ids::SubscriptionId,
    },
    failure::{Permanent, Refusal},
};
use shared::catalog::Catalog;

pub(super) fn read(step: SessionStep, object: Object<'_>, catalog: &Catalog) -> Result<SessionFact, Refusal> {
    let mode = object.required_text("mode")?.to_owned();
    let payment_status = object.text("payment_status")?.unwrap_or_default().to_owned();
    let paid = match step {
        SessionStep::Completed => matches!(payment_status.as_str(), "paid" | "no_payment_required"),
        SessionStep::PaymentSucceeded => true,
        SessionStep::PaymentFailed | SessionStep::Expired => false,
    };
    Ok(SessionFact {
        session: object.own_id()?.to_owned(),
        step,
        grant: if paid && mode == "payment" {
            Some(grant(object, catalog)?)
        } else {
            None
        },
        mode,
        payment_status,
        subscription: object.id("subscription")?.map(SubscriptionId::new),
        user: object.metadata_user()?,
        reference: object.user("client_reference_id")?,
        payment_intent: object.id("payment_intent")?.map(str::to_owned),
    })
}

/// The credits of a paid session: `metadata.pack`, times `metadata.quantity`.
fn grant(object: Object<'_>, catalog: &Catalog) -> Result<Grant, Refusal> {
    let metadata = object.object("metadata", "data.object.metadata")?;
    let text = |key| metadata.map_or(Ok(None), |m| m.text(key));
    let unknown = |what: String| Refusal {
        reason: Permanent::UnknownPack,
        detail: format!(
            "{what}; set metadata.pack of the session to a pack of CATALOG_FILE (or add the pack there and restart the workers), then replay"
        ),
    };
    let name =
        text("pack")?.ok_or_else(|| unknown("the session was paid, but does not say for which pack".to_owned()))?;
    let pack = catalog
        .pack(name)
        .ok_or_else(|| unknown(format!("the catalog has no pack '{name}'")))?;
    let quantity = text("quantity")?
        .map_or(Ok(1), str::parse::<i64>)
        .ok()
        .filter(|q| *q >= 1);
    let credits = quantity
        .and_then(|q| pack.credits.checked_mul(q))
        .ok_or_else(|| Refusal::malformed("data.object.metadata.quantity is not a whole number of packs, 1 or more"))?;
    Ok(Grant {
        pack: pack.name.clone(),
        meter: pack.meter.clone(),
        credits,
    })
}
