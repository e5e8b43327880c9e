//! What must change so that Stripe agrees with the catalog. Pure: values in, a plan
//! out. Nothing here calls Stripe.

use crate::{
    actual::{ActualObjects, FoundObject},
    compare::{Comparison, compare, update},
    desired::{DesiredObject, MARK},
    kind::ObjectKind,
    notes::notes,
    plan::{ChangePlan, FieldChange, PlannedChange},
    promotion, retire, value,
};
use serde_json::json;
use std::collections::BTreeSet;

/// Compares the catalog with Stripe.
///
/// `replace` has lookup keys of prices. If such a price differs in a field that Stripe
/// never changes, a new price replaces it. Any other difference of that sort is refused,
/// and then the plan has no changes at all.
#[must_use]
pub fn diff(desired: &[DesiredObject], actual: &ActualObjects, replace: &BTreeSet<String>) -> ChangePlan {
    let replaced = replaced(desired, actual, replace);
    let comparison = Comparison {
        actual,
        desired,
        replaced: &replaced,
    };
    let mut plan = ChangePlan {
        notes: notes(desired, actual),
        ..ChangePlan::default()
    };
    for price in &replaced {
        let change = keep_known(desired, price);
        if !change.fields.is_empty() {
            plan.changes.push(change);
        }
    }
    for object in desired {
        match object.kind {
            ObjectKind::Promotion => promotion::compare_code(object, &comparison, &mut plan),
            _ => compare(object, comparison.find(object), &comparison, &mut plan),
        }
    }
    retire::archive_unwanted(&comparison, &mut plan);
    if !plan.refused.is_empty() {
        plan.changes.clear();
    }
    plan
}

/// The prices that the operator allows to be replaced and that must be.
fn replaced<'a>(
    desired: &'a [DesiredObject],
    actual: &'a ActualObjects,
    replace: &BTreeSet<String>,
) -> Vec<&'a FoundObject> {
    let comparison = Comparison {
        actual,
        desired,
        replaced: &[],
    };
    let prices = desired
        .iter()
        .filter(|object| object.kind == ObjectKind::Price && replace.contains(&object.key));
    let differs = |object: &DesiredObject| {
        let found = comparison.find(object)?;
        let (immutable, _) = comparison.differing(object, found);
        (!immutable.is_empty()).then_some(found)
    };
    prices.filter_map(differs).collect()
}

/// Writes the metadata of a price before it loses its lookup key. The worker then finds
/// the price's tier by `metadata[tier]`. Our mark lets the next apply finish a replacement
/// that was interrupted.
fn keep_known(desired: &[DesiredObject], price: &FoundObject) -> PlannedChange {
    let key = price.key.clone().unwrap_or_default();
    let wanted = desired
        .iter()
        .find(|object| object.kind == ObjectKind::Price && object.key == key);
    let mut fields = Vec::new();
    for (path, to) in wanted.iter().flat_map(|object| &object.fields) {
        let from = value::at(&price.object, path);
        // A tier in the metadata stays: it is the tier that the price's customers have.
        let lacks_mark = path == "metadata[managed_by]" && *from != json!(MARK);
        if path.starts_with("metadata[") && (from.is_null() || lacks_mark) {
            fields.push(FieldChange {
                path: path.clone(),
                from: from.clone(),
                to: to.clone(),
            });
        }
    }
    update(price, &price.id, fields)
}
