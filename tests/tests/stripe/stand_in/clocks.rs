//! Test clocks, and the objects on them.

use super::caller::{Caller, id};
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tests::harness::unix_now;

/// 2026-01-31, 2026-02-28 and 2026-03-28, at noon in UTC.
const TIMES: [i64; 3] = [1_769_860_800, 1_772_280_000, 1_774_699_200];

const TOLD: [&str; 14] = [
    "product.created",
    "price.created",
    "test_helpers.test_clock.created",
    "customer.created",
    "invoice.paid",
    "customer.subscription.created",
    "test_helpers.test_clock.advancing",
    "invoice.paid",
    "customer.subscription.updated",
    "test_helpers.test_clock.ready",
    // The wish for its end, and the end.
    "customer.subscription.updated",
    "test_helpers.test_clock.advancing",
    "customer.subscription.deleted",
    "test_helpers.test_clock.ready",
];

#[tokio::test]
async fn a_clock_advances_for_a_while_and_then_its_subscriptions_have_moved_on() -> Result<()> {
    let caller = Caller::new().await?;
    let [start, renewal, next] = TIMES;
    let price = caller.plan("prod_a").await?;
    let made = caller
        .post("/v1/test_helpers/test_clocks", &format!("frozen_time={start}"))
        .await?;
    let clock = format!("/v1/test_helpers/test_clocks/{}", id(&made)?);
    let form = format!("test_clock={}", id(&made)?);
    let customer = id(&caller.post("/v1/customers", &form).await?)?;
    let form = format!("customer={customer}&items[0][price]={price}");
    let subscription = id(&caller.post("/v1/subscriptions", &form).await?)?;
    let subscription = format!("/v1/subscriptions/{subscription}");

    let advance = format!("{clock}/advance");
    let form = format!("frozen_time={renewal}");
    let mut seen = caller.post(&advance, &form).await?;
    ensure!(seen["status"] == "advancing", "{seen}");
    let (status, _, _, message) = caller.refused(&format!("POST {subscription}"), "metadata[a]=b").await?;
    ensure!(
        status == 429 && message.contains("Test clock advancement underway"),
        "{status} {message}"
    );
    let mut looks = 0;
    while seen["status"] == "advancing" {
        seen = caller.get(&clock).await?;
        looks += 1;
    }
    ensure!(looks == 3 && seen["frozen_time"] == renewal, "{looks}: {seen}");
    let moved = caller.get(&subscription).await?;
    let item = &moved["items"]["data"][0];
    ensure!(
        item["current_period_start"] == renewal && item["current_period_end"] == next,
        "{moved}"
    );
    let (status, ..) = caller.refused(&format!("POST {advance}"), &form).await?;
    ensure!(status == 400, "time stood still");
    let far = format!("frozen_time={}", next + 40 * 86_400);
    let (status, _, _, message) = caller.refused(&format!("POST {advance}"), &far).await?;
    ensure!(status == 400 && message.contains("two intervals"), "{message}");

    // What was to end with its period has ended with it.
    caller.post(&subscription, "cancel_at_period_end=true").await?;
    caller.post(&advance, &format!("frozen_time={}", next + 1)).await?;
    while caller.get(&clock).await?["status"] == "advancing" {}
    let ended = caller.get(&subscription).await?;
    ensure!(ended["status"] == "canceled" && ended["ended_at"] == next, "{ended}");

    // An event is created at the real time, and its object has the test clock's time.
    let events = caller.get("/v1/events?limit=100").await?;
    let events = events["data"].as_array().map_or(&[][..], Vec::as_slice);
    let told: Vec<&str> = events.iter().rev().filter_map(|event| event["type"].as_str()).collect();
    ensure!(told == TOLD, "{told:#?}");
    let paid: Vec<&Value> = events.iter().filter(|event| event["type"] == "invoice.paid").collect();
    ensure!(
        paid.iter()
            .all(|event| event["created"].as_i64() >= Some(unix_now() - 60)),
        "{paid:?}"
    );
    let invoice = &paid[0]["data"]["object"];
    ensure!(
        invoice["billing_reason"] == "subscription_cycle" && invoice["total"] == 1000,
        "{invoice}"
    );
    ensure!(
        invoice["period_start"] == start && invoice["period_end"] == renewal,
        "{invoice}"
    );
    ensure!(
        invoice["lines"]["data"][0]["period"] == json!({"start": renewal, "end": next}),
        "{invoice}"
    );
    let invoices = caller.get(&format!("/v1/invoices?customer={customer}")).await?;
    ensure!(
        invoices["data"][0] == *invoice && moved["latest_invoice"] == invoice["id"],
        "{invoices}"
    );

    caller.done(&format!("DELETE {clock}"), "").await?;
    for path in [clock, subscription, format!("/v1/customers/{customer}")] {
        ensure!(
            caller.refused(&format!("GET {path}"), "").await?.0 == 404,
            "{path} is still there"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_deleted_customer_can_be_read_and_has_no_subscription() -> Result<()> {
    let caller = Caller::new().await?;
    let price = caller.plan("prod_a").await?;
    let customer = id(&caller.post("/v1/customers", "name=A").await?)?;
    let form = format!("customer={customer}&items[0][price]={price}");
    let subscription = id(&caller.post("/v1/subscriptions", &form).await?)?;
    let path = format!("/v1/customers/{customer}");
    let gone = caller.done(&format!("DELETE {path}"), "").await?;
    ensure!(gone["deleted"] == true && caller.get(&path).await? == gone, "{gone}");
    ensure!(caller.get("/v1/customers").await?["data"] == json!([]));
    let ended = caller.get(&format!("/v1/subscriptions/{subscription}")).await?;
    ensure!(ended["status"] == "canceled", "{ended}");
    for request in [format!("POST {path}"), format!("DELETE {path}")] {
        ensure!(caller.refused(&request, "").await?.0 == 404, "{request}");
    }
    let (status, code, ..) = caller.refused("POST /v1/subscriptions", &form).await?;
    ensure!((status, code.as_str()) == (400, "resource_missing"));
    Ok(())
}
