//! Shows every object that Stripe has, also those that provision did not create, and lists
//! the settings that only Stripe's Dashboard can change.

use crate::{
    actual::{ActualObjects, FoundObject},
    desired::DesiredObject,
    guard::{StripeAccount, mode_name},
    kind::ObjectKind,
    notes::notes,
    show,
};
use serde_json::{Value, json};
use shared::terminal::printable;
use std::io::{self, Write};

/// Settings that the catalog does not have. Most of them only the Dashboard can change.
pub const DASHBOARD: [&str; 7] = [
    "E-mails to customers (receipts, failed payments, trial and renewal reminders): Settings, Billing",
    "Retries of failed payments, and whether a subscription is then canceled, unpaid or past due: Settings, Billing",
    "Branding: logo, colours, public name, statement descriptor: Settings, Business",
    "Managed Payments: joining it, and which products are eligible: Settings, Managed Payments",
    "Payment methods: Settings, Payments",
    "Tax registrations: Settings, Tax",
    "The secret of a webhook endpoint that exists: showing it again, rolling it: Developers, Webhooks",
];

/// How an object relates to the catalog.
fn catalog_status(found: &FoundObject, desired: &[DesiredObject]) -> &'static str {
    let same = |object: &&DesiredObject| {
        let key = found.key.as_ref();
        object.kind == found.kind && key.is_some_and(|key| key.eq_ignore_ascii_case(&object.key))
    };
    // The tax settings have no metadata, so they cannot have our mark.
    let ours = found.is_ours() || found.kind == ObjectKind::Tax;
    match (desired.iter().any(|object| same(&object)), ours) {
        (true, true) => "in the catalog",
        (true, false) => "in the catalog, not yet managed by Tollbridge",
        (false, true) => "managed by Tollbridge, no longer in the catalog",
        (false, false) => "not managed by Tollbridge",
    }
}

/// The fields to show of each kind.
fn shown_fields(kind: ObjectKind) -> &'static [&'static str] {
    match kind {
        ObjectKind::Product => &["name", "default_price", "tax_code"],
        ObjectKind::Price => &["unit_amount", "currency", "recurring[interval]", "product"],
        ObjectKind::DefaultPrice => &[],
        ObjectKind::Coupon => &["amount_off", "percent_off", "duration", "valid", "times_redeemed"],
        ObjectKind::Promotion => &["promotion[coupon]", "max_redemptions", "times_redeemed", "expires_at"],
        ObjectKind::Portal => &["is_default", "business_profile[headline]"],
        ObjectKind::Webhook => &["api_version", "enabled_events"],
        ObjectKind::Tax => &["status", "defaults[tax_behavior]", "defaults[tax_code]"],
    }
}

fn field_values(found: &FoundObject) -> Vec<(&'static str, Value)> {
    let all = shown_fields(found.kind).iter();
    let read = all.map(|path| (*path, crate::value::at(&found.object, path).clone()));
    read.filter(|(_, value)| !crate::value::is_nothing(value)).collect()
}

fn shown_objects(actual: &ActualObjects) -> impl Iterator<Item = &FoundObject> {
    let kinds = ObjectKind::ALL
        .into_iter()
        .filter(|kind| *kind != ObjectKind::DefaultPrice);
    kinds.flat_map(|kind| actual.of(kind))
}

/// Writes a line per object, then the notes and the Dashboard's settings.
///
/// # Errors
/// If `out` cannot be written.
pub fn text(actual: &ActualObjects, desired: &[DesiredObject], out: &mut impl Write) -> io::Result<()> {
    for found in shown_objects(actual) {
        let key = found.key.as_ref().filter(|key| **key != found.id);
        let names: Vec<&str> = key.map(String::as_str).into_iter().chain([found.id.as_str()]).collect();
        let fields: Vec<String> = field_values(found)
            .iter()
            .map(|(path, value)| format!("{path} {}", brief(value)))
            .collect();
        let active = if found.is_active() { "" } else { "inactive, " };
        let name = found.kind.traits().name;
        let status = catalog_status(found, desired);
        writeln!(
            out,
            "{name} {} ({active}{status}): {}",
            printable(names.join(" ").trim()),
            printable(&fields.join(", "))
        )?;
    }
    show::notes(&notes(desired, actual), out)?;
    writeln!(
        out,
        "provision neither reads nor changes these settings; the Dashboard sets them:"
    )?;
    for line in DASHBOARD {
        writeln!(out, "  {line}")?;
    }
    Ok(())
}

fn brief(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => format!("({})", list.len()),
        other => other.to_string(),
    }
}

/// The same as one JSON object.
#[must_use]
pub fn json(account: &StripeAccount, actual: &ActualObjects, desired: &[DesiredObject]) -> Value {
    let objects = shown_objects(actual).map(|found| {
        let fields: serde_json::Map<String, Value> = field_values(found)
            .into_iter()
            .map(|(path, v)| (path.to_owned(), v))
            .collect();
        json!({
            "kind": found.kind.traits().name,
            "id": found.id,
            "key": found.key,
            "active": found.is_active(),
            "status": catalog_status(found, desired),
            "fields": fields,
        })
    });
    json!({
        "account": account.id,
        "mode": mode_name(account.mode),
        "objects": objects.collect::<Vec<_>>(),
        "notes": show::notes_json(&notes(desired, actual)),
        "in_dashboard": DASHBOARD,
    })
}
