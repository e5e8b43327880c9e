//! Reads Stripe's events into facts. It reads only the fields that we need, in the shapes of
//! all API versions. No event fails because of a field that we do not read.

mod invoice;
mod item;
mod json;
pub mod kind;
mod lenient;
pub mod lines;
mod money;
mod session;
pub mod snapshot;
mod subscription;
mod tree;

use crate::{
    domain::{
        fact::{CustomerFact, Fact, FactBody, Phase, Seconds},
        ids::{AccountId, EventId},
    },
    failure::Refusal,
    read::meaning::{Envelope, EventScope, Lookup, Meaning, MissingPart, Mode, hash_id},
};
use json::JsonObject;
pub use kind::EventKind;
use session::ReadSession;
use shared::{
    catalog::Catalog,
    message::{NAME_BYTES_MAX, Source},
};
use subscription::{ReadSubscription, SubscriptionContext};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tree::Json;

/// Reads an event, or a [`snapshot`]. A refused one has an envelope too, so that it can be
/// recorded and found. Only the source of a message makes it a snapshot, so no event of
/// Stripe's can look like one.
pub fn read(
    body: &[u8],
    source: Source,
    catalog: &Catalog,
    scope: &EventScope,
) -> (Envelope, Result<Meaning, Refusal>) {
    let context = ReadContext {
        source,
        catalog,
        scope,
        all_items: None,
    };
    let mut envelope = Envelope {
        id: EventId::new(""),
        kind: String::new(),
        created: None,
    };
    let meaning = tree::parse(body, |json| {
        let event = json.map_err(|e| Refusal::malformed(format!("the body is not JSON: {e}")))?;
        read_into(&mut envelope, &event, context)
    });
    if envelope.id.as_str().is_empty() {
        envelope.id = hash_id(body);
    }
    (envelope, meaning)
}

/// Reads an event of a subscription again whose list of items was cut, with Stripe's answer
/// that has all of them.
///
/// # Errors
/// If the answer is no list, or the event is refused with all items too.
pub fn read_with_items(
    body: &[u8],
    answer: &[u8],
    source: Source,
    catalog: &Catalog,
    scope: &EventScope,
) -> Result<Meaning, Refusal> {
    tree::parse(answer, |answer| {
        let answer = answer.map_err(|e| Refusal::malformed(format!("Stripe's answer is not JSON: {e}")))?;
        let items = JsonObject::of(&answer, "Stripe's answer")?.list("data", "the answer's items")?;
        tree::parse(body, |json| {
            let event = json.map_err(|e| Refusal::malformed(format!("the body is not JSON: {e}")))?;
            let mut envelope = Envelope {
                id: EventId::new(""),
                kind: String::new(),
                created: None,
            };
            let context = ReadContext {
                source,
                catalog,
                scope,
                all_items: Some(&items),
            };
            read_into(&mut envelope, &event, context)
        })
    })
}

/// What is needed to read an event, besides its bytes.
#[derive(Clone, Copy)]
struct ReadContext<'a> {
    source: Source,
    catalog: &'a Catalog,
    scope: &'a EventScope,
    /// All items of its subscription; see [`SubscriptionContext::all_items`].
    all_items: Option<&'a [JsonObject<'a>]>,
}

impl ReadContext<'_> {
    fn kind(self, event_type: &str) -> Option<EventKind> {
        match self.source {
            Source::Snapshot => (event_type == snapshot::KIND).then_some(EventKind::Subscription(Phase::Read)),
            _ => EventKind::of(event_type),
        }
    }
}

fn read_into(envelope: &mut Envelope, event: &Json<'_>, context: ReadContext<'_>) -> Result<Meaning, Refusal> {
    let event = JsonObject::of(event, "the event")?;
    // An id that cannot be a key counts as missing, and the hash is the id.
    let id = event.required_text("id")?;
    check_name(id, "id")?;
    envelope.id = EventId::new(id);
    let kind = event.required_text("type")?;
    // The type goes into headers and logs.
    check_name(kind, "type")?;
    kind.clone_into(&mut envelope.kind);
    let at = created(event)?;
    envelope.created = Some(at);
    let Some(kind) = context.kind(&envelope.kind) else {
        return Ok(Meaning::Ignored("not_handled"));
    };
    let live = event.flag("livemode")?;
    if matches!((context.scope.mode, live), (Mode::Live, false) | (Mode::Test, true)) {
        return Ok(Meaning::Ignored("other_mode"));
    }
    if !is_of_account(event, context)? {
        return Ok(Meaning::Ignored("other_account"));
    }
    let data = event.required_object("data", "data")?;
    let object = data.required_object("object", "data.object")?;
    let (body, lookup) = match read_object(kind, event, data, object, at, context)? {
        ReadObject::Whole(body) => (body, None),
        ReadObject::Part(body, missing, unanswered) => (body, Some((missing, unanswered))),
        ReadObject::Ignored(reason) => return Ok(Meaning::Ignored(reason)),
    };
    let fact = Fact {
        event_id: envelope.id.clone(),
        created: at,
        account: account(object, &body)?,
        body,
    };
    Ok(match lookup {
        None => Meaning::Fact(Box::new(fact)),
        Some((missing, unanswered)) => Meaning::NeedsLookup(Box::new(Lookup {
            missing,
            fact,
            unanswered,
        })),
    })
}

/// Whether an event is of the account that is applied. Through Connect (Stripe's page
/// "Connect webhooks") anybody's events can arrive; they name their account. Events that a
/// worker itself listed, and snapshots, are of the account that it asked for.
fn is_of_account(event: JsonObject<'_>, context: ReadContext<'_>) -> Result<bool, Refusal> {
    let origin = [event.text("account")?, event.text("context")?];
    let mut named = origin.into_iter().flatten().filter(|id| !id.is_empty()).peekable();
    let was_asked = matches!(context.source, Source::Snapshot | Source::Backfill);
    Ok(match &context.scope.account {
        None => named.peek().is_none(),
        Some(ours) if named.peek().is_some() => named.all(|id| id == ours),
        Some(_) => was_asked,
    })
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

/// What an event says of its object.
enum ReadObject {
    /// All that we need.
    Whole(FactBody),
    /// A part; Stripe knows the missing one. The refusal applies if it cannot be asked.
    Part(FactBody, MissingPart, Refusal),
    /// Nothing to apply, for this reason.
    Ignored(&'static str),
}

/// Reads the object of an event. One arm for each kind. The event types are in `kind.rs`.
fn read_object(
    kind: EventKind,
    event: JsonObject<'_>,
    data: JsonObject<'_>,
    object: JsonObject<'_>,
    at: Seconds,
    context: ReadContext<'_>,
) -> Result<ReadObject, Refusal> {
    let catalog = context.catalog;
    let ours = |body: Option<FactBody>| body.map_or(ReadObject::Ignored("other_product"), ReadObject::Whole);
    Ok(match kind {
        EventKind::Subscription(phase) => {
            let context = SubscriptionContext {
                catalog,
                phase,
                at,
                all_items: context.all_items,
            };
            match subscription::read(event, data, object, context)? {
                ReadSubscription::Whole(fact) => ReadObject::Whole(FactBody::Subscription(fact)),
                ReadSubscription::Cut(fact, unanswered) => {
                    let missing = MissingPart::Items(fact.subscription.clone());
                    ReadObject::Part(FactBody::Subscription(fact), missing, unanswered)
                }
                ReadSubscription::OtherProduct => ReadObject::Ignored("other_product"),
            }
        }
        EventKind::Session(step) => match session::read(step, object, catalog)? {
            ReadSession::Whole(fact) => ReadObject::Whole(FactBody::Session(fact)),
            ReadSession::NeedsLines(fact, unanswered) => {
                let missing = MissingPart::LineItems(fact.session.clone());
                ReadObject::Part(FactBody::Session(fact), missing, unanswered)
            }
            ReadSession::Ignored(reason) => ReadObject::Ignored(reason),
        },
        EventKind::Invoice(step) => ours(invoice::read(step, event, object, catalog)?.map(FactBody::Invoice)),
        EventKind::InvoiceItem => ours(invoice::read_item(event, object, catalog)?.map(FactBody::InvoiceItem)),
        EventKind::InvoicePayment => ReadObject::Whole(FactBody::InvoicePayment(invoice::read_payment(object)?)),
        EventKind::ChargeRefunded => ReadObject::Whole(FactBody::ChargeRefunded(money::charge_refunded(object)?)),
        EventKind::RefundUpdated if !money::refund_ended(object)? => ReadObject::Ignored("not_handled"),
        EventKind::RefundFailed | EventKind::RefundUpdated => {
            ReadObject::Whole(FactBody::RefundFailed(money::refund_failed(object)?))
        }
        EventKind::Dispute { withdrawn } => ReadObject::Whole(FactBody::Dispute(money::dispute(object, withdrawn)?)),
        EventKind::Customer => match object.metadata_user()? {
            // Only the user matters, and most customers have none.
            None => ReadObject::Ignored("no_user"),
            user => ReadObject::Whole(FactBody::Customer(CustomerFact { user })),
        },
    })
}

/// The account of a fact: its customer, or the object itself if it names none (a customer,
/// too, is its own account).
fn account(object: JsonObject<'_>, body: &FactBody) -> Result<AccountId, Refusal> {
    let account = match object.id("customer")? {
        Some(customer) => customer,
        // Without its customer it would be folded apart from the customer's other facts.
        None if body.subscription().is_some() => {
            return Err(Refusal::malformed("data.object names a subscription but no customer"));
        }
        None => object.own_id()?,
    };
    Ok(AccountId::new(account))
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
