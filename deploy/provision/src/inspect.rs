//! What is there, whoever made it, and what no program can set.

use crate::{
    actual::{Actual, Found},
    desired::Desired,
    guard::{Account, word},
    kind::Kind,
    note::notes,
    show,
};
use serde_json::{Value, json};
use shared::terminal::printable;
use std::io::{self, Write};

/// What the catalog does not declare: most of it only the Dashboard can set.
pub const DASHBOARD: [&str; 7] = [
    "E-mails to customers (receipts, failed payments, trial and renewal reminders): Settings, Billing",
    "Retries of failed payments, and whether a subscription is then canceled, unpaid or past due: Settings, Billing",
    "Branding: logo, colours, public name, statement descriptor: Settings, Business",
    "Managed Payments: joining it, and which products are eligible: Settings, Managed Payments",
    "Payment methods: Settings, Payments",
    "Tax registrations: Settings, Tax",
    "The secret of a webhook endpoint that exists: showing it again, rolling it: Developers, Webhooks",
];

/// How an object stands to the catalog.
fn standing(found: &Found, desired: &[Desired]) -> &'static str {
    let same = |object: &&Desired| {
        let key = found.key.as_ref();
        object.kind == found.kind && key.is_some_and(|key| key.eq_ignore_ascii_case(&object.key))
    };
    // The tax settings bear no mark.
    let ours = found.is_ours() || found.kind == Kind::Tax;
    match (desired.iter().any(|object| same(&object)), ours) {
        (true, true) => "in the catalog",
        (true, false) => "in the catalog, not yet marked as ours",
        (false, true) => "ours, not in the catalog any more",
        (false, false) => "not ours",
    }
}

/// What is worth seeing of each kind.
fn facts(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Product => &["name", "default_price", "tax_code"],
        Kind::Price => &["unit_amount", "currency", "recurring[interval]", "product"],
        Kind::DefaultPrice => &[],
        Kind::Coupon => &["amount_off", "percent_off", "duration", "valid", "times_redeemed"],
        Kind::Promotion => &["promotion[coupon]", "max_redemptions", "times_redeemed", "expires_at"],
        Kind::Portal => &["is_default", "business_profile[headline]"],
        Kind::Webhook => &["api_version", "enabled_events"],
        Kind::Tax => &["status", "defaults[tax_behavior]", "defaults[tax_code]"],
    }
}

fn said(found: &Found) -> Vec<(&'static str, Value)> {
    let all = facts(found.kind).iter();
    let read = all.map(|path| (*path, crate::value::at(&found.object, path).clone()));
    read.filter(|(_, value)| !crate::value::is_nothing(value)).collect()
}

fn shown(actual: &Actual) -> impl Iterator<Item = &Found> {
    let kinds = Kind::ALL.into_iter().filter(|kind| *kind != Kind::DefaultPrice);
    kinds.flat_map(|kind| actual.of(kind))
}

/// As text.
///
/// # Errors
/// What writing said.
pub fn text(actual: &Actual, desired: &[Desired], out: &mut impl Write) -> io::Result<()> {
    for found in shown(actual) {
        let key = found.key.as_ref().filter(|key| **key != found.id);
        let names: Vec<&str> = key.map(String::as_str).into_iter().chain([found.id.as_str()]).collect();
        let facts: Vec<String> = said(found)
            .iter()
            .map(|(path, value)| format!("{path} {}", brief(value)))
            .collect();
        let active = if found.is_active() { "" } else { "inactive, " };
        let name = found.kind.traits().name;
        let standing = standing(found, desired);
        writeln!(
            out,
            "{name} {} ({active}{standing}): {}",
            printable(names.join(" ").trim()),
            printable(&facts.join(", "))
        )?;
    }
    show::notes(&notes(desired, actual), out)?;
    writeln!(
        out,
        "The catalog says nothing of these, and nothing here looks at them; the Dashboard sets them:"
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

/// As one JSON object.
#[must_use]
pub fn json(account: &Account, actual: &Actual, desired: &[Desired]) -> Value {
    let objects = shown(actual).map(|found| {
        let facts: serde_json::Map<String, Value> =
            said(found).into_iter().map(|(path, v)| (path.to_owned(), v)).collect();
        json!({
            "kind": found.kind.traits().name,
            "id": found.id,
            "key": found.key,
            "active": found.is_active(),
            "standing": standing(found, desired),
            "facts": facts,
        })
    });
    json!({
        "account": account.id,
        "mode": word(account.mode),
        "objects": objects.collect::<Vec<_>>(),
        "notes": show::notes_json(&notes(desired, actual)),
        "in_dashboard": DASHBOARD,
    })
}
