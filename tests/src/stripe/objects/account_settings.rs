//! The objects that an account has only one of: the account itself and its tax settings.

use crate::stripe::account_mode::ServedRequest;
use crate::stripe::object_kind::{ObjectKind, PLAIN};
use crate::stripe::objects::product::known_tax_code;
use crate::stripe::stripe_error::StripeError;
use serde_json::{Value, json};

/// The id of the account of every stand-in.
pub(crate) const ACCOUNT_ID: &str = "acct_1TollbridgeStandIn";

pub(crate) const ACCOUNT: ObjectKind = ObjectKind {
    collection: "account",
    object: "account",
    permission: "account",
    is_single: true,
    blank: Some(|_| {
        json!({
            "id": ACCOUNT_ID,
            "business_profile": {"mcc": null, "name": "Stand-in", "product_description": null, "url": null},
            "business_type": "company",
            "charges_enabled": true,
            "country": "AT",
            "default_currency": "eur",
            "details_submitted": true,
            "email": "stand-in@example.com",
            "metadata": {},
            "payouts_enabled": true,
            "settings": {
                "branding": {"icon": null, "logo": null, "primary_color": null, "secondary_color": null},
                "card_payments": {},
                "dashboard": {"display_name": "Stand-in", "timezone": "Europe/Vienna"},
                "payments": {}
            },
            "type": "standard"
        })
    }),
    ..PLAIN
};

pub(crate) const TAX_SETTINGS: ObjectKind = ObjectKind {
    collection: "tax/settings",
    object: "tax.settings",
    permission: "tax_settings",
    events: "tax.settings",
    is_single: true,
    blank: Some(|call| {
        json!({
            "defaults": {"provider": "stripe", "tax_behavior": null, "tax_code": null},
            "head_office": null,
            "livemode": call.mode.is_live,
            "status": "pending",
            "status_details": {}
        })
    }),
    settle,
    ..PLAIN
};

/// Tax settings are active once they have the address of the business and a tax code.
fn settle(call: &mut ServedRequest, _: Option<&Value>, settings: &mut Value) -> Result<(), StripeError> {
    let defaults = call.params.get("defaults");
    if let Some(code) = defaults.and_then(|defaults| defaults["tax_code"].as_str()) {
        known_tax_code("defaults[tax_code]", code)?;
    }
    let wanted = [
        ("head_office", "/head_office"),
        ("defaults.tax_code", "/defaults/tax_code"),
    ];
    let missing = wanted
        .iter()
        .filter(|(_, pointer)| settings.pointer(pointer).is_none_or(Value::is_null));
    let missing: Vec<&str> = missing.map(|(name, _)| *name).collect();
    (settings["status"], settings["status_details"]) = if missing.is_empty() {
        (json!("active"), json!({"active": {}}))
    } else {
        (json!("pending"), json!({"pending": {"missing_fields": missing}}))
    };
    Ok(())
}
