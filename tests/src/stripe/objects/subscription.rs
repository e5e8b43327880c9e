//! Subscriptions.

use crate::stripe::account::Call;
use crate::stripe::objects::test_clock;
use crate::stripe::refusal::Refusal;
use crate::stripe::resource::{Filter, PLAIN, Resource, on_wished_clock};
use crate::stripe::table::Row;
use serde_json::{Map, Value, json};
use time::{Date, Duration, Month, OffsetDateTime};

const DAY: i64 = 24 * 60 * 60;

pub(crate) const SUBSCRIPTIONS: Resource = Resource {
    collection: "subscriptions",
    object: "subscription",
    prefix: "sub",
    permission: "subscription",
    columns: &[
        "/collection_method",
        "/customer",
        "/items/data/0/price/id",
        "/status",
        "/test_clock",
    ],
    indexed: &["/customer", "/test_clock"],
    filters: &[
        ("collection_method", Filter::Is("/collection_method")),
        ("customer", Filter::Is("/customer")),
        ("price", Filter::Is("/items/data/0/price/id")),
        ("status", Filter::Seen),
        ("test_clock", Filter::Seen),
    ],
    shows: |resource, row, params, _| {
        has_wished_status(resource, row, params) && on_wished_clock(resource, row, params)
    },
    aside: &[
        "add_invoice_items",
        "backdate_start_date",
        "items",
        "off_session",
        "payment_behavior",
        "proration_behavior",
        "proration_date",
        "trial_from_plan",
        "trial_period_days",
    ],
    blank: Some(blank),
    settle,
    ..PLAIN
};

/// The fields that are null unless something is said.
const NULL_AT_FIRST: [&str; 24] = [
    "application",
    "application_fee_percent",
    "billing_cycle_anchor_config",
    "billing_thresholds",
    "cancel_at",
    "canceled_at",
    "customer_account",
    "days_until_due",
    "default_payment_method",
    "default_source",
    "description",
    "ended_at",
    "latest_invoice",
    "next_pending_invoice_item_invoice",
    "on_behalf_of",
    "pause_collection",
    "pending_invoice_item_interval",
    "pending_setup_intent",
    "pending_update",
    "schedule",
    "test_clock",
    "transfer_data",
    "trial_end",
    "trial_start",
];

fn blank(call: &Call) -> Value {
    let mut subscription = json!({
        "automatic_tax": {"disabled_reason": null, "enabled": false, "liability": null},
        "billing_mode": {"flexible": {"proration_discounts": "included"}, "type": "flexible"},
        "billing_schedules": [],
        "cancel_at_period_end": false,
        "cancellation_details": {"comment": null, "feedback": null, "reason": null},
        "collection_method": "charge_automatically",
        "customer": null,
        "default_tax_rates": [],
        "discounts": [],
        "invoice_settings": {"account_tax_ids": null, "issuer": {"type": "self"}},
        "livemode": call.mode.is_live,
        "managed_payments": {"enabled": false},
        "metadata": {},
        "payment_settings": {
            "payment_method_options": null, "payment_method_types": null, "save_default_payment_method": "off"
        },
        "status": "active",
        "trial_settings": {"end_behavior": {"missing_payment_method": "create_invoice"}}
    });
    for field in NULL_AT_FIRST {
        subscription[field] = Value::Null;
    }
    subscription
}

/// All but the canceled ones, unless a status is asked for.
fn has_wished_status(resource: &Resource, row: &Row, params: &Map<String, Value>) -> bool {
    let status = row.column(resource, "/status").as_str().unwrap_or_default();
    match params.get("status").and_then(Value::as_str) {
        None => status != "canceled" && status != "incomplete_expired",
        Some("all") => true,
        Some("ended") => ["canceled", "incomplete_expired"].contains(&status),
        Some(wished) => status == wished,
    }
}

fn settle(call: &mut Call, old: Option<&Value>, subscription: &mut Value) -> Result<(), Refusal> {
    let Some(customer) = subscription["customer"].as_str() else {
        return Err(Refusal::missing("customer"));
    };
    let customer = call.need("customer", "customers", customer)?;
    if customer["deleted"] == true {
        let id = customer["id"].as_str().unwrap_or_default();
        return Err(Refusal::unheard_of("customer", "customer", id));
    }
    let now = match customer["test_clock"].as_str() {
        Some(clock) => test_clock::time(call, clock)?,
        None => call.now,
    };
    let Some(old) = old else {
        subscription["test_clock"] = customer["test_clock"].clone();
        return start(call, subscription, now);
    };
    if old["status"] == "canceled" {
        return Err(Refusal::new(
            400,
            "A canceled subscription can only update its cancellation_details and metadata.",
        ));
    }
    if call.has("items") {
        return Err(Refusal::not_played("change the items of a subscription"));
    }
    if old["cancel_at_period_end"] != subscription["cancel_at_period_end"] {
        let is_asked = subscription["cancel_at_period_end"] == true;
        let end = subscription["items"]["data"][0]["current_period_end"].clone();
        subscription["cancel_at"] = if is_asked { end } else { Value::Null };
        subscription["canceled_at"] = if is_asked { json!(now) } else { Value::Null };
    }
    Ok(())
}

fn start(call: &mut Call, subscription: &mut Value, now: i64) -> Result<(), Refusal> {
    for field in ["created", "start_date", "billing_cycle_anchor"] {
        subscription[field] = json!(now);
    }
    let days = call.params.get("trial_period_days").and_then(Value::as_i64);
    let trial_end = days.map(|days| now + days * DAY).or(subscription["trial_end"].as_i64());
    let trial_end = trial_end.filter(|end| *end > now);
    if trial_end.is_some() {
        subscription["status"] = json!("trialing");
        subscription["trial_start"] = json!(now);
    }
    subscription["trial_end"] = json!(trial_end);
    let wishes = call
        .params
        .get("items")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    if wishes.is_empty() {
        return Err(Refusal::missing("items"));
    }
    let mut items = Vec::new();
    for (number, wish) in wishes.iter().enumerate() {
        let at = format!("items[{number}][price]");
        let Some(id) = wish["price"].as_str() else {
            return Err(Refusal::missing(&at));
        };
        let mut price = call.need(&at, "prices", id)?;
        if price["type"] != "recurring" {
            let message = "The price specified is set to `type=one_time` but this field only accepts prices with \
                           `type=recurring`.";
            return Err(Refusal::of(&at, message));
        }
        if let Some(fields) = price.as_object_mut() {
            fields.remove("currency_options");
        }
        subscription["currency"] = price["currency"].clone();
        items.push(json!({
            "id": call.id("si"), "object": "subscription_item", "billing_thresholds": null, "created": now,
            "current_period_start": now, "current_period_end": trial_end.unwrap_or_else(|| period_end(&price, now)),
            "discounts": [], "metadata": wish.get("metadata").unwrap_or(&json!({})), "price": price,
            "quantity": wish.get("quantity").unwrap_or(&json!(1)), "subscription": subscription["id"], "tax_rates": []
        }));
    }
    let url = format!(
        "/v1/subscription_items?subscription={}",
        subscription["id"].as_str().unwrap_or_default()
    );
    subscription["items"] = json!({"object": "list", "data": items, "has_more": false, "url": url});
    subscription["latest_invoice"] = json!(call.id("in"));
    Ok(())
}

/// Ends it.
pub(crate) fn end(subscription: &mut Value, at: i64) {
    if subscription["status"] == "canceled" {
        return;
    }
    subscription["status"] = json!("canceled");
    subscription["ended_at"] = json!(at);
    if subscription["canceled_at"].is_null() {
        subscription["canceled_at"] = json!(at);
    }
}

/// Lets it live until `time`: trials end, periods are paid and follow each other, and what was to be
/// canceled is. Returns whether anything changed.
pub(crate) fn move_on(subscription: &mut Value, time: i64) -> bool {
    let mut changed = false;
    loop {
        let item = &subscription["items"]["data"][0];
        let Some(end_of_period) = item["current_period_end"].as_i64().filter(|end| *end <= time) else {
            return changed;
        };
        if !["active", "trialing", "past_due"]
            .iter()
            .any(|status| subscription["status"] == *status)
        {
            return changed;
        }
        changed = true;
        if subscription["cancel_at"].as_i64().is_some_and(|at| at <= end_of_period) {
            end(subscription, end_of_period);
            continue;
        }
        subscription["status"] = json!("active");
        for item in subscription["items"]["data"].as_array_mut().into_iter().flatten() {
            item["current_period_start"] = json!(end_of_period);
            item["current_period_end"] = json!(period_end(&item["price"], end_of_period));
        }
    }
}

/// When a period of `price` that starts at `start` ends.
fn period_end(price: &Value, start: i64) -> i64 {
    let count = price["recurring"]["interval_count"].as_i64().unwrap_or(1);
    let months = match price["recurring"]["interval"].as_str() {
        Some("day") => return start + count * DAY,
        Some("week") => return start + count * 7 * DAY,
        Some("year") => count * 12,
        _ => count,
    };
    let Ok(start) = OffsetDateTime::from_unix_timestamp(start) else {
        return start;
    };
    let month = i64::from(start.year()) * 12 + i64::from(u8::from(start.month())) - 1 + months;
    let (year, month) = (i32::try_from(month / 12), u8::try_from(month % 12 + 1));
    let first = year.ok().zip(month.ok().and_then(|month| Month::try_from(month).ok()));
    // Of a month that is too short it is the last day.
    let date = first.and_then(|(year, month)| {
        let day = start.day().min(month.length(year));
        Date::from_calendar_date(year, month, day).ok()
    });
    date.map_or(start + Duration::days(30 * months), |date| start.replace_date(date))
        .unix_timestamp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_ends_on_the_same_day_or_the_last_of_a_shorter_month() {
        // 2026-01-31, 2026-02-28, 2027-01-31, 2026-02-01, 2026-02-07, in UTC.
        let start = 1_769_860_800;
        for (interval, count, end) in [
            ("month", 1, 1_772_280_000),
            ("year", 1, 1_801_396_800),
            ("day", 1, 1_769_947_200),
            ("week", 1, 1_770_465_600),
        ] {
            let price = json!({"recurring": {"interval": interval, "interval_count": count}});
            assert_eq!(period_end(&price, start), end, "{interval}");
        }
    }
}
