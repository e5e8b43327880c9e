//! Coupons.

use crate::fixtures::DAY;
use crate::stripe::account_mode::ServedRequest;
use crate::stripe::object_kind::{ObjectKind, PLAIN};
use crate::stripe::stripe_error::StripeError;
use serde_json::{Value, json};

/// How far in the future `redeem_by` may be.
const REDEEM_BY_SECONDS_MAX: i64 = 5 * 366 * DAY;

pub(crate) const COUPONS: ObjectKind = ObjectKind {
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

fn settle(call: &mut ServedRequest, old: Option<&Value>, coupon: &mut Value) -> Result<(), StripeError> {
    if old.is_some() {
        return Ok(());
    }
    for name in ["amount_off", "duration_in_months", "max_redemptions"] {
        positive(coupon, name)?;
    }
    reduction(coupon)?;
    match (
        coupon["duration"] == "repeating",
        coupon["duration_in_months"].is_null(),
    ) {
        (true, true) => return Err(StripeError::missing("duration_in_months")),
        (false, false) => {
            let message = "duration_in_months can only be used with duration=repeating";
            return Err(StripeError::of("duration_in_months", message));
        }
        _ => {}
    }
    let redeem_by = coupon["redeem_by"].as_i64();
    if redeem_by.is_some_and(|end| end <= call.now || end > call.now + REDEEM_BY_SECONDS_MAX) {
        return Err(StripeError::of("redeem_by", "redeem_by must be in the next five years"));
    }
    let products = coupon["applies_to"]["products"].as_array().into_iter().flatten();
    for (number, product) in products.filter_map(Value::as_str).enumerate() {
        call.need(&format!("applies_to[products][{number}]"), "products", product)?;
    }
    Ok(())
}

/// Refuses a number below 1.
pub(crate) fn positive(object: &Value, name: &str) -> Result<(), StripeError> {
    if object[name].as_i64().is_none_or(|number| number > 0) {
        return Ok(());
    }
    Err(StripeError::of(name, "Invalid positive integer").code("parameter_invalid_integer"))
}

/// Checks the discount: a percentage, or an amount in a currency.
fn reduction(coupon: &mut Value) -> Result<(), StripeError> {
    match (coupon["amount_off"].as_i64(), coupon["percent_off"].as_f64()) {
        (None, None) => return Err(StripeError::new(400, "Must provide percent_off or amount_off")),
        (Some(_), Some(_)) => {
            let message = "You may only specify one of these parameters: amount_off, percent_off.";
            return Err(StripeError::of("amount_off", message).code("parameters_exclusive"));
        }
        (None, Some(percent)) if percent <= 0.0 || percent > 100.0 => {
            return Err(StripeError::of(
                "percent_off",
                "Invalid percent_off: must be above 0 and up to 100",
            ));
        }
        (None, Some(_)) if !coupon["currency_options"].is_null() => {
            return Err(StripeError::of(
                "currency_options",
                "currency_options can only be used with amount_off",
            ));
        }
        (None, Some(_)) => {}
        (Some(amount), None) => {
            let Some(currency) = coupon["currency"].as_str().map(str::to_lowercase) else {
                return Err(StripeError::missing("currency"));
            };
            coupon["currency"] = json!(currency);
            coupon["currency_options"][&currency] = json!({"amount_off": amount});
        }
    }
    Ok(())
}
