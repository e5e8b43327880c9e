//! Promotion codes. Stripe finds a code without regard to case, and at most one code
//! of the same text is active. Stripe deactivates codes itself; the plan notes such a
//! code and does not try to activate it.

use crate::{
    actual::FoundObject,
    compare::{Comparison, compare, create, update},
    desired::DesiredObject,
    kind::ObjectKind,
    plan::{ChangePlan, PlanNote},
};
use serde_json::Value;
use std::cmp::Reverse;

/// Adds to the plan what one promotion code of the catalog needs.
pub(crate) fn compare_code(object: &DesiredObject, comparison: &Comparison<'_>, plan: &mut ChangePlan) {
    let same_code = |found: &&FoundObject| {
        found
            .key
            .as_ref()
            .is_some_and(|code| code.eq_ignore_ascii_case(&object.key))
    };
    let (active, mut inactive): (Vec<&FoundObject>, Vec<&FoundObject>) = comparison
        .actual
        .of(ObjectKind::Promotion)
        .filter(same_code)
        .partition(|found| found.is_active());
    let has_customer = |found: &FoundObject| found.text("customer").is_some();
    let latest = |found: &FoundObject| Reverse((found.number("created"), found.id.clone()));
    if let Some(found) = active.iter().min_by_key(|found| (has_customer(found), latest(found))) {
        compare(object, Some(found), comparison, plan);
        return;
    }
    // An inactive code with the same terms is this code: Stripe or a person deactivated it.
    inactive.retain(|found| comparison.differing(object, found).0.is_empty());
    let candidate = inactive.into_iter().min_by_key(|found| latest(found));
    if let Some(text) = why_inactive(object, candidate, comparison) {
        plan.notes.push(PlanNote {
            kind: object.kind,
            key: object.key.clone(),
            text,
        });
        return;
    }
    plan.changes.push(match candidate {
        Some(found) => update(found, &object.key, comparison.differing(object, found).1),
        None => create(object, comparison),
    });
}

/// Why Stripe keeps a code inactive, or would refuse a new one.
fn why_inactive(object: &DesiredObject, found: Option<&FoundObject>, comparison: &Comparison<'_>) -> Option<String> {
    let limit = |path: &str| {
        let wanted = object.fields.get(path).and_then(Value::as_i64);
        wanted.or_else(|| found.and_then(|found| found.number(path)))
    };
    if limit("expires_at").is_some_and(|at| at <= comparison.actual.read_at) {
        return Some("inactive: it has expired".to_owned());
    }
    let redeemed = found.and_then(|found| found.number("times_redeemed"));
    if let (Some(max), Some(redeemed)) = (limit("max_redemptions"), redeemed)
        && redeemed >= max
    {
        return Some(format!(
            "inactive: it has been redeemed {max} times, which is its limit"
        ));
    }
    let coupon = comparison.coupon(object.fields.get("promotion[coupon]").and_then(Value::as_str))?;
    let is_invalid = coupon.object["valid"] == false;
    is_invalid.then(|| format!("inactive: its coupon {} is no longer valid", coupon.id))
}
