//! Reads events as Stripe writes them.

mod digest;
mod envelope;
mod invoice;
mod items;
mod malformed;
mod odd_json;
mod origin;
mod packs;
mod session;
mod subscription;

use super::read;
use crate::read::meaning::{Envelope, EventScope, Meaning, MissingPart, Mode};
use crate::{
    domain::fact::{Fact, FactBody},
    failure::{Permanent, Refusal},
};
use serde_json::{Value, json};
use shared::{catalog::Catalog, message::Source};

/// When the fixtures' events were created.
const CREATED: i64 = 1_700_000_000;

fn catalog() -> Catalog {
    Catalog::parse(include_str!("../../../../../deploy/catalog.toml")).expect("the shipped catalog")
}

/// The shipped catalog, with `more` after the text `after`.
fn catalog_with(after: &str, more: &str) -> Catalog {
    let shipped = include_str!("../../../../../deploy/catalog.toml");
    assert!(shipped.contains(after), "{after}");
    Catalog::parse(&shipped.replacen(after, &format!("{after}{more}"), 1)).expect("a catalog")
}

const EVERYBODY: EventScope = EventScope {
    mode: Mode::Any,
    account: None,
};

/// An event of this type about this object.
fn event(kind: &str, object: &Value) -> Value {
    json!({
        "id": "evt_1",
        "object": "event",
        "type": kind,
        "created": CREATED,
        "livemode": false,
        "request": {"id": "req_1", "idempotency_key": null},
        "data": {"object": object},
    })
}

fn read_bytes(body: &[u8]) -> (Envelope, Result<Meaning, Refusal>) {
    read(body, Source::Webhook, &catalog(), &EVERYBODY)
}

/// The meaning of an event by another catalog than the shipped one.
fn meaning_by(catalog: &Catalog, event: &Value) -> Result<Meaning, Refusal> {
    read(event.to_string().as_bytes(), Source::Webhook, catalog, &EVERYBODY).1
}

fn meaning(event: &Value) -> Result<Meaning, Refusal> {
    read_bytes(event.to_string().as_bytes()).1
}

/// The fact of an event.
#[track_caller]
fn fact(event: &Value) -> Fact {
    match meaning(event) {
        Ok(Meaning::Fact(fact)) => *fact,
        other => panic!("{other:?} of {event:#}"),
    }
}

#[track_caller]
fn body_of(event: &Value) -> FactBody {
    fact(event).body
}

/// Why an event is refused.
#[track_caller]
fn refusal(event: &Value) -> (Permanent, String) {
    match meaning(event) {
        Err(refusal) => (refusal.reason, refusal.detail),
        other => panic!("{other:?} of {event:#}"),
    }
}

/// A copy with the value `new` at `pointer`. Missing objects on the way are made.
fn with(value: &Value, pointer: &str, new: Value) -> Value {
    let mut copy = value.clone();
    let mut place = &mut copy;
    for key in pointer.split('/').skip(1) {
        place = match key.parse::<usize>() {
            Ok(index) => &mut place[index],
            Err(_) => &mut place[key],
        };
    }
    *place = new;
    copy
}
