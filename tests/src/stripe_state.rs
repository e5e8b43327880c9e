//! What Stripe holds of events, and what is missed of them.

use crate::fixtures::Event;
use crate::stripe::Stripe;
use anyhow::{Context, Result};
use serde_json::Value;
use std::collections::BTreeMap;

/// The object that an event shows.
///
/// # Errors
/// When it is no event.
pub fn object(event: &Event) -> Result<Value> {
    let mut body: Value = serde_json::from_str(&event.body)?;
    Ok(body["data"]["object"].take())
}

/// Whether an event shows the state of a subscription; announcements repeat an old state.
#[must_use]
pub fn shows_subscription(event: &Event) -> bool {
    let step = event.kind.strip_prefix("customer.subscription.");
    step.is_some_and(|step| step != "trial_will_end")
}

/// How each subscription stands after `events`, which are in order.
///
/// # Errors
/// When one is no event.
pub fn subscriptions(events: &[Event]) -> Result<BTreeMap<String, Value>> {
    let mut latest = BTreeMap::new();
    for event in events.iter().filter(|event| shows_subscription(event)) {
        let shown = object(event)?;
        let id = shown["id"].as_str().context("no id")?.to_owned();
        latest.insert(id, shown);
    }
    Ok(latest)
}

/// Has Stripe hold the subscriptions as they stand after `events`.
///
/// # Errors
/// When one is no event.
pub fn hold(stripe: &Stripe, events: &[Event]) -> Result<()> {
    for shown in subscriptions(events)?.values() {
        stripe.put("subscriptions", shown);
    }
    Ok(())
}

/// Has Stripe list `events`, as delivered or not.
///
/// # Errors
/// When one is no event.
pub fn list(stripe: &Stripe, events: &[Event], delivered: bool) -> Result<()> {
    for event in events {
        stripe.emit(&serde_json::from_str(&event.body)?, delivered);
    }
    Ok(())
}
