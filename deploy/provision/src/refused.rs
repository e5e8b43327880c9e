//! Changes that Stripe would refuse, and advice on what to do instead.

use crate::{
    desired::DesiredObject,
    kind::ObjectKind,
    plan::{FieldChange, RefusedObject},
};
use serde_json::Value;

/// The latest end of a new coupon, in seconds from now: five years, one of them a leap
/// year. Stripe's API reference, "Create a coupon", `redeem_by`, refuses a later one.
const COUPON_END_SECONDS_MAX: i64 = (5 * 365 + 1) * 86_400;

/// Advice for an endpoint without an `api_version`. Stripe then uses the account's
/// version, and a catalog cannot say that.
const NEW_URL_ADVICE: &str = "Stripe sends this endpoint the account's own API version; give the endpoint another URL \
                              (a query such as ?v=2 is enough): apply creates a second endpoint, with a secret of its \
                              own for STRIPE_WEBHOOK_SECRET";

/// An object with differences in fields that Stripe never changes.
pub(crate) fn immutable_fields(object: &DesiredObject, fields: Vec<FieldChange>) -> RefusedObject {
    let kind = object.kind;
    let has_no_version =
        |field: &FieldChange| kind == ObjectKind::Webhook && field.path == "api_version" && field.from.is_null();
    let advice = if fields.iter().any(has_no_version) {
        NEW_URL_ADVICE
    } else {
        kind.traits().advice
    };
    RefusedObject {
        kind,
        key: object.key.clone(),
        advice: advice.replace("LOOKUP_KEY", &object.key),
        fields,
        why: "Stripe never changes this",
    }
}

/// A new coupon whose end Stripe would refuse. `now` is Stripe's time, in seconds since 1970.
pub(crate) fn new_coupon(object: &DesiredObject, now: i64) -> Option<RefusedObject> {
    if object.kind != ObjectKind::Coupon {
        return None;
    }
    let path = "redeem_by";
    let to = object.fields.get(path)?;
    let end = to.as_i64()?;
    if end > now && end <= now + COUPON_END_SECONDS_MAX {
        return None;
    }
    let field = FieldChange {
        path: path.to_owned(),
        from: Value::Null,
        to: to.clone(),
    };
    Some(RefusedObject {
        kind: object.kind,
        key: object.key.clone(),
        fields: vec![field],
        why: "the end of a new coupon must be in the future and at most five years ahead",
        advice: "write another redeem_by, or take the coupon and its promotion codes out of the catalog".to_owned(),
    })
}
