//! Configurations of the customer portal.

use crate::stripe::account_mode::ServedRequest;
use crate::stripe::object_kind::{ListFilter, ObjectKind, PLAIN};
use crate::stripe::stripe_error::StripeError;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const PRODUCTS: &str = "features[subscription_update][products]";
const PRODUCTS_MAX: usize = 10;

pub(crate) const CONFIGURATIONS: ObjectKind = ObjectKind {
    collection: "billing_portal/configurations",
    object: "billing_portal.configuration",
    prefix: "bpc",
    permission: "customer_portal",
    events: "billing_portal.configuration",
    columns: &["/active", "/is_default"],
    filters: &[
        ("active", ListFilter::Is("/active")),
        ("is_default", ListFilter::Is("/is_default")),
    ],
    hidden: &["/features/subscription_update/products"],
    blank: Some(blank),
    settle,
    ..PLAIN
};

fn blank(call: &ServedRequest) -> Value {
    json!({
        "active": true,
        "application": null,
        "business_profile": {"headline": null, "privacy_policy_url": null, "terms_of_service_url": null},
        "default_return_url": null,
        "features": {
            "customer_update": {"allowed_updates": [], "enabled": false},
            "invoice_history": {"enabled": false},
            "payment_method_update": {"enabled": false, "payment_method_configuration": null},
            "subscription_cancel": {
                "cancellation_reason": {"enabled": false, "options": []},
                "enabled": false,
                "mode": "at_period_end",
                "proration_behavior": "none"
            },
            "subscription_update": {
                "billing_cycle_anchor": null,
                "default_allowed_updates": [],
                "enabled": false,
                "products": [],
                "proration_behavior": "none",
                "schedule_at_period_end": {"conditions": []},
                "trial_update_behavior": "end_trial"
            }
        },
        "is_default": false,
        "livemode": call.mode.is_live,
        "login_page": {"enabled": false, "url": null},
        "metadata": {},
        "name": null,
        "updated": call.now
    })
}

fn settle(call: &mut ServedRequest, old: Option<&Value>, portal: &mut Value) -> Result<(), StripeError> {
    portal["updated"] = json!(call.now);
    if portal["is_default"] == true && portal["active"] == false {
        return Err(StripeError::of(
            "active",
            "You cannot deactivate the default configuration.",
        ));
    }
    if portal["login_page"]["enabled"] == true && portal["login_page"]["url"].is_null() {
        portal["login_page"]["url"] = json!("https://billing.stripe.com/p/login/test_standin");
    }
    let features = &mut portal["features"];
    let customer = &features["customer_update"];
    if customer["enabled"] == true && customer["allowed_updates"] == json!([]) {
        let message = "You must allow at least one update if `customer_update` is enabled.";
        return Err(StripeError::of("features[customer_update][allowed_updates]", message));
    }
    let update = &mut features["subscription_update"];
    if update["enabled"] == true {
        for field in ["default_allowed_updates", "products"] {
            if update[field] == json!([]) {
                return Err(StripeError::missing(&format!("features[subscription_update][{field}]")));
            }
        }
    }
    let products = update["products"].as_array_mut();
    // Only features in this request are checked: older ones may have prices that were archived since.
    let sent = call.params.get("features");
    let is_sent = old.is_none() || sent.is_some_and(|sent| sent["subscription_update"]["products"].is_array());
    match products {
        Some(products) if is_sent => check_products(call, products),
        _ => Ok(()),
    }
}

fn check_products(call: &ServedRequest, products: &mut [Value]) -> Result<(), StripeError> {
    if products.len() > PRODUCTS_MAX {
        let message = format!("You cannot have more than {PRODUCTS_MAX} products.");
        return Err(StripeError::of(PRODUCTS, message));
    }
    for (number, product) in products.iter_mut().enumerate() {
        let id = product["product"].as_str().unwrap_or_default();
        call.need(&format!("{PRODUCTS}[{number}][product]"), "products", id)?;
        let mut intervals = BTreeSet::new();
        for (place, price) in product["prices"].as_array().into_iter().flatten().enumerate() {
            let at = format!("{PRODUCTS}[{number}][prices][{place}]");
            let price = call.need(&at, "prices", price.as_str().unwrap_or_default())?;
            check_price(&at, id, &price)?;
            if !intervals.insert((price["recurring"].to_string(), price["currency"].to_string())) {
                let message = format!("The prices of the product {id} must have unique billing intervals.");
                return Err(StripeError::of(&at, message));
            }
        }
        if product["adjustable_quantity"].is_null() {
            product["adjustable_quantity"] = json!({"enabled": false, "maximum": null, "minimum": 1});
        }
    }
    Ok(())
}

fn check_price(at: &str, product: &str, price: &Value) -> Result<(), StripeError> {
    let id = &price["id"];
    let wrong = if price["product"] != product {
        format!("does not belong to the product {product}")
    } else if price["type"] != "recurring" {
        "is not recurring".to_owned()
    } else if price["active"] != true {
        "is inactive".to_owned()
    } else {
        return Ok(());
    };
    Err(StripeError::of(at, format!("The price {id} {wrong}.")))
}
