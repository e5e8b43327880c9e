//! The events of a clock's customers. Stripe's command line does not forward
//! them, so they are fetched, and put on the work queue as if they had come.

use super::standing;
use crate::pages;
use anyhow::Context;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use shared::work_queue::{self, Message, WorkQueue};
use shared::{broker::Broker, message::Source, settings::Settings, topology::Topology};
use std::collections::BTreeSet;
use stripe_api::{Api, Form, HANDLED};

/// An event, as Stripe wrote it.
#[derive(Debug)]
pub struct Event {
    /// `evt_…`
    pub id: String,
    /// Its type.
    pub kind: String,
    /// When it was made, by the real clock.
    pub created: i64,
    /// What a webhook would have brought.
    pub body: Box<RawValue>,
}

/// An event as it is written, byte for byte.
#[derive(Deserialize)]
struct Written(Box<RawValue>);

#[derive(Deserialize)]
struct Head {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    created: i64,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    object: Value,
}

/// The handled events of a clock's customers, oldest first.
///
/// # Errors
/// What Stripe said.
pub async fn fetch(api: &Api, clock: &str) -> anyhow::Result<Vec<Event>> {
    let created = standing(api, clock).await?.created;
    let customers = customers(api, clock).await?;
    let mut query = Form::new().with("created[gte]", &created);
    for kind in HANDLED {
        query.push("types[]", kind);
    }
    let head = |body: &RawValue| serde_json::from_str::<Head>(body.get());
    let id = |body: &Written| head(&body.0).ok().map(|head| head.id);
    let (bodies, _) = pages::all(api, "/events", &query, id).await?;
    let heads = bodies
        .into_iter()
        .map(|Written(body)| head(&body).map(|head| (head, body)));
    let mut events: Vec<(Head, Box<RawValue>)> = heads.collect::<Result<_, _>>().context("an event of Stripe's")?;
    let some_by_payment = events.iter().any(|(head, _)| payment(&head.data.object).is_some());
    let payments = if some_by_payment {
        payments(api, &customers).await?
    } else {
        BTreeSet::new()
    };
    events.retain(|(head, _)| is_of(&head.data.object, clock, &customers, &payments));
    let event = |(head, body): (Head, _)| Event {
        id: head.id,
        kind: head.kind,
        created: head.created,
        body,
    };
    // Stripe lists the newest first.
    Ok(events.into_iter().rev().map(event).collect())
}

fn is_of(object: &Value, clock: &str, customers: &BTreeSet<String>, payments: &BTreeSet<String>) -> bool {
    let customer = named(object, "customer").is_some_and(|id| customers.contains(id));
    object["test_clock"] == clock || customer || payment(object).is_some_and(|id| payments.contains(id))
}

/// Refunds and disputes name no customer, but the charge that they are about.
fn payment(object: &Value) -> Option<&str> {
    let charge = named(object, "charge").or_else(|| named(object, "payment_intent"));
    charge.filter(|_| named(object, "customer").is_none())
}

/// The id that a field has, or that of the object in it.
fn named<'a>(object: &'a Value, field: &str) -> Option<&'a str> {
    let reference = &object[field];
    reference.as_str().or_else(|| reference["id"].as_str())
}

/// All charges of these customers, and what they belong to.
async fn payments(api: &Api, customers: &BTreeSet<String>) -> anyhow::Result<BTreeSet<String>> {
    let id = |charge: &Value| named(charge, "id").map(str::to_owned);
    let mut payments = BTreeSet::new();
    for customer in customers {
        let query = Form::new().with("customer", customer);
        let (charges, _) = pages::all(api, "/charges", &query, id).await?;
        let ids = charges
            .iter()
            .flat_map(|charge| [named(charge, "id"), named(charge, "payment_intent")]);
        payments.extend(ids.flatten().map(str::to_owned));
    }
    Ok(payments)
}

async fn customers(api: &Api, clock: &str) -> anyhow::Result<BTreeSet<String>> {
    #[derive(Deserialize)]
    struct Customer {
        id: String,
    }
    let query = Form::new().with("test_clock", clock);
    let id = |customer: &Customer| Some(customer.id.clone());
    let (all, _) = pages::all(api, "/customers", &query, id).await?;
    Ok(all.into_iter().map(|customer| customer.id).collect())
}

/// Puts events on the work queue; returns when the broker has confirmed each.
///
/// # Errors
/// When the broker is not there or does not confirm; done again, known events have no effect.
pub async fn publish(settings: &Settings, events: &[Event]) -> anyhow::Result<()> {
    let broker = Broker::from_settings(settings, "tollbridge provision")?;
    let topology = Topology::from_settings(settings)?;
    let message = |event: &Event| Message {
        id: event.id.clone(),
        kind: event.kind.clone(),
        body: event.body.get().as_bytes().to_vec(),
    };
    let messages: Vec<Message> = events.iter().map(message).collect();
    work_queue::with_publisher(broker, topology.clone(), async |publisher| {
        let put = WorkQueue::new(publisher, &topology)
            .put(&messages, Source::Backfill)
            .await;
        put.context("not all events are on the queue; do it again")
    })
    .await
}
