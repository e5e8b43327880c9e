//! Objects that are ours and no longer in the catalog. They are archived, never deleted.

use crate::{
    actual::FoundObject,
    compare::Comparison,
    kind::ObjectKind,
    plan::{ChangeAction, ChangePlan, FieldChange, PlanNote, PlannedChange},
};
use serde_json::json;

/// The order of archiving: an object comes before the objects that it refers to.
const ORDER: [ObjectKind; 5] = [
    ObjectKind::Promotion,
    ObjectKind::Price,
    ObjectKind::Product,
    ObjectKind::Webhook,
    ObjectKind::Coupon,
];

/// Adds a write or a note to the plan for each active object that the catalog no longer has.
pub(crate) fn archive_unwanted(comparison: &Comparison<'_>, plan: &mut ChangePlan) {
    for kind in ORDER {
        for found in comparison.actual.of(kind).filter(|found| found.is_active()) {
            let is_unwanted = found.is_ours() && !is_in_catalog(comparison, found);
            if is_unwanted || comparison.is_replaced(found) {
                archive(comparison, found, plan);
            }
        }
    }
}

fn archive(comparison: &Comparison<'_>, found: &FoundObject, plan: &mut ChangePlan) {
    let kind = found.kind;
    // A replaced price has given its lookup key to the new one.
    let key = if kind == ObjectKind::Price {
        &found.id
    } else {
        found.key.as_ref().unwrap_or(&found.id)
    };
    let note = |text: &str| PlanNote {
        kind,
        key: key.clone(),
        text: text.to_owned(),
    };
    let Some((field, value)) = kind.traits().archived_by else {
        plan.notes.push(note(
            "no longer in the catalog; Stripe cannot deactivate it, but you can delete it in the Dashboard",
        ));
        return;
    };
    if kind == ObjectKind::Price && is_last_default(comparison, found) {
        plan.notes.push(note(
            "no longer in the catalog; it stays active because it is the default price of its product",
        ));
        return;
    }
    let field = FieldChange {
        path: field.to_owned(),
        from: json!(!value),
        to: json!(value),
    };
    plan.changes.push(PlannedChange {
        action: ChangeAction::Archive,
        kind,
        key: key.clone(),
        id: Some(found.id.clone()),
        fields: vec![field],
        takes_key: false,
    });
}

/// Whether the catalog has the object. Every endpoint with the catalog's URL counts, and
/// every promotion code with the catalog's code.
fn is_in_catalog(comparison: &Comparison<'_>, found: &FoundObject) -> bool {
    let mut same_kind = comparison.desired.iter().filter(|object| object.kind == found.kind);
    same_kind.any(|object| match &found.key {
        Some(key) if found.kind == ObjectKind::Promotion => key.eq_ignore_ascii_case(&object.key),
        key => key.as_ref() == Some(&object.key),
    })
}

/// Whether the price is a product's default price and the catalog names no other. Stripe
/// does not archive a default price.
fn is_last_default(comparison: &Comparison<'_>, price: &FoundObject) -> bool {
    let product = price.text("product").unwrap_or_default();
    let mut defaults = comparison
        .actual
        .of(ObjectKind::DefaultPrice)
        .filter(|found| found.id == product);
    let is_default = defaults.any(|found| found.text("default_price") == Some(price.id.as_str()));
    let gets_another = comparison
        .desired
        .iter()
        .any(|object| object.kind == ObjectKind::DefaultPrice && object.key == product);
    is_default && !gets_another
}
