//! Lists: their order, their pages and their filters.

use super::caller::{Caller, id, ids};
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tests::harness::unix_now;

fn event(number: i64, created: i64, kind: &str) -> Value {
    json!({
        "id": format!("evt_{number}"), "object": "event", "api_version": null, "created": created,
        "data": {"object": {}}, "livemode": false, "pending_webhooks": 0, "request": null, "type": kind
    })
}

/// That `query` of `path` finds these ids, and whether there are more.
async fn finds(caller: &Caller, path: &str, query: &str, expected: &[&str], more: bool) -> Result<()> {
    let list = caller.get(&format!("{path}?{query}")).await?;
    ensure!(
        ids(&list) == (expected.to_vec(), more),
        "{path}?{query}: {:?}",
        ids(&list)
    );
    ensure!(list["url"] == path && list["object"] == "list", "{list}");
    Ok(())
}

#[tokio::test]
async fn a_page_is_next_to_its_cursor_and_newest_first() -> Result<()> {
    let caller = Caller::new().await?;
    let now = unix_now();
    // Put there in another order than they were created; two within one second.
    for (number, age) in [(3, 30), (1, 50), (5, 10), (2, 40), (4, 10)] {
        caller.stripe.put("events", &event(number, now - age, "invoice.paid"));
    }
    let everything = ["evt_4", "evt_5", "evt_3", "evt_2", "evt_1"];
    let since = format!("created[gte]={}", now - 30);
    let until = format!("created[lt]={}&limit=2", now - 10);
    let between = format!("created[gt]={}&created[lte]={}", now - 50, now - 30);
    for (query, expected, more) in [
        ("", &everything[..], false),
        ("limit=5", &everything, false),
        ("limit=2", &everything[..2], true),
        ("limit=2&starting_after=evt_5", &everything[2..4], true),
        ("limit=2&starting_after=evt_3", &everything[3..], false),
        ("starting_after=evt_1", &[], false),
        // The page before a cursor is the one that touches it, not the newest.
        ("limit=2&ending_before=evt_1", &everything[2..4], true),
        ("limit=2&ending_before=evt_3", &everything[..2], false),
        ("ending_before=evt_4", &[], false),
        (&since, &everything[..3], false),
        (&until, &everything[2..4], true),
        (&between, &everything[2..4], false),
        (&format!("created={}", now - 10), &everything[..2], false),
        (&format!("{since}&ending_before=evt_1&limit=1"), &everything[2..3], true),
    ] {
        finds(&caller, "/v1/events", query, expected, more).await?;
    }
    let both = "GET /v1/events?starting_after=evt_1&ending_before=evt_2";
    ensure!(caller.refused(both, "").await?.0 == 400);
    Ok(())
}

#[tokio::test]
async fn events_are_found_by_type_and_delivery_for_thirty_days() -> Result<()> {
    let caller = Caller::new().await?;
    let now = 1_800_000_000;
    caller.stripe.set_now(now);
    let (day, stripe) = (24 * 60 * 60, &caller.stripe);
    stripe.emit(&event(1, now - 30 * day - 1, "invoice.paid"), false);
    stripe.emit(&event(2, now - 30 * day, "invoice.paid"), false);
    stripe.emit(&event(3, now - 2, "invoice.payment_failed"), true);
    stripe.emit(&event(4, now - 1, "charge.refunded"), false);
    for (query, expected) in [
        ("", &["evt_4", "evt_3", "evt_2"][..]),
        ("type=invoice.paid", &["evt_2"]),
        ("type=invoice.*", &["evt_3", "evt_2"]),
        ("types[]=invoice.paid&types[]=charge.refunded", &["evt_4", "evt_2"]),
        ("delivery_success=false", &["evt_4", "evt_2"]),
        ("delivery_success=true", &["evt_3"]),
    ] {
        finds(&caller, "/v1/events", query, expected, false).await?;
    }
    stripe.deliver("evt_4");
    finds(&caller, "/v1/events", "delivery_success=false", &["evt_2"], false).await?;
    let answer = caller.send("GET /v1/events/evt_4", "", &[]).await?;
    ensure!(answer.headers["date"] == "Fri, 15 Jan 2027 08:00:00 GMT", "{answer:?}");
    Ok(())
}

#[tokio::test]
async fn subscriptions_are_listed_unless_they_are_canceled_or_on_a_test_clock() -> Result<()> {
    let caller = Caller::new().await?;
    let price = caller.plan("prod_a").await?;
    let now = 1_800_000_000;
    caller.stripe.set_now(now);
    let clock = id(&caller
        .post("/v1/test_helpers/test_clocks", "frozen_time=1700000000")
        .await?)?;
    let first = id(&caller.post("/v1/customers", "email=a@b.c").await?)?;
    let second = id(&caller.post("/v1/customers", &format!("test_clock={clock}")).await?)?;
    let mut made = Vec::new();
    for (customer, more) in [
        (&first, "metadata[user_id]=one"),
        (&first, "trial_period_days=3&items[0][quantity]=2"),
        (&first, "cancel_at_period_end=true"),
        (&second, "payment_behavior=default_incomplete"),
    ] {
        let form = format!("customer={customer}&items[0][price]={price}&{more}");
        made.push(caller.post("/v1/subscriptions", &form).await?);
    }
    let names: Vec<String> = made.iter().map(id).collect::<Result<_>>()?;
    let [plain, trial, canceled, clocked] = [0, 1, 2, 3].map(|number| names[number].as_str());
    ensure!(
        made[0]["metadata"]["user_id"] == "one" && made[0]["status"] == "active",
        "{}",
        made[0]
    );
    ensure!(
        made[1]["status"] == "trialing" && made[1]["trial_end"] == now + 3 * 86_400,
        "{}",
        made[1]
    );
    ensure!(made[1]["items"]["data"][0]["quantity"] == 2, "{}", made[1]);
    ensure!(
        made[3]["test_clock"] == clock && made[3]["created"] == 1_700_000_000,
        "{}",
        made[3]
    );
    let ended = caller.done(&format!("DELETE /v1/subscriptions/{canceled}"), "").await?;
    ensure!(ended["status"] == "canceled" && ended["ended_at"] == now, "{ended}");

    let by_clock = format!("test_clock={clock}");
    for (query, expected) in [
        ("", &[trial, plain][..]),
        ("status=all", &[canceled, trial, plain]),
        ("status=canceled", &[canceled]),
        ("status=trialing", &[trial]),
        (
            &format!("customer={first}&status=all&limit=3"),
            &[canceled, trial, plain],
        ),
        (&format!("customer={second}"), &[]),
        (&format!("{by_clock}&status=all"), &[clocked]),
        (&by_clock, &[clocked]),
    ] {
        finds(&caller, "/v1/subscriptions", query, expected, false).await?;
    }
    // What a list leaves out is there all the same.
    caller.get(&format!("/v1/subscriptions/{clocked}")).await?;
    let list = caller.get("/v1/subscriptions?expand[]=data.customer&limit=1").await?;
    ensure!(
        list["data"][0]["customer"]["email"] == "a@b.c" && list["has_more"] == true,
        "{list}"
    );
    Ok(())
}

#[tokio::test]
async fn the_lines_of_a_session_are_a_list_of_its_own() -> Result<()> {
    let caller = Caller::new().await?;
    let line = |number: usize| {
        json!({
            "id": format!("li_{number}"), "object": "item", "amount_discount": 0, "amount_subtotal": 1,
            "amount_tax": 0, "amount_total": 1, "currency": "eur", "description": "Credits", "quantity": 1
        })
    };
    let lines: Vec<Value> = (1..=3).map(line).collect();
    let session = json!({"id": "cs_1", "object": "checkout.session", "line_items": {"data": lines}});
    caller.stripe.put("checkout/sessions", &session);
    let path = "/v1/checkout/sessions/cs_1/line_items";
    for (query, expected, more) in [
        ("limit=100", &["li_1", "li_2", "li_3"][..], false),
        ("limit=2", &["li_1", "li_2"], true),
        ("limit=2&starting_after=li_2", &["li_3"], false),
        ("limit=1&ending_before=li_3", &["li_2"], true),
    ] {
        finds(&caller, path, query, expected, more).await?;
    }
    let (status, code, ..) = caller.refused("GET /v1/checkout/sessions/cs_2/line_items", "").await?;
    ensure!((status, code.as_str()) == (404, "resource_missing"));
    Ok(())
}
