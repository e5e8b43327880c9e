//! Compares one object of the catalog with the object that Stripe has.

use crate::{
    actual::{ActualObjects, FoundObject},
    desired::DesiredObject,
    kind::ObjectKind,
    plan::{ChangeAction, ChangePlan, FieldChange, PlannedChange},
    refused, value,
};
use serde_json::Value;
use std::collections::BTreeMap;

/// Both sides of a comparison.
pub(crate) struct Comparison<'a> {
    /// What Stripe has.
    pub(crate) actual: &'a ActualObjects,
    /// What the catalog wants.
    pub(crate) desired: &'a [DesiredObject],
    /// Prices that new ones replace. The comparison ignores the lookup keys of these.
    pub(crate) replaced: &'a [&'a FoundObject],
}

impl<'a> Comparison<'a> {
    /// Stripe's object for an object of the catalog. Several endpoints can have one
    /// URL: ours comes first, then an enabled one, then the oldest.
    pub(crate) fn find(&self, object: &DesiredObject) -> Option<&'a FoundObject> {
        let same_key = self
            .actual
            .of(object.kind)
            .filter(|found| found.key.as_ref() == Some(&object.key));
        same_key
            .filter(|found| !self.is_replaced(found))
            .min_by_key(|found| (!found.is_ours(), !found.is_active(), found.number("created"), &found.id))
    }

    pub(crate) fn is_replaced(&self, found: &FoundObject) -> bool {
        self.replaced.iter().any(|price| price.id == found.id)
    }

    /// Stripe's value of a field. Ids of prices become lookup keys, as the catalog writes them.
    fn actual_value(&self, found: &FoundObject, path: &str) -> Value {
        let mut actual = value::at(&found.object, path).clone();
        if found.kind.names_prices(path) {
            let prices = self
                .actual
                .of(ObjectKind::Price)
                .filter(|price| !self.is_replaced(price));
            let keys = prices.filter_map(|price| Some((price.id.as_str(), price.key.as_deref()?)));
            let keys: BTreeMap<_, _> = keys.collect();
            value::rename_prices(&mut actual, &|id| keys.get(id).copied());
        }
        actual
    }

    /// The fields that differ: first those that Stripe never changes, then the others.
    pub(crate) fn differing(
        &self,
        object: &DesiredObject,
        found: &FoundObject,
    ) -> (Vec<FieldChange>, Vec<FieldChange>) {
        let mut fields = Vec::new();
        for (path, to) in &object.fields {
            let from = self.actual_value(found, path);
            let same = match (object.kind, path.as_str()) {
                // Stripe ignores the case of what customers type ("Coupons and promotion codes").
                (ObjectKind::Promotion, "code") => found
                    .key
                    .as_ref()
                    .is_some_and(|code| code.eq_ignore_ascii_case(&object.key)),
                (ObjectKind::Promotion, path) => value::has(&from, to) || self.is_coupon_limit(path, &from, to, found),
                _ => value::has(&from, to),
            };
            if !same {
                let (path, to) = (path.clone(), to.clone());
                fields.push(FieldChange { path, from, to });
            }
        }
        fields
            .into_iter()
            .partition(|field| object.kind.is_immutable(&field.path, &field.from))
    }

    /// Whether a limit of a promotion code comes from its coupon. Stripe may copy the coupon's
    /// limit into a new code. That is no difference if the catalog sets no limit for the code.
    fn is_coupon_limit(&self, path: &str, from: &Value, to: &Value, found: &FoundObject) -> bool {
        let coupon_field = match path {
            "max_redemptions" => "max_redemptions",
            "expires_at" => "redeem_by",
            _ => return false,
        };
        let coupon = self.coupon(found.text("promotion[coupon]"));
        to.is_null() && coupon.is_some_and(|coupon| coupon.object[coupon_field] == *from)
    }

    /// Stripe's coupon with this id.
    pub(crate) fn coupon(&self, id: Option<&str>) -> Option<&'a FoundObject> {
        let mut coupons = self.actual.of(ObjectKind::Coupon);
        coupons.find(|found| Some(found.id.as_str()) == id)
    }
}

/// Adds to the plan what one object of the catalog needs; `found` is Stripe's object for it.
pub(crate) fn compare(
    object: &DesiredObject,
    found: Option<&FoundObject>,
    comparison: &Comparison<'_>,
    plan: &mut ChangePlan,
) {
    let Some(found) = found else {
        match refused::new_coupon(object, comparison.actual.read_at) {
            Some(refused) => plan.refused.push(refused),
            None => plan.changes.push(create(object, comparison)),
        }
        return;
    };
    let (immutable, fields) = comparison.differing(object, found);
    if immutable.is_empty() && fields.is_empty() {
        plan.unchanged.push((object.kind, object.key.clone()));
    }
    if !immutable.is_empty() {
        plan.refused.push(refused::immutable_fields(object, immutable));
    }
    if !fields.is_empty() {
        plan.changes.push(update(found, &object.key, fields));
    }
}

/// The write that creates an object. Empty values are left out.
pub(crate) fn create(object: &DesiredObject, comparison: &Comparison<'_>) -> PlannedChange {
    let update_only = object.kind.traits().update_only;
    let written = object
        .fields
        .iter()
        .filter(|(path, to)| !value::is_nothing(to) && !update_only.contains(&path.as_str()));
    let fields = written.map(|(path, to)| FieldChange {
        path: path.clone(),
        from: Value::Null,
        to: to.clone(),
    });
    let same_key = |price: &&FoundObject| price.key.as_ref() == Some(&object.key);
    // A default price is a field of its product, whose id the catalog chooses.
    let id = (object.kind == ObjectKind::DefaultPrice).then(|| object.key.clone());
    PlannedChange {
        action: ChangeAction::Create,
        kind: object.kind,
        key: object.key.clone(),
        id,
        fields: fields.collect(),
        takes_key: object.kind == ObjectKind::Price && comparison.replaced.iter().any(same_key),
    }
}

/// The write that changes `fields` of an object.
pub(crate) fn update(found: &FoundObject, key: &str, fields: Vec<FieldChange>) -> PlannedChange {
    PlannedChange {
        action: ChangeAction::Update,
        kind: found.kind,
        key: key.to_owned(),
        id: Some(found.id.clone()),
        fields,
        takes_key: false,
    }
}
