//! Promotion codes.

use crate::stripe::account_mode::ServedRequest;
use crate::stripe::object_kind::{ListFilter, ObjectKind, PLAIN};
use crate::stripe::object_table::{ObjectTable, StoredObject};
use crate::stripe::objects::coupon::positive;
use crate::stripe::stripe_error::StripeError;
use serde_json::{Value, json};

pub(crate) const PROMOTION_CODES: ObjectKind = ObjectKind {
    collection: "promotion_codes",
    object: "promotion_code",
    prefix: "promo",
    permission: "promotion_code",
    events: "promotion_code",
    columns: &["/active", "/code", "/customer", "/promotion/coupon"],
    filters: &[
        ("active", ListFilter::Is("/active")),
        ("code", ListFilter::IsInAnyCase("/code")),
        ("coupon", ListFilter::Is("/promotion/coupon")),
        ("customer", ListFilter::Is("/customer")),
    ],
    hidden: &["/restrictions/currency_options"],
    blank: Some(|call| {
        json!({
            "active": true,
            "code": null,
            "customer": null,
            "customer_account": null,
            "expires_at": null,
            "livemode": call.mode.is_live,
            "max_redemptions": null,
            "metadata": {},
            "promotion": {"coupon": null, "type": "coupon"},
            "restrictions": {
                "first_time_transaction": false, "minimum_amount": null, "minimum_amount_currency": null
            },
            "times_redeemed": 0
        })
    }),
    settle,
    ..PLAIN
};

fn settle(call: &mut ServedRequest, old: Option<&Value>, promotion: &mut Value) -> Result<(), StripeError> {
    if old.is_none() {
        create(call, promotion)?;
    }
    let was_active = old.is_some_and(|old| old["active"] == true);
    if promotion["active"] == true && !was_active {
        activate(call, promotion)?;
    }
    Ok(())
}

fn create(call: &mut ServedRequest, promotion: &mut Value) -> Result<(), StripeError> {
    let Some(coupon) = promotion["promotion"]["coupon"].as_str() else {
        return Err(StripeError::missing("promotion[coupon]"));
    };
    let coupon = call.need("promotion[coupon]", "coupons", coupon)?;
    positive(promotion, "max_redemptions")?;
    for (field, of_coupon) in [("max_redemptions", "max_redemptions"), ("expires_at", "redeem_by")] {
        let (own, most) = (promotion[field].as_i64(), coupon[of_coupon].as_i64());
        if own.zip(most).is_some_and(|(own, most)| own > most) {
            let message = format!("{field} cannot be greater than the coupon's {of_coupon}.");
            return Err(StripeError::of(field, message));
        }
        // Without its own restriction the coupon's counts.
        if own.is_none() {
            promotion[field] = coupon[of_coupon].clone();
        }
    }
    let code = match promotion["code"].as_str() {
        Some(code) => code.to_owned(),
        None => call.id("RANDOM").replace('_', ""),
    };
    if !code.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        let message = "Promotion codes can only contain letters, digits and dashes.";
        return Err(StripeError::of("code", message));
    }
    promotion["code"] = json!(code);
    let restrictions = &promotion["restrictions"];
    if !restrictions["minimum_amount"].is_null() && restrictions["minimum_amount_currency"].is_null() {
        return Err(StripeError::missing("restrictions[minimum_amount_currency]"));
    }
    Ok(())
}

/// Activates a promotion. Only one per code, in upper or lower case, may be active for a customer or for all.
fn activate(call: &mut ServedRequest, promotion: &Value) -> Result<(), StripeError> {
    let code = promotion["code"].as_str().unwrap_or_default();
    let taken = call
        .mode
        .table(PROMOTION_CODES.collection)
        .into_iter()
        .flat_map(ObjectTable::rows);
    let column = |row: &StoredObject, pointer| row.column(PROMOTION_CODES.columns, pointer).clone();
    let mut others =
        taken.filter(|row| column(row, "/active") == true && column(row, "/customer") == promotion["customer"]);
    let same = |other: &Value| other.as_str().is_some_and(|other| other.eq_ignore_ascii_case(code));
    if others.any(|row| same(&column(row, "/code"))) {
        let message = format!("An active promotion code with `code: {code}` already exists.");
        return Err(StripeError::of("code", message));
    }
    let coupon = promotion["promotion"]["coupon"].as_str().unwrap_or_default();
    let is_valid = call
        .mode
        .find("coupons", coupon)
        .is_some_and(|coupon| coupon["valid"] == true);
    let is_spent = promotion["max_redemptions"]
        .as_i64()
        .is_some_and(|most| promotion["times_redeemed"] == most);
    let is_over = promotion["expires_at"].as_i64().is_some_and(|end| end <= call.now);
    if !is_valid || is_spent || is_over {
        let message = "This promotion code cannot be active: it is expired, redeemed as often as it may be, or its \
                       coupon is no longer valid.";
        return Err(StripeError::of("active", message));
    }
    Ok(())
}
