//! Fills the stand-in for Stripe's API with the subscriptions and events of a test.

use crate::fixtures::Event;
use crate::stripe::Stripe;
use anyhow::{Context, Result};
use serde_json::Value;
use std::collections::BTreeMap;

/// The object in an event.
///
/// # Errors
/// When the body is not JSON.
pub fn object(event: &Event) -> Result<Value> {
    let mut body: Value = serde_json::from_str(&event.body)?;
    Ok(body["data"]["object"].take())
}

/// Whether an event shows the current state of a subscription. An announcement may show an older one.
#[must_use]
pub fn shows_subscription(event: &Event) -> bool {
    let step = event.kind.strip_prefix("customer.subscription.");
    step.is_some_and(|step| step != "trial_will_end")
}

/// The state of each subscription after `events`, which are in order.
///
/// # Errors
/// When the body of an event is not JSON.
pub fn subscriptions(events: &[Event]) -> Result<BTreeMap<String, Value>> {
    let mut latest = BTreeMap::new();
    for event in events.iter().filter(|event| shows_subscription(event)) {
        let shown = object(event)?;
        let id = shown["id"].as_str().context("no id")?.to_owned();
        latest.insert(id, shown);
    }
    Ok(latest)
}

/// Puts the subscriptions into the stand-in, as they are after `events`.
///
/// # Errors
/// When the body of an event is not JSON.
pub fn put_subscriptions(stripe: &Stripe, events: &[Event]) -> Result<()> {
    for shown in subscriptions(events)?.values() {
        stripe.put("subscriptions", shown);
    }
    Ok(())
}

/// Puts `events` into the stand-in's list of events, as delivered or as not delivered.
///
/// # Errors
/// When the body of an event is not JSON.
pub fn list_events(stripe: &Stripe, events: &[Event], delivered: bool) -> Result<()> {
    for event in events {
        stripe.emit(&serde_json::from_str(&event.body)?, delivered);
    }
    Ok(())
}
