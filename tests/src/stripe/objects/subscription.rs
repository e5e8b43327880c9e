//! Subscriptions.

use crate::fixtures::DAY;
use crate::stripe::account_mode::ServedRequest;
use crate::stripe::object_kind::{ListFilter, ObjectKind, PLAIN, is_on_requested_clock};
use crate::stripe::object_table::StoredObject;
use crate::stripe::objects::billing_period::period_end;
use crate::stripe::objects::{invoice, test_clock};
use crate::stripe::stripe_error::StripeError;
use serde_json::{Map, Value, json};

pub(crate) const SUBSCRIPTIONS: ObjectKind = ObjectKind {
    collection: "subscriptions",
    object: "subscription",
    prefix: "sub",
    permission: "subscription",
    events: "customer.subscription",
    columns: &[
        "/collection_method",
        "/customer",
        "/items/data/0/price/id",
        "/status",
        "/test_clock",
    ],
    indexed: &["/customer", "/test_clock"],
    filters: &[
        ("collection_method", ListFilter::Is("/collection_method")),
        ("customer", ListFilter::Is("/customer")),
        ("price", ListFilter::Is("/items/data/0/price/id")),
        ("status", ListFilter::ByShows),
        ("test_clock", ListFilter::ByShows),
    ],
    shows: |kind, row, params, _| has_requested_status(kind, row, params) && is_on_requested_clock(kind, row, params),
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

/// The fields that are null in a new subscription unless the request sets them.
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

fn blank(call: &ServedRequest) -> Value {
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

/// Whether a list shows `row`: all but canceled subscriptions, or those of the requested status.
fn has_requested_status(kind: &ObjectKind, row: &StoredObject, params: &Map<String, Value>) -> bool {
    let status = row.column(kind.columns, "/status").as_str().unwrap_or_default();
    match params.get("status").and_then(Value::as_str) {
        None => status != "canceled",
        Some("all") => true,
        Some("ended") => ["canceled", "incomplete_expired"].contains(&status),
        Some(wished) => status == wished,
    }
}

fn settle(call: &mut ServedRequest, old: Option<&Value>, subscription: &mut Value) -> Result<(), StripeError> {
    let Some(customer) = subscription["customer"].as_str() else {
        return Err(StripeError::missing("customer"));
    };
    let customer = call.need("customer", "customers", customer)?;
    if customer["deleted"] == true {
        let id = customer["id"].as_str().unwrap_or_default();
        return Err(StripeError::no_such("customer", "customer", id));
    }
    let now = test_clock::time_of(call, &customer)?;
    let Some(old) = old else {
        subscription["test_clock"] = customer["test_clock"].clone();
        return start(call, subscription, now);
    };
    if old["status"] == "canceled" {
        return Err(StripeError::new(
            400,
            "A canceled subscription can only update its cancellation_details and metadata.",
        ));
    }
    if call.has("items") {
        return Err(StripeError::not_supported("change the items of a subscription"));
    }
    if old["cancel_at_period_end"] != subscription["cancel_at_period_end"] {
        let is_asked = subscription["cancel_at_period_end"] == true;
        let end = subscription["items"]["data"][0]["current_period_end"].clone();
        subscription["cancel_at"] = if is_asked { end } else { Value::Null };
        subscription["canceled_at"] = if is_asked { json!(now) } else { Value::Null };
    }
    Ok(())
}

fn start(call: &mut ServedRequest, subscription: &mut Value, now: i64) -> Result<(), StripeError> {
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
        return Err(StripeError::missing("items"));
    }
    let mut items = Vec::new();
    for (number, wish) in wishes.iter().enumerate() {
        let at = format!("items[{number}][price]");
        let Some(id) = wish["price"].as_str() else {
            return Err(StripeError::missing(&at));
        };
        let mut price = call.need(&at, "prices", id)?;
        if price["type"] != "recurring" {
            let message = "The price specified is set to `type=one_time` but this field only accepts prices with \
                           `type=recurring`.";
            return Err(StripeError::of(&at, message));
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
    let invoice = invoice::paid(call, subscription, "subscription_create", (now, now));
    subscription["latest_invoice"] = json!(invoice);
    Ok(())
}
