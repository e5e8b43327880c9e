//! Test clocks (Stripe: Test clocks, API).

use crate::fixtures::DAY;
use crate::stripe::account::Call;
use crate::stripe::objects::life;
use crate::stripe::refusal::Refusal;
use crate::stripe::resource::{PLAIN, Resource};
use serde_json::{Value, json};

const KEPT_SECONDS: i64 = 30 * DAY;
/// How often a clock is seen advancing before it is ready.
const LOOKS: u32 = 3;

pub(crate) const TEST_CLOCKS: Resource = Resource {
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
        (!is_live).then_some(()).ok_or_else(|| Refusal::new(400, message))
    },
    deleted: |call, clock| {
        delete_customers(call, clock);
        Ok(())
    },
    ..PLAIN
};

/// What time it is for `object`: its clock's, which must stand, or else now.
pub(crate) fn time_of(call: &Call, object: &Value) -> Result<i64, Refusal> {
    object["test_clock"]
        .as_str()
        .map_or(Ok(call.now), |clock| time(call, clock))
}

fn time(call: &Call, id: &str) -> Result<i64, Refusal> {
    let clock = call.need("test_clock", TEST_CLOCKS.collection, id)?;
    if clock["status"] == "advancing" {
        let message = format!("Test clock advancement underway - cannot perform modifications: {id}");
        return Err(Refusal::new(429, message));
    }
    Ok(clock["frozen_time"].as_i64().unwrap_or_default())
}

/// `POST /v1/test_helpers/test_clocks/{test_clock}/advance`.
pub(crate) fn advance(call: &mut Call, id: &str) -> Result<Value, Refusal> {
    let clock = call.mode.find(TEST_CLOCKS.collection, id);
    let mut clock = clock.ok_or_else(|| Refusal::absent(TEST_CLOCKS.object, id))?;
    let now = time(call, id)?;
    let target = call
        .params
        .get("frozen_time")
        .and_then(Value::as_i64)
        .unwrap_or_default();
    if target <= now {
        let message = "The frozen time of a test clock can only be advanced.";
        return Err(Refusal::of("frozen_time", message));
    }
    let farthest = farthest(call, id, now);
    if target > farthest {
        let message = "The frozen time of a test clock can be advanced by two intervals of its shortest subscription, \
                       or by two years if it has none.";
        return Err(Refusal::of("frozen_time", message));
    }
    clock["frozen_time"] = json!(target);
    clock["status"] = json!("advancing");
    clock["status_details"] = json!({"advancing": {"target_frozen_time": target}});
    call.mode.advancing.insert(id.to_owned(), LOOKS);
    call.mode.put(TEST_CLOCKS.collection, &clock);
    call.tell("test_helpers.test_clock.advancing", &clock, None);
    Ok(clock)
}

/// How far a clock can be advanced at once.
fn farthest(call: &Call, id: &str, now: i64) -> i64 {
    let subscriptions = call.mode.having("subscriptions", "/test_clock", id);
    let two_intervals = subscriptions.iter().map(|subscription| {
        let price = &subscription["items"]["data"][0]["price"];
        life::period_end(price, life::period_end(price, now))
    });
    two_intervals.min().unwrap_or(now + 2 * 365 * DAY)
}

/// Someone looks at a clock: it is ready after some looks, and then its subscriptions have moved on.
pub(crate) fn look(call: &mut Call, id: &str) {
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
    for mut subscription in call.mode.having("subscriptions", "/test_clock", id) {
        life::move_on(call, &mut subscription, time);
    }
    call.tell("test_helpers.test_clock.ready", &clock, None);
}

/// Its customers go with it, and their subscriptions.
fn delete_customers(call: &mut Call, clock: &Value) {
    let id = clock["id"].as_str().unwrap_or_default();
    for collection in ["customers", "subscriptions", "invoices"] {
        for object in call.mode.having(collection, "/test_clock", id) {
            call.mode.remove(collection, object["id"].as_str().unwrap_or_default());
        }
    }
}
