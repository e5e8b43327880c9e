//! Test clocks (Stripe: Test clocks, API).

use crate::fixtures::DAY;
use crate::stripe::account_mode::ServedRequest;
use crate::stripe::object_kind::{ObjectKind, PLAIN};
use crate::stripe::objects::billing_period::period_end;
use crate::stripe::objects::subscription_life;
use crate::stripe::stripe_error::StripeError;
use serde_json::{Value, json};

const KEPT_SECONDS: i64 = 30 * DAY;
/// How many times a clock is retrieved as advancing before it is ready.
const RETRIEVALS: u32 = 3;

pub(crate) const TEST_CLOCKS: ObjectKind = ObjectKind {
    collection: "test_helpers/test_clocks",
    object: "test_helpers.test_clock",
    prefix: "clock",
    permission: "billing_clock",
    events: "test_helpers.test_clock",
    aside: &["customer"],
    blank: Some(|call| {
        json!({
            "deletes_after": call.now + KEPT_SECONDS,
            "frozen_time": null,
            "livemode": call.mode.is_live,
            "name": null,
            "status": "ready",
            "status_details": {}
        })
    }),
    settle: |call, _, _| {
        let is_live = call.mode.is_live;
        let message = "Test clocks are only available in test mode.";
        (!is_live).then_some(()).ok_or_else(|| StripeError::new(400, message))
    },
    deleted: |call, clock| {
        delete_customers(call, clock);
        Ok(())
    },
    ..PLAIN
};

/// The time of `object`: the time of its test clock, which must be ready, or the present time.
pub(crate) fn time_of(call: &ServedRequest, object: &Value) -> Result<i64, StripeError> {
    object["test_clock"]
        .as_str()
        .map_or(Ok(call.now), |clock| time(call, clock))
}

fn time(call: &ServedRequest, id: &str) -> Result<i64, StripeError> {
    let clock = call.need("test_clock", TEST_CLOCKS.collection, id)?;
    if clock["status"] == "advancing" {
        let message = format!("Test clock advancement underway - cannot perform modifications: {id}");
        return Err(StripeError::new(429, message));
    }
    Ok(clock["frozen_time"].as_i64().unwrap_or_default())
}

/// `POST /v1/test_helpers/test_clocks/{test_clock}/advance`.
pub(crate) fn advance(call: &mut ServedRequest, id: &str) -> Result<Value, StripeError> {
    let clock = call.mode.find(TEST_CLOCKS.collection, id);
    let mut clock = clock.ok_or_else(|| StripeError::absent(TEST_CLOCKS.object, id))?;
    let now = time(call, id)?;
    let target = call
        .params
        .get("frozen_time")
        .and_then(Value::as_i64)
        .unwrap_or_default();
    if target <= now {
        let message = "The frozen time of a test clock can only be advanced.";
        return Err(StripeError::of("frozen_time", message));
    }
    let farthest = farthest(call, id, now);
    if target > farthest {
        let message = "The frozen time of a test clock can be advanced by two intervals of its shortest subscription, \
                       or by two years if it has none.";
        return Err(StripeError::of("frozen_time", message));
    }
    clock["frozen_time"] = json!(target);
    clock["status"] = json!("advancing");
    clock["status_details"] = json!({"advancing": {"target_frozen_time": target}});
    call.mode.advancing.insert(id.to_owned(), RETRIEVALS);
    call.mode.put(TEST_CLOCKS.collection, &clock);
    call.add_event("test_helpers.test_clock.advancing", &clock, None);
    Ok(clock)
}

/// The latest time that a clock can advance to in one request.
fn farthest(call: &ServedRequest, id: &str, now: i64) -> i64 {
    let subscriptions = call.mode.objects_with("subscriptions", "/test_clock", id);
    let two_intervals = subscriptions.iter().map(|subscription| {
        let price = &subscription["items"]["data"][0]["price"];
        period_end(price, period_end(price, now))
    });
    two_intervals.min().unwrap_or(now + 2 * 365 * DAY)
}

/// A request retrieves a clock. After some of them the clock is ready, and its subscriptions have advanced.
pub(crate) fn retrieved(call: &mut ServedRequest, id: &str) {
    let Some(left) = call.mode.advancing.get_mut(id) else {
        return;
    };
    *left = left.saturating_sub(1);
    if *left > 0 {
        return;
    }
    call.mode.advancing.remove(id);
    let Some(mut clock) = call.mode.find(TEST_CLOCKS.collection, id) else {
        return;
    };
    clock["status"] = json!("ready");
    clock["status_details"] = json!({});
    call.mode.put(TEST_CLOCKS.collection, &clock);
    let time = clock["frozen_time"].as_i64().unwrap_or_default();
    for mut subscription in call.mode.objects_with("subscriptions", "/test_clock", id) {
        subscription_life::advance(call, &mut subscription, time);
    }
    call.add_event("test_helpers.test_clock.ready", &clock, None);
}

/// Deletes the customers of the clock with their subscriptions and invoices.
fn delete_customers(call: &mut ServedRequest, clock: &Value) {
    let id = clock["id"].as_str().unwrap_or_default();
    for collection in ["customers", "subscriptions", "invoices"] {
        for object in call.mode.objects_with(collection, "/test_clock", id) {
            call.mode.remove(collection, object["id"].as_str().unwrap_or_default());
        }
    }
}
