//! From Stripe's JSON to our facts. We read only the fields we need, in every
//! shape Stripe has given them, from the raw bytes: no event may fail for a
//! field that we do not read.

pub mod about;
pub mod api;
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
        fact::{Fact, Phase, Said, Seconds},
        ids::{AccountId, EventId},
        usage::Usage,
    },
    failure::{Permanent, Refusal},
};
use json::Object;
pub use kind::{HANDLED, Kind};
use sha2::{Digest, Sha256};
use shared::catalog::Catalog;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tree::Json;

/// Which of Stripe's modes are applied: `STRIPE_LIVEMODE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Both.
    Any,
    /// Only events with `livemode: true`.
    Live,
    /// Only events with `livemode: false`.
    Test,
}

impl std::str::FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "any" => Ok(Self::Any),
            "live" => Ok(Self::Live),
            "test" => Ok(Self::Test),
            _ => Err("write any, live or test".to_owned()),
        }
    }
}

/// What we know of any event, whatever it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Its id, or a hash of the body where it has none.
    pub id: EventId,
    /// Its type; empty where it has none.
    pub kind: String,
    /// Its `created`, in seconds.
    pub created: Option<Seconds>,
}

/// What an event means to us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning {
    /// It says something that we keep.
    Said(Box<Fact>),
    /// An application used something.
    Used(Box<Usage>),
    /// It is none of our business; the reason is one of a short list.
    Ignored(&'static str),
}

/// Reads an event. A refused one still has an envelope, so that it can be
/// recorded and found.
pub fn read(body: &[u8], catalog: &Catalog, mode: Mode) -> (Envelope, Result<Meaning, Refusal>) {
    read_as(body, Kind::of, catalog, mode)
}

/// Reads a [`snapshot`] of ours. No event may pass for one: what it is, its
/// message's source says.
pub fn read_snapshot(body: &[u8], catalog: &Catalog, mode: Mode) -> (Envelope, Result<Meaning, Refusal>) {
    let kind = |name: &str| (name == snapshot::KIND).then_some(Kind::Subscription(Phase::Read));
    read_as(body, kind, catalog, mode)
}

fn read_as(
    body: &[u8],
    kind: impl Fn(&str) -> Option<Kind>,
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

/// The id of a message that has none: `sha256:` and the hash of its body.
pub(crate) fn hash_id(body: &[u8]) -> EventId {
    EventId::new(format!("sha256:{}", hex::encode(Sha256::digest(body))))
}

fn read_into(
    envelope: &mut Envelope,
    body: &[u8],
    kind_of: impl Fn(&str) -> Option<Kind>,
    catalog: &Catalog,
    mode: Mode,
) -> Result<Meaning, Refusal> {
    let value: Json<'_> =
        serde_json::from_slice(body).map_err(|e| Refusal::malformed(format!("the body is not JSON: {e}")))?;
    let event = Object::of(&value, "the event")?;
    // An id that cannot be a key is as good as none: the hash stays.
    let id = event.required_text("id")?;
    if id.len() > 255 || id.chars().any(char::is_control) {
        return Err(Refusal::malformed(
            "the event.id is longer than 255 bytes or holds control characters",
        ));
    }
    envelope.id = EventId::new(id);
    let kind = event.required_text("type")?;
    // It goes into headers and logs.
    if kind.len() > 255 || kind.chars().any(char::is_control) {
        return Err(Refusal::malformed(
            "the event.type is longer than 255 bytes or holds control characters",
        ));
    }
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
    let (account, said) = read_object(kind, event, data, object, catalog)?;
    let fact = session::named(Box::new(Fact {
        event_id: envelope.id.clone(),
        created: envelope.created.unwrap_or_default(),
        account,
        said,
    }))?;
    Ok(Meaning::Said(fact))
}

/// The closed list of all that we react to.
fn read_object(
    kind: Kind,
    event: Object<'_>,
    data: Object<'_>,
    object: Object<'_>,
    catalog: &Catalog,
) -> Result<(AccountId, Said), Refusal> {
    let said = match kind {
        Kind::Subscription(phase) => {
            Said::Subscription(Box::new(subscription::read(phase, event, data, object, catalog)?))
        }
        Kind::Session(step) => Said::Session(session::read(step, object, catalog)?),
        Kind::Invoice(step) => Said::Invoice(invoice::read(step, event, object)?),
        Kind::InvoiceItem => Said::InvoiceItem(invoice::read_item(event, object)?),
        Kind::ChargeRefunded => Said::ChargeRefunded(money::charge_refunded(object)?),
        Kind::RefundFailed => Said::RefundFailed(money::refund_failed(object)?),
        Kind::Dispute { withdrawn } => Said::Dispute(money::dispute(object, withdrawn)?),
    };
    let account = match object.id("customer")? {
        Some(customer) => customer.to_owned(),
        // Folded apart from its customer's other facts, it would be told of two accounts.
        None if said.subscription().is_some() => {
            return Err(Refusal::malformed("data.object names a subscription but no customer"));
        }
        None => object.own_id()?.to_owned(),
    };
    Ok((AccountId::new(account), said))
}

/// `created`: seconds since 1970, or RFC 3339 in a thin event.
fn created(event: Object<'_>) -> Result<Seconds, Refusal> {
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

impl Refusal {
    pub(crate) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(Permanent::Malformed, detail)
    }
}

#[cfg(test)]
#[path = "../stripe_tests/mod.rs"]
mod tests;
