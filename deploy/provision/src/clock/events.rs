//! The events of a clock's customers. Stripe's command line does not forward them, so this
//! module fetches them and publishes them to the work queue, as ingest does with a webhook.

use super::state;
use crate::pages;
use anyhow::Context;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use shared::{
    broker::Broker,
    message::Source,
    settings::Settings,
    topology::Topology,
    work_queue::{self, Message, WorkQueue},
};
use std::collections::BTreeSet;
use stripe_api::{Api, Form, handled_lists};

/// An event of Stripe.
#[derive(Debug)]
pub struct ClockEvent {
    /// `evt_…`
    pub id: String,
    /// Its type, such as `invoice.paid`.
    pub kind: String,
    /// When Stripe created it, in real seconds since 1970.
    pub created: i64,
    /// Stripe's JSON, byte for byte: the body that a webhook would have.
    pub body: Box<RawValue>,
}

/// The JSON text of an event, byte for byte.
#[derive(Deserialize)]
struct EventText(Box<RawValue>);

#[derive(Deserialize)]
struct ClockEventHead {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    created: i64,
    data: ClockEventData,
}

#[derive(Deserialize)]
struct ClockEventData {
    object: Value,
}

/// The events of a clock's customers that the worker handles, oldest first.
///
/// # Errors
/// Stripe's answer, if a request fails.
pub async fn fetch(api: &Api, clock: &str) -> anyhow::Result<Vec<ClockEvent>> {
    let created = state(api, clock).await?.created;
    let customers = customers(api, clock).await?;
    let head = |body: &RawValue| serde_json::from_str::<ClockEventHead>(body.get());
    let id = |body: &EventText| head(&body.0).ok().map(|head| head.id);
    let mut bodies = Vec::new();
    for kinds in handled_lists() {
        let mut query = Form::new().with("created[gte]", &created);
        for kind in kinds {
            query.push("types[]", kind);
        }
        bodies.extend(pages::list_all(api, "/events", &query, id).await?.0);
    }
    let heads = bodies
        .into_iter()
        .map(|EventText(body)| head(&body).map(|head| (head, body)));
    let mut events: Vec<(ClockEventHead, Box<RawValue>)> = heads
        .collect::<Result<_, _>>()
        .context("cannot read an event of Stripe")?;
    let needs_payments = events.iter().any(|(head, _)| payment(&head.data.object).is_some());
    let payments = if needs_payments {
        payments(api, &customers).await?
    } else {
        BTreeSet::new()
    };
    events.retain(|(head, _)| belongs_to(&head.data.object, clock, &customers, &payments));
    let event = |(head, body): (ClockEventHead, _)| ClockEvent {
        id: head.id,
        kind: head.kind,
        created: head.created,
        body,
    };
    // Stripe lists the newest first.
    events.reverse();
    events.sort_by_key(|(head, _)| head.created);
    Ok(events.into_iter().map(event).collect())
}

fn belongs_to(object: &Value, clock: &str, customers: &BTreeSet<String>, payments: &BTreeSet<String>) -> bool {
    let customer = reference(object, "customer").is_some_and(|id| customers.contains(id));
    object["test_clock"] == clock || customer || payment(object).is_some_and(|id| payments.contains(id))
}

/// The charge or payment intent of an object without a customer, such as a refund, a dispute
/// or an invoice payment.
fn payment(object: &Value) -> Option<&str> {
    if reference(object, "customer").is_some() {
        return None;
    }
    let of = |holder| reference(holder, "charge").or_else(|| reference(holder, "payment_intent"));
    of(object).or_else(|| of(&object["payment"]))
}

/// The id in a field: the field is an id or an expanded object.
fn reference<'a>(object: &'a Value, field: &str) -> Option<&'a str> {
    let value = &object[field];
    value.as_str().or_else(|| value["id"].as_str())
}

/// The ids of all charges of these customers, and of their payment intents.
async fn payments(api: &Api, customers: &BTreeSet<String>) -> anyhow::Result<BTreeSet<String>> {
    let id = |charge: &Value| reference(charge, "id").map(str::to_owned);
    let mut payments = BTreeSet::new();
    for customer in customers {
        let query = Form::new().with("customer", customer);
        let (charges, _) = pages::list_all(api, "/charges", &query, id).await?;
        let ids = charges
            .iter()
            .flat_map(|charge| [reference(charge, "id"), reference(charge, "payment_intent")]);
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
    let (all, _) = pages::list_all(api, "/customers", &query, id).await?;
    Ok(all.into_iter().map(|customer| customer.id).collect())
}

/// Publishes events to the work queue; returns when the broker has confirmed each.
///
/// # Errors
/// If the broker cannot be reached or does not confirm. It is safe to publish the same events
/// again: the worker ignores an event that it already knows.
pub async fn publish(settings: &Settings, events: &[ClockEvent]) -> anyhow::Result<()> {
    let broker = Broker::from_settings(settings, "tollbridge provision")?;
    let topology = Topology::from_settings(settings)?;
    let message = |event: &ClockEvent| Message {
        id: event.id.clone(),
        kind: event.kind.clone(),
        body: event.body.get().as_bytes().to_vec(),
    };
    let messages: Vec<Message> = events.iter().map(message).collect();
    work_queue::with_publisher(broker, topology.clone(), async |publisher| {
        let put = WorkQueue::new(publisher, &topology)
            .put(&messages, Source::Backfill)
            .await;
        put.context("not all events are on the work queue; run the command again")
    })
    .await
}
