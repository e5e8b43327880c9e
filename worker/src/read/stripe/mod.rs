//! Reads Stripe's events into facts. It reads only the fields that we need, in the shapes of
//! all API versions. No event fails because of a field that we do not read.

mod invoice;
mod json;
pub mod kind;
mod money;
mod session;
pub mod snapshot;
mod subscription;
mod tree;

use crate::{
    domain::{
        fact::{Fact, FactBody, Phase, Seconds},
        ids::{AccountId, EventId},
    },
    failure::{Permanent, Refusal},
    read::meaning::{Envelope, Lookup, Meaning, Mode, hash_id},
};
use json::JsonObject;
pub use kind::EventKind;
use shared::{catalog::Catalog, message::NAME_BYTES_MAX};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tree::Json;

/// Reads an event. A refused one has an envelope too, so that it can be recorded and found.
pub fn read(body: &[u8], catalog: &Catalog, mode: Mode) -> (Envelope, Result<Meaning, Refusal>) {
    read_as(body, EventKind::of, catalog, mode)
}

/// Reads a [`snapshot`]. Only the source of a message makes it a snapshot, so no event of
/// Stripe's can look like one.
pub fn read_snapshot(body: &[u8], catalog: &Catalog, mode: Mode) -> (Envelope, Result<Meaning, Refusal>) {
    let kind = |name: &str| (name == snapshot::KIND).then_some(EventKind::Subscription(Phase::Read));
    read_as(body, kind, catalog, mode)
}

fn read_as(
    body: &[u8],
    kind: impl Fn(&str) -> Option<EventKind>,
    catalog: &Catalog,
    mode: Mode,
) -> (Envelope, Result<Meaning, Refusal>) {
    let mut envelope = Envelope {
        id: EventId::new(""),
        kind: String::new(),
        created: None,
    };
    let meaning = read_into(&mut envelope, body, kind, catalog, mode);
    if envelope.id.as_str().is_empty() {
        envelope.id = hash_id(body);
    }
    (envelope, meaning)
}

fn read_into(
    envelope: &mut Envelope,
    body: &[u8],
    kind_of: impl Fn(&str) -> Option<EventKind>,
    catalog: &Catalog,
    mode: Mode,
) -> Result<Meaning, Refusal> {
    let value: Json<'_> =
        serde_json::from_slice(body).map_err(|e| Refusal::malformed(format!("the body is not JSON: {e}")))?;
    let event = JsonObject::of(&value, "the event")?;
    // An id that cannot be a key counts as missing, and the hash is the id.
    let id = event.required_text("id")?;
    check_name(id, "id")?;
    envelope.id = EventId::new(id);
    let kind = event.required_text("type")?;
    // The type goes into headers and logs.
    check_name(kind, "type")?;
    kind.clone_into(&mut envelope.kind);
    envelope.created = Some(created(event)?);
    let Some(kind) = kind_of(&envelope.kind) else {
        return Ok(Meaning::Ignored("not_handled"));
    };
    let live = event.flag("livemode")?;
    if matches!((mode, live), (Mode::Live, false) | (Mode::Test, true)) {
        return Ok(Meaning::Ignored("other_mode"));
    }
    let data = event.required_object("data", "data")?;
    let object = data.required_object("object", "data.object")?;
    let (account, body) = read_object(kind, event, data, object, catalog)?;
    let fact = Fact {
        event_id: envelope.id.clone(),
        created: envelope.created.unwrap_or_default(),
        account,
        body,
    };
    Ok(meaning_of(fact))
}

/// The meaning of a fact. A paid session that names no pack needs a look-up: its line items
/// show what it sold, and they are not in the event.
fn meaning_of(fact: Fact) -> Meaning {
    let names_no_pack = match &fact.body {
        FactBody::Session(s) => s.grants.is_empty() && session::sells(s.step, &s.mode, &s.payment_status),
        _ => false,
    };
    if !names_no_pack {
        return Meaning::Fact(Box::new(fact));
    }
    let unanswered = Refusal::new(
        Permanent::UnknownPack,
        "the session was paid, but does not name its pack; set STRIPE_SECRET_KEY and restart the workers, so that its line items are read (or set metadata.pack of your sessions), then replay",
    );
    Meaning::NeedsLookup(Box::new(Lookup { fact, unanswered }))
}

/// Refuses an id or a type that cannot be a property of a message.
fn check_name(text: &str, field: &str) -> Result<(), Refusal> {
    if text.len() > NAME_BYTES_MAX || text.chars().any(char::is_control) {
        return Err(Refusal::malformed(format!(
            "the event.{field} is longer than {NAME_BYTES_MAX} bytes or has control characters"
        )));
    }
    Ok(())
}

/// Reads the object of an event. One arm for each kind. The event types are in `kind.rs`.
fn read_object(
    kind: EventKind,
    event: JsonObject<'_>,
    data: JsonObject<'_>,
    object: JsonObject<'_>,
    catalog: &Catalog,
) -> Result<(AccountId, FactBody), Refusal> {
    let body = match kind {
        EventKind::Subscription(phase) => {
            FactBody::Subscription(Box::new(subscription::read(phase, event, data, object, catalog)?))
        }
        EventKind::Session(step) => FactBody::Session(session::read(step, object, catalog)?),
        EventKind::Invoice(step) => FactBody::Invoice(invoice::read(step, event, object)?),
        EventKind::InvoiceItem => FactBody::InvoiceItem(invoice::read_item(event, object)?),
        EventKind::ChargeRefunded => FactBody::ChargeRefunded(money::charge_refunded(object)?),
        EventKind::RefundFailed => FactBody::RefundFailed(money::refund_failed(object)?),
        EventKind::Dispute { withdrawn } => FactBody::Dispute(money::dispute(object, withdrawn)?),
    };
    let account = match object.id("customer")? {
        Some(customer) => customer.to_owned(),
        // Without its customer it would be folded apart from the customer's other facts.
        None if body.subscription().is_some() => {
            return Err(Refusal::malformed("data.object names a subscription but no customer"));
        }
        None => object.own_id()?.to_owned(),
    };
    Ok((AccountId::new(account), body))
}

/// `created`: seconds since 1970, or RFC 3339 in a thin event.
fn created(event: JsonObject<'_>) -> Result<Seconds, Refusal> {
    if let Ok(Some(text)) = event.text("created") {
        return OffsetDateTime::parse(text, &Rfc3339)
            .map(OffsetDateTime::unix_timestamp)
            .map_err(|e| {
                Refusal::malformed(format!(
                    "the event.created is neither a number nor an RFC 3339 time: {e}"
                ))
            });
    }
    event
        .seconds("created")?
        .ok_or_else(|| Refusal::malformed("the event.created is missing"))
}

#[cfg(test)]
mod tests;
