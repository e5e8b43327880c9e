//! Products.

use crate::stripe::account_mode::ServedRequest;
use crate::stripe::object_kind::{ListFilter, ObjectKind, PLAIN};
use crate::stripe::objects::price;
use crate::stripe::stripe_error::StripeError;
use serde_json::{Map, Value, json};

pub(crate) const PRODUCTS: ObjectKind = ObjectKind {
    collection: "products",
    object: "product",
    prefix: "prod",
    permission: "product",
    events: "product",
    columns: &["/id", "/active"],
    filters: &[("active", ListFilter::Is("/active")), ("ids", ListFilter::In("/id"))],
    aside: &["default_price_data"],
    blank: Some(|call| {
        json!({
            "active": true,
            "default_price": null,
            "description": null,
            "images": [],
            "livemode": call.mode.is_live,
            "marketing_features": [],
            "metadata": {},
            "name": null,
            "package_dimensions": null,
            "shippable": null,
            "statement_descriptor": null,
            "tax_code": null,
            "unit_label": null,
            "updated": call.now,
            "url": null
        })
    }),
    settle,
    deleted,
    ..PLAIN
};

/// Refuses a text that is not a tax code (Stripe: Product tax categories).
pub(crate) fn known_tax_code(param: &str, code: &str) -> Result<(), StripeError> {
    let digits = code.strip_prefix("txcd_").unwrap_or_default();
    if digits.len() == 8 && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(());
    }
    Err(StripeError::no_such(param, "tax_code", code))
}

fn settle(call: &mut ServedRequest, old: Option<&Value>, product: &mut Value) -> Result<(), StripeError> {
    if let Some(code) = call.text("tax_code").filter(|code| !code.is_empty()) {
        known_tax_code("tax_code", code)?;
    }
    for (name, most) in [("images", 8), ("marketing_features", 15)] {
        if product[name].as_array().is_some_and(|list| list.len() > most) {
            return Err(StripeError::of(
                name,
                format!("You can only specify up to {most} {name}."),
            ));
        }
    }
    if let Some(id) = call.text("default_price") {
        let price = call.need("default_price", "prices", id)?;
        if price["product"] != product["id"] {
            let message = format!("The price `{id}` does not belong to this product.");
            return Err(StripeError::of("default_price", message));
        }
        if price["active"] != true {
            let message = format!("The price `{id}` is inactive and cannot be set as the default price.");
            return Err(StripeError::of("default_price", message));
        }
    }
    product["updated"] = json!(call.now);
    if let (None, Some(data)) = (old, call.params.get("default_price_data").and_then(Value::as_object)) {
        let mut params: Map<String, Value> = data.clone();
        params.insert("product".to_owned(), product["id"].clone());
        product["default_price"] = price::of_product(call, &params, product)?["id"].take();
    }
    Ok(())
}

fn deleted(call: &mut ServedRequest, product: &Value) -> Result<(), StripeError> {
    let id = product["id"].as_str().unwrap_or_default();
    if call.mode.objects_with("prices", "/product", id).is_empty() {
        return Ok(());
    }
    let message = "This product cannot be deleted because it has one or more user-created prices.";
    Err(StripeError::new(400, message))
}
