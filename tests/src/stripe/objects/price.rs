//! Prices.

use crate::stripe::account_mode::ServedRequest;
use crate::stripe::merge::merge;
use crate::stripe::object_kind::{ListFilter, ObjectKind, PLAIN};
use crate::stripe::stripe_error::StripeError;
use serde_json::{Map, Value, json};

pub(crate) const PRICES: ObjectKind = ObjectKind {
    collection: "prices",
    object: "price",
    prefix: "price",
    permission: "plan",
    events: "price",
    columns: &[
        "/active",
        "/currency",
        "/lookup_key",
        "/product",
        "/recurring/interval",
        "/type",
    ],
    indexed: &["/lookup_key", "/product"],
    filters: &[
        ("active", ListFilter::Is("/active")),
        ("currency", ListFilter::Is("/currency")),
        ("lookup_keys", ListFilter::In("/lookup_key")),
        ("product", ListFilter::Is("/product")),
        ("type", ListFilter::Is("/type")),
    ],
    hidden: &["/currency_options", "/tiers"],
    aside: &["product_data", "transfer_lookup_key"],
    blank: Some(blank),
    settle,
    ..PLAIN
};

fn blank(call: &ServedRequest) -> Value {
    json!({
        "active": true,
        "billing_scheme": "per_unit",
        "currency": null,
        "custom_unit_amount": null,
        "livemode": call.mode.is_live,
        "lookup_key": null,
        "metadata": {},
        "nickname": null,
        "product": null,
        "recurring": null,
        "tax_behavior": "unspecified",
        "tiers_mode": null,
        "transform_quantity": null,
        "type": "one_time",
        "unit_amount": null,
        "unit_amount_decimal": null
    })
}

/// Creates the price in `default_price_data` of a new product.
pub(crate) fn of_product(
    call: &mut ServedRequest,
    params: &Map<String, Value>,
    product: &Value,
) -> Result<Value, StripeError> {
    let mut price = blank(call);
    merge(&mut price, params);
    price["id"] = json!(call.id(PRICES.prefix));
    price["object"] = json!(PRICES.object);
    price["created"] = product["created"].clone();
    complete(&mut price)?;
    call.mode.put(PRICES.collection, &price);
    Ok(price)
}

fn settle(call: &mut ServedRequest, old: Option<&Value>, price: &mut Value) -> Result<(), StripeError> {
    if let Some(old) = old {
        change(call, old, price)?;
    } else {
        create(call, price)?;
    }
    if let Some(key) = call.text("lookup_key").map(str::to_owned) {
        take_lookup_key(call, price, &key)?;
    }
    Ok(())
}

fn create(call: &mut ServedRequest, price: &mut Value) -> Result<(), StripeError> {
    let Some(product) = call.text("product") else {
        let why = if call.has("product_data") {
            StripeError::not_supported("create a product with a price")
        } else {
            StripeError::missing("product")
        };
        return Err(why);
    };
    call.need("product", "products", product)?;
    complete(price)
}

/// Computes the fields of a new price that depend on its parameters.
fn complete(price: &mut Value) -> Result<(), StripeError> {
    let currency = price["currency"].as_str().unwrap_or_default().to_lowercase();
    if currency.len() != 3 {
        let message = format!("Invalid currency: {currency}. Stripe currently supports these currencies: usd, eur, …");
        return Err(StripeError::of("currency", message));
    }
    price["currency"] = json!(currency);
    if !price["unit_amount"].is_null() && !price["unit_amount_decimal"].is_null() {
        let message = "You may only specify one of these parameters: unit_amount, unit_amount_decimal.";
        return Err(StripeError::of("unit_amount", message).code("parameters_exclusive"));
    }
    if let Some(amount) = price["unit_amount"].as_i64() {
        if amount < 0 {
            let message = "Invalid non-negative integer";
            return Err(StripeError::of("unit_amount", message).code("parameter_invalid_integer"));
        }
        price["unit_amount_decimal"] = json!(amount.to_string());
    } else if let Some(amount) = price["unit_amount_decimal"].as_str() {
        price["unit_amount"] = json!(amount.parse::<i64>().ok());
    } else if price["custom_unit_amount"].is_null() && price["billing_scheme"] == "per_unit" {
        let message = "Prices require an `unit_amount` or `unit_amount_decimal` parameter to be set.";
        return Err(StripeError::new(400, message));
    }
    if price["recurring"].is_object() {
        price["type"] = json!("recurring");
        for (field, value) in [
            ("interval_count", json!(1)),
            ("meter", Value::Null),
            ("usage_type", json!("licensed")),
        ] {
            if price["recurring"][field].is_null() {
                price["recurring"][field] = value;
            }
        }
    }
    let own = json!({
        "custom_unit_amount": price["custom_unit_amount"],
        "tax_behavior": price["tax_behavior"],
        "unit_amount": price["unit_amount"],
        "unit_amount_decimal": price["unit_amount_decimal"]
    });
    price["currency_options"][&currency] = own;
    Ok(())
}

fn change(call: &mut ServedRequest, old: &Value, price: &mut Value) -> Result<(), StripeError> {
    if old["tax_behavior"] != price["tax_behavior"] && old["tax_behavior"] != "unspecified" {
        let message = "Once specified as either `inclusive` or `exclusive`, the tax behavior of a price cannot be \
                       changed.";
        return Err(StripeError::of("tax_behavior", message));
    }
    if old["active"] == true && price["active"] == false {
        let product = old["product"].as_str().unwrap_or_default();
        let product = call.mode.find("products", product);
        if product.is_some_and(|product| product["default_price"] == price["id"]) {
            let message = "This price cannot be archived because it is the default price of its product.";
            return Err(StripeError::new(400, message));
        }
    }
    let currency = price["currency"].as_str().unwrap_or_default().to_owned();
    price["currency_options"][&currency]["tax_behavior"] = price["tax_behavior"].clone();
    Ok(())
}

/// Gives a lookup key to `price`. Another price may lose it only by a transfer, even if it is archived.
fn take_lookup_key(call: &mut ServedRequest, price: &Value, key: &str) -> Result<(), StripeError> {
    let holders = call.mode.objects_with(PRICES.collection, "/lookup_key", key);
    for mut holder in holders.into_iter().filter(|holder| holder["id"] != price["id"]) {
        if call.params.get("transfer_lookup_key") != Some(&json!(true)) {
            let id = holder["id"].as_str().unwrap_or_default();
            let message = format!("A price (`{id}`) already uses that lookup key.");
            return Err(StripeError::of("lookup_key", message));
        }
        holder["lookup_key"] = Value::Null;
        call.mode.put(PRICES.collection, &holder);
    }
    Ok(())
}
