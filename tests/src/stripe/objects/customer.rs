//! Customers.

use crate::stripe::account::Call;
use crate::stripe::objects::{life, test_clock};
use crate::stripe::refusal::Refusal;
use crate::stripe::resource::{Filter, PLAIN, Resource, on_wished_clock};
use serde_json::{Value, json};

pub(crate) const CUSTOMERS: Resource = Resource {
    collection: "customers",
    object: "customer",
    prefix: "cus",
    permission: "customer",
    events: "customer",
    columns: &["/email", "/test_clock", "/deleted"],
    indexed: &["/test_clock"],
    filters: &[("email", Filter::Is("/email")), ("test_clock", Filter::Seen)],
    shows: |resource, row, params, _| {
        row.column(resource, "/deleted").is_null() && on_wished_clock(resource, row, params)
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

fn settle(call: &mut Call, old: Option<&Value>, customer: &mut Value) -> Result<(), Refusal> {
    let time = test_clock::time_of(call, customer)?;
    if old.is_none() {
        customer["created"] = json!(time);
    }
    Ok(())
}

/// Its subscriptions end with it.
fn end_subscriptions(call: &mut Call, customer: &Value, now: i64) {
    let id = customer["id"].as_str().unwrap_or_default();
    for mut subscription in call.mode.having("subscriptions", "/customer", id) {
        life::end(call, &mut subscription, now);
    }
}
