//! What Stripe would refuse, and what to do instead.

use crate::{desired::Desired, diff::Field, kind::Kind};
use serde_json::Value;

/// How far off the end of a new coupon may be: five years, of which at least one is a leap year.
const REDEEMED_FOR: i64 = (5 * 365 + 1) * 86_400;

/// Something that Stripe refuses.
#[derive(Debug, Clone, PartialEq)]
pub struct Refused {
    /// Of what.
    pub kind: Kind,
    /// What it is found by.
    pub key: String,
    /// What it is about.
    pub fields: Vec<Field>,
    /// What Stripe has against it.
    pub why: &'static str,
    /// What to do instead.
    pub advice: String,
}

/// Fields that differ, and that Stripe never changes.
pub(crate) fn for_good(object: &Desired, fields: Vec<Field>) -> Refused {
    let kind = object.kind;
    // Such an endpoint is sent the account's own version, which no catalog can say.
    let versionless = |field: &Field| kind == Kind::Webhook && field.path == "api_version" && field.from.is_null();
    let advice = if fields.iter().any(versionless) {
        ANOTHER_URL
    } else {
        kind.traits().advice
    };
    Refused {
        kind,
        key: object.key.clone(),
        advice: advice.replace("LOOKUP_KEY", &object.key),
        fields,
        why: "Stripe never changes this",
    }
}

const ANOTHER_URL: &str = "it is sent the account's own version; give the endpoint another URL (a query such as ?v=2 \
                           will do): a new one is made beside it, with a secret of its own for STRIPE_WEBHOOK_SECRET";

/// A new coupon whose end Stripe would not take, by its clock.
pub(crate) fn new_coupon(object: &Desired, now: i64) -> Option<Refused> {
    let path = "redeem_by";
    let to = object.fields.get(path).filter(|_| object.kind == Kind::Coupon)?;
    let end = to.as_i64()?;
    if end > now && end <= now + REDEEMED_FOR {
        return None;
    }
    let field = Field {
        path: path.to_owned(),
        from: Value::Null,
        to: to.clone(),
    };
    Some(Refused {
        kind: object.kind,
        key: object.key.clone(),
        fields: vec![field],
        why: "Stripe takes a new coupon's end only from now to five years ahead",
        advice: "write another redeem_by, or take the coupon and its promotion codes out of the catalog".to_owned(),
    })
}
