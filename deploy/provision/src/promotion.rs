//! Promotion codes: found by their code, of which one is active. What Stripe
//! turned inactive is told, not fought.

use crate::{
    actual::Found,
    desired::Desired,
    diff::{self, Note, Plan, State, create, update},
    kind::Kind,
};
use serde_json::Value;

pub(crate) fn compare(object: &Desired, state: &State<'_>, plan: &mut Plan) {
    let same = |found: &&Found| {
        found
            .key
            .as_ref()
            .is_some_and(|code| code.eq_ignore_ascii_case(&object.key))
    };
    let (active, inactive): (Vec<&Found>, Vec<&Found>) = state
        .actual
        .of(Kind::Promotion)
        .filter(same)
        .partition(|found| found.is_active());
    let everybodys = |found: &&&Found| found.text("customer").is_some();
    let latest = |found: &&&Found| std::cmp::Reverse((found.number("created"), found.id.clone()));
    if let Some(found) = active.iter().min_by_key(|found| (everybodys(found), latest(found))) {
        diff::compare(object, Some(found), state, plan);
        return;
    }
    // An inactive one that is otherwise the same was ended, by Stripe or by somebody.
    let mut candidates: Vec<&Found> = inactive;
    candidates.retain(|found| state.differing(object, found).0.is_empty());
    let candidate = candidates.iter().min_by_key(latest);
    if let Some(why) = spent(object, candidate.copied(), state) {
        plan.notes.push(Note {
            kind: object.kind,
            key: object.key.clone(),
            what: why,
        });
        return;
    }
    plan.changes.push(match candidate {
        Some(found) => update(found, &object.key, state.differing(object, found).1),
        None => create(object, state),
    });
}

/// Whether a limit, of which the catalog says nothing, is the coupon's own: Stripe
/// may fill a new code's from its coupon.
pub(crate) fn is_of_coupon(path: &str, from: &Value, to: &Value, state: &State<'_>, found: &Found) -> bool {
    let of_coupon = match path {
        "max_redemptions" => "max_redemptions",
        "expires_at" => "redeem_by",
        _ => return false,
    };
    let coupon = coupon(state, found.text("promotion[coupon]"));
    to.is_null() && coupon.is_some_and(|coupon| coupon.object[of_coupon] == *from)
}

fn coupon<'a>(state: &State<'a>, id: Option<&str>) -> Option<&'a Found> {
    let mut coupons = state.actual.of(Kind::Coupon);
    coupons.find(|found| Some(found.id.as_str()) == id)
}

/// Why Stripe keeps a code inactive, or would not take a new one.
fn spent(object: &Desired, found: Option<&Found>, state: &State<'_>) -> Option<String> {
    let limit = |path: &str| {
        let wanted = object.fields.get(path).and_then(Value::as_i64);
        wanted.or_else(|| found.and_then(|found| found.number(path)))
    };
    if limit("expires_at").is_some_and(|at| at <= state.actual.at) {
        return Some("inactive: it has expired".to_owned());
    }
    let most = limit("max_redemptions");
    let redeemed = found.and_then(|found| found.number("times_redeemed"));
    if most.zip(redeemed).is_some_and(|(most, redeemed)| redeemed >= most) {
        let most = most.unwrap_or_default();
        return Some(format!(
            "inactive: it has been redeemed {most} times, as often as it may"
        ));
    }
    let coupon = coupon(state, object.fields.get("promotion[coupon]").and_then(Value::as_str))?;
    let invalid = coupon.object["valid"] == false;
    invalid.then(|| format!("inactive: its coupon {} is not valid any more", coupon.id))
}
