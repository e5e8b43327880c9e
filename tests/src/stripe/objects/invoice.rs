//! Invoices of subscriptions. The stand-in makes them, always paid.

use crate::stripe::account_mode::ServedRequest;
use crate::stripe::object_kind::{ListFilter, ObjectKind, PLAIN};
use serde_json::{Value, json};

const SUBSCRIPTION: &str = "/parent/subscription_details/subscription";

pub(crate) const INVOICES: ObjectKind = ObjectKind {
    collection: "invoices",
    object: "invoice",
    prefix: "in",
    permission: "invoice",
    columns: &["/customer", "/status", "/test_clock", SUBSCRIPTION],
    indexed: &["/customer", "/test_clock", SUBSCRIPTION],
    filters: &[
        ("customer", ListFilter::Is("/customer")),
        ("status", ListFilter::Is("/status")),
        ("subscription", ListFilter::Is(SUBSCRIPTION)),
    ],
    ..PLAIN
};

/// Adds the paid invoice of `subscription` for its current period, which begins now; returns its id.
/// `period` is the start and the end of the period in which its items were collected.
pub(crate) fn paid(call: &mut ServedRequest, subscription: &Value, reason: &str, period: (i64, i64)) -> String {
    let id = call.id(INVOICES.prefix);
    let now = period.1;
    let items = subscription["items"]["data"].as_array().map_or(&[][..], Vec::as_slice);
    let is_trial = subscription["trial_end"].as_i64().is_some_and(|end| end > now);
    let lines: Vec<Value> = items.iter().map(|item| line(call, &id, item, is_trial)).collect();
    let total: i64 = lines.iter().filter_map(|line| line["amount"].as_i64()).sum();
    let mut invoice = json!({
        "id": id,
        "object": INVOICES.object,
        "attempt_count": 1,
        "attempted": true,
        "auto_advance": false,
        "automatic_tax": {"disabled_reason": null, "enabled": false, "liability": null, "provider": null, "status": null},
        "billing_reason": reason,
        "collection_method": "charge_automatically",
        "created": now,
        "currency": subscription["currency"],
        "customer": subscription["customer"],
        "default_tax_rates": [],
        "discounts": [],
        "issuer": {"type": "self"},
        "lines": {"object": "list", "data": lines, "has_more": false, "url": format!("/v1/invoices/{id}/lines")},
        "livemode": call.mode.is_live,
        "metadata": {},
        "parent": {
            "quote_details": null,
            "subscription_details": {"metadata": subscription["metadata"], "subscription": subscription["id"]},
            "type": "subscription_details"
        },
        "payment_settings": {
            "default_mandate": null, "payment_method_options": null, "payment_method_types": null
        },
        "period_end": period.1,
        "period_start": period.0,
        "status": "paid",
        "status_transitions": {
            "finalized_at": now, "marked_uncollectible_at": null, "paid_at": now, "voided_at": null
        },
        "test_clock": subscription["test_clock"]
    });
    for field in ["amount_due", "amount_paid", "subtotal", "total"] {
        invoice[field] = json!(total);
    }
    for field in [
        "amount_overpaid",
        "amount_paid_off_stripe",
        "amount_remaining",
        "amount_shipping",
        "post_payment_credit_notes_amount",
        "pre_payment_credit_notes_amount",
        "starting_balance",
    ] {
        invoice[field] = json!(0);
    }
    call.mode.put(INVOICES.collection, &invoice);
    call.add_event("invoice.paid", &invoice, None);
    id
}

/// The invoice line of an item for its current period.
fn line(call: &mut ServedRequest, invoice: &str, item: &Value, is_trial: bool) -> Value {
    let (price, quantity) = (&item["price"], item["quantity"].as_i64().unwrap_or(1));
    let amount = if is_trial {
        0
    } else {
        price["unit_amount"].as_i64().unwrap_or_default() * quantity
    };
    json!({
        "id": call.id("il"),
        "object": "line_item",
        "amount": amount,
        "currency": price["currency"],
        "description": null,
        "discount_amounts": [],
        "discountable": true,
        "discounts": [],
        "invoice": invoice,
        "livemode": call.mode.is_live,
        "metadata": {},
        "parent": {
            "invoice_item_details": null,
            "subscription_item_details": {
                "invoice_item": null,
                "proration": false,
                "proration_details": null,
                "subscription": item["subscription"],
                "subscription_item": item["id"]
            },
            "type": "subscription_item_details"
        },
        "period": {"end": item["current_period_end"], "start": item["current_period_start"]},
        "pricing": {
            "price_details": {"price": price["id"], "product": price["product"]},
            "type": "price_details",
            "unit_amount_decimal": price["unit_amount_decimal"]
        },
        "quantity": quantity,
        "subtotal": amount
    })
}
