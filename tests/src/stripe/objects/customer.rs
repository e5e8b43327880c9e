//! Customers.

use crate::stripe::account_mode::ServedRequest;
use crate::stripe::object_kind::{ListFilter, ObjectKind, PLAIN, is_on_requested_clock};
use crate::stripe::objects::{subscription_life, test_clock};
use crate::stripe::stripe_error::StripeError;
use serde_json::{Value, json};

pub(crate) const CUSTOMERS: ObjectKind = ObjectKind {
    collection: "customers",
    object: "customer",
    prefix: "cus",
    permission: "customer",
    events: "customer",
    columns: &["/email", "/test_clock", "/deleted"],
    indexed: &["/test_clock"],
    filters: &[("email", ListFilter::Is("/email")), ("test_clock", ListFilter::ByShows)],
    shows: |kind, row, params, _| {
        row.column(kind.columns, "/deleted").is_null() && is_on_requested_clock(kind, row, params)
    },
    blank: Some(|call| {
        json!({
            "address": null,
            "balance": 0,
            "currency": null,
            "default_source": null,
            "delinquent": false,
            "description": null,
            "discount": null,
            "email": null,
            "invoice_prefix": "STANDIN1",
            "invoice_settings": {
                "custom_fields": null, "default_payment_method": null, "footer": null, "rendering_options": null
            },
            "livemode": call.mode.is_live,
            "metadata": {},
            "name": null,
            "next_invoice_sequence": 1,
            "phone": null,
            "preferred_locales": [],
            "shipping": null,
            "tax_exempt": "none",
            "test_clock": null
        })
    }),
    leaves_stub: true,
    aside: &["payment_method", "source", "tax", "tax_id_data"],
    settle,
    deleted: |call, customer| {
        let now = test_clock::time_of(call, customer)?;
        end_subscriptions(call, customer, now);
        Ok(())
    },
    ..PLAIN
};

fn settle(call: &mut ServedRequest, old: Option<&Value>, customer: &mut Value) -> Result<(), StripeError> {
    let time = test_clock::time_of(call, customer)?;
    if old.is_none() {
        customer["created"] = json!(time);
    }
    Ok(())
}

/// Ends the subscriptions of a deleted customer.
fn end_subscriptions(call: &mut ServedRequest, customer: &Value, now: i64) {
    let id = customer["id"].as_str().unwrap_or_default();
    for mut subscription in call.mode.objects_with("subscriptions", "/customer", id) {
        subscription_life::end(call, &mut subscription, now);
    }
}
