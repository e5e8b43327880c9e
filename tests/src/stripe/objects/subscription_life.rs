//! Renews a subscription period by period, each with its invoice, until it ends.

use crate::fixtures::previous_attributes;
use crate::stripe::account_mode::ServedRequest;
use crate::stripe::objects::billing_period::period_end;
use crate::stripe::objects::invoice;
use serde_json::{Value, json};

const COLLECTION: &str = "subscriptions";

/// Ends the subscription at `at` (Unix time).
pub(crate) fn end(call: &mut ServedRequest, subscription: &mut Value, at: i64) {
    if subscription["status"] == "canceled" {
        return;
    }
    subscription["status"] = json!("canceled");
    subscription["ended_at"] = json!(at);
    if subscription["canceled_at"].is_null() {
        subscription["canceled_at"] = json!(at);
    }
    call.mode.put(COLLECTION, subscription);
    call.add_event("customer.subscription.deleted", subscription, None);
}

/// Runs the subscription until `time` (Unix time): trials end, periods are paid and renewed, and a planned
/// cancellation takes effect.
pub(crate) fn advance(call: &mut ServedRequest, subscription: &mut Value, time: i64) {
    loop {
        let item = &subscription["items"]["data"][0];
        let start = item["current_period_start"].as_i64().unwrap_or_default();
        let Some(end_of_period) = item["current_period_end"].as_i64().filter(|end| *end <= time) else {
            return;
        };
        let renewing = ["active", "trialing", "past_due"];
        if !renewing.iter().any(|status| subscription["status"] == *status) {
            return;
        }
        if subscription["cancel_at"].as_i64().is_some_and(|at| at <= end_of_period) {
            return end(call, subscription, end_of_period);
        }
        let old = subscription.clone();
        subscription["status"] = json!("active");
        for item in subscription["items"]["data"].as_array_mut().into_iter().flatten() {
            item["current_period_start"] = json!(end_of_period);
            item["current_period_end"] = json!(period_end(&item["price"], end_of_period));
        }
        let invoice = invoice::paid(call, subscription, "subscription_cycle", (start, end_of_period));
        subscription["latest_invoice"] = json!(invoice);
        call.mode.put(COLLECTION, subscription);
        let changed = previous_attributes(&old, subscription);
        call.add_event("customer.subscription.updated", subscription, Some(changed));
    }
}
