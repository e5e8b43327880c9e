//! Coupons.

use crate::stripe::account::Call;
use crate::stripe::refusal::Refusal;
use crate::stripe::resource::{PLAIN, Resource};
use serde_json::{Value, json};

pub(crate) const COUPONS: Resource = Resource {
    collection: "coupons",
    object: "coupon",
    permission: "coupon",
    events: "coupon",
    hidden: &["/applies_to", "/currency_options"],
    blank: Some(|call| {
        json!({
            "amount_off": null,
            "currency": null,
            "duration": "once",
            "duration_in_months": null,
            "livemode": call.mode.is_live,
            "max_redemptions": null,
            "metadata": {},
            "name": null,
            "percent_off": null,
            "redeem_by": null,
            "times_redeemed": 0,
            "valid": true
        })
    }),
    settle,
    ..PLAIN
};

fn settle(call: &mut Call, old: Option<&Value>, coupon: &mut Value) -> Result<(), Refusal> {
    if old.is_some() {
        return Ok(());
    }
    match (coupon["amount_off"].as_i64(), coupon["percent_off"].as_f64()) {
        (None, None) => return Err(Refusal::new(400, "Must provide percent_off or amount_off")),
        (Some(_), Some(_)) => {
            let message = "You may only specify one of these parameters: amount_off, percent_off.";
            return Err(Refusal::of("amount_off", message).code("parameters_exclusive"));
        }
        (None, Some(percent)) if percent <= 0.0 || percent > 100.0 => {
            return Err(Refusal::of(
                "percent_off",
                "Invalid percent_off: must be above 0 and up to 100",
            ));
        }
        (Some(_), None) if coupon["currency"].is_null() => return Err(Refusal::missing("currency")),
        (Some(amount), None) => {
            if let Some(currency) = coupon["currency"].as_str().map(str::to_lowercase) {
                coupon["currency"] = json!(currency);
                coupon["currency_options"][&currency] = json!({"amount_off": amount});
            }
        }
        _ => {}
    }
    if coupon["duration"] == "repeating" && coupon["duration_in_months"].is_null() {
        return Err(Refusal::missing("duration_in_months"));
    }
    if coupon["duration"] != "repeating" && !coupon["duration_in_months"].is_null() {
        let message = "duration_in_months can only be used with duration=repeating";
        return Err(Refusal::of("duration_in_months", message));
    }
    let products = coupon["applies_to"]["products"].as_array().into_iter().flatten();
    for product in products.filter_map(Value::as_str) {
        call.need("applies_to[products][0]", "products", product)?;
    }
    Ok(())
}
