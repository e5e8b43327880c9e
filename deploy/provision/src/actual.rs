//! The objects that Stripe has. All are loaded before anything is compared.

use crate::{
    desired::{DesiredObject, MARK},
    kind::ObjectKind,
    pages, value,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use stripe_api::{Api, ApiError, Form};

/// Most lookup keys in one request (Stripe's API reference, "List all prices").
const LOOKUP_KEYS_MAX: usize = 10;

/// An object that Stripe has.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundObject {
    /// Its kind.
    pub kind: ObjectKind,
    /// Stripe's id; empty for the tax settings, which have none.
    pub id: String,
    /// The key that the catalog finds it by; `None` if no catalog could find it.
    pub key: Option<String>,
    /// Stripe's JSON, normalised by [`FoundObject::new`].
    pub object: Value,
}

impl FoundObject {
    /// Normalises Stripe's JSON: an endpoint gets the field `disabled`, and an expanded object
    /// becomes its id.
    #[must_use]
    pub fn new(kind: ObjectKind, mut object: Value) -> Self {
        // Stripe sends `status`, but takes `disabled` (API reference, "Update a webhook endpoint").
        if kind == ObjectKind::Webhook {
            object["disabled"] = json!(object["status"] != "enabled");
        }
        for reference in ["product", "default_price", "customer"] {
            collapse(&mut object[reference]);
        }
        if kind == ObjectKind::Promotion {
            collapse(&mut object["promotion"]["coupon"]);
        }
        let text = |path: &str| object[path].as_str().map(str::to_owned);
        let id = text("id").unwrap_or_default();
        let key = match kind {
            ObjectKind::Product | ObjectKind::DefaultPrice | ObjectKind::Coupon => Some(id.clone()),
            ObjectKind::Price => text("lookup_key"),
            ObjectKind::Promotion => text("code"),
            ObjectKind::Portal => None,
            ObjectKind::Webhook => text("url"),
            ObjectKind::Tax => Some("tax".to_owned()),
        };
        Self { kind, id, key, object }
    }

    /// Whether it has our mark in its metadata.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.object["metadata"]["managed_by"] == MARK
    }

    /// Whether it is active: nobody archived or disabled it.
    #[must_use]
    pub fn is_active(&self) -> bool {
        let archived_by = self.kind.traits().archived_by;
        archived_by.is_none_or(|(field, value)| self.object[field] != json!(value))
    }

    /// The number at a path, such as `created`.
    #[must_use]
    pub fn number(&self, path: &str) -> Option<i64> {
        value::at(&self.object, path).as_i64()
    }

    /// The text at a path.
    #[must_use]
    pub fn text(&self, path: &str) -> Option<&str> {
        value::at(&self.object, path).as_str()
    }
}

/// Replaces an expanded object by its id.
fn collapse(reference: &mut Value) {
    if let Some(id) = reference.get("id") {
        *reference = id.clone();
    }
}

/// Stripe's objects of every kind that a catalog can declare.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ActualObjects {
    /// The objects, in no particular order.
    pub found: Vec<FoundObject>,
    /// When they were read, by Stripe's clock, in seconds since 1970.
    pub read_at: i64,
}

impl ActualObjects {
    /// The objects of one kind.
    pub fn of(&self, kind: ObjectKind) -> impl Iterator<Item = &FoundObject> {
        self.found.iter().filter(move |found| found.kind == kind)
    }

    /// Adds objects of one kind. A product is added a second time, as its default price.
    pub fn add(&mut self, kind: ObjectKind, objects: Vec<Value>) {
        for object in objects {
            if kind == ObjectKind::Product {
                self.found
                    .push(FoundObject::new(ObjectKind::DefaultPrice, object.clone()));
            }
            self.found.push(FoundObject::new(kind, object));
        }
        if kind == ObjectKind::Portal {
            self.choose_portal();
        }
    }

    /// The catalog's portal is the oldest configuration with our mark; if none has it, the
    /// account's default configuration.
    fn choose_portal(&mut self) {
        let portals = self.found.iter_mut().filter(|found| found.kind == ObjectKind::Portal);
        let rank = |found: &&mut FoundObject| (!found.is_ours(), found.number("created"), found.id.clone());
        let candidates = portals.filter(|found| found.is_ours() || found.object["is_default"] == true);
        if let Some(chosen) = candidates.min_by_key(rank) {
            chosen.key = Some("portal".to_owned());
        }
    }
}

/// Loads Stripe's objects. Portal and tax settings are loaded only if the catalog has them;
/// objects of the other kinds may have to be archived.
///
/// # Errors
/// Stripe's answer, if a request fails.
pub async fn load(api: &Api, desired: &[DesiredObject]) -> Result<ActualObjects, ApiError> {
    let kinds: BTreeSet<ObjectKind> = desired.iter().map(|object| object.kind).collect();
    let mut actual = ActualObjects::default();
    let expanded = |field: &str| Form::new().with("expand[]", &format!("data.{field}"));
    for (kind, query) in [
        (ObjectKind::Product, Form::new()),
        (ObjectKind::Price, Form::new()),
        (ObjectKind::Coupon, expanded("applies_to")),
        (ObjectKind::Portal, expanded("features.subscription_update.products")),
        (ObjectKind::Webhook, Form::new()),
    ] {
        if kind != ObjectKind::Portal || kinds.contains(&kind) {
            let objects = list(api, kind, &query, &mut actual.read_at).await?;
            actual.add(kind, objects);
        }
    }
    load_inactive_prices(api, desired, &mut actual).await?;
    load_promotions(api, desired, &mut actual).await?;
    if kinds.contains(&ObjectKind::Tax) {
        let answer = api.get(ObjectKind::Tax.traits().path, &Form::new()).await?;
        actual.add(ObjectKind::Tax, vec![answer.json()?]);
    }
    Ok(actual)
}

/// Adds inactive prices that have a lookup key of the catalog. Stripe lists only active prices
/// unless the request has `active=false` (API reference, "List all prices").
async fn load_inactive_prices(
    api: &Api,
    desired: &[DesiredObject],
    actual: &mut ActualObjects,
) -> Result<(), ApiError> {
    let keys: Vec<&str> = desired
        .iter()
        .filter(|o| o.kind == ObjectKind::Price)
        .map(|o| o.key.as_str())
        .collect();
    for keys in keys.chunks(LOOKUP_KEYS_MAX) {
        let inactive = Form::new().with("active", &false);
        let query = keys
            .iter()
            .fold(inactive, |query, key| query.with("lookup_keys[]", *key));
        let mut prices = list(api, ObjectKind::Price, &query, &mut actual.read_at).await?;
        prices.retain(|price| {
            !actual
                .of(ObjectKind::Price)
                .any(|known| price["id"] == known.id.as_str())
        });
        actual.add(ObjectKind::Price, prices);
    }
    Ok(())
}

/// Adds the promotion codes of the catalog and the active codes of our coupons. Other codes are not
/// loaded: an account can have one per customer.
async fn load_promotions(api: &Api, desired: &[DesiredObject], actual: &mut ActualObjects) -> Result<(), ApiError> {
    let codes = desired.iter().filter(|object| object.kind == ObjectKind::Promotion);
    let mut queries: Vec<Form> = codes.map(|object| Form::new().with("code", &object.key)).collect();
    let ours = actual.of(ObjectKind::Coupon).filter(|coupon| coupon.is_ours());
    queries.extend(ours.map(|coupon| Form::new().with("coupon", &coupon.id).with("active", &true)));
    let mut by_id = BTreeMap::new();
    for query in queries {
        for object in list(api, ObjectKind::Promotion, &query, &mut actual.read_at).await? {
            by_id.insert(object["id"].to_string(), object);
        }
    }
    actual.add(ObjectKind::Promotion, by_id.into_values().collect());
    Ok(())
}

async fn list(api: &Api, kind: ObjectKind, query: &Form, read_at: &mut i64) -> Result<Vec<Value>, ApiError> {
    let id = |object: &Value| object["id"].as_str().map(str::to_owned);
    let (all, answered_at) = pages::list_all(api, kind.traits().path, query, id).await?;
    *read_at = answered_at;
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_that_stripe_expanded_becomes_its_id() {
        let price = FoundObject::new(
            ObjectKind::Price,
            json!({"id": "price_1", "product": {"id": "prod_1"}, "active": false}),
        );
        assert_eq!(price.object["product"], "prod_1");
        assert!(!price.is_active() && !price.is_ours() && price.key.is_none());
        let code = json!({"id": "promo_1", "code": "X", "promotion": {"type": "coupon", "coupon": {"id": "C"}}});
        let code = FoundObject::new(ObjectKind::Promotion, code);
        assert_eq!(code.text("promotion[coupon]"), Some("C"));
    }

    #[test]
    fn the_portal_is_the_oldest_with_our_mark_or_else_the_default_one() {
        let portal = |id: &str, created: i64, ours: bool, default: bool| {
            let mark = if ours { json!({"managed_by": MARK}) } else { json!({}) };
            json!({"id": id, "created": created, "is_default": default, "metadata": mark})
        };
        let chosen = |portals: Vec<Value>| {
            let mut actual = ActualObjects::default();
            actual.add(ObjectKind::Portal, portals);
            let mut chosen = actual.found.into_iter().filter(|found| found.key.is_some());
            (chosen.next().map(|found| found.id), chosen.next())
        };
        let (default, old, new) = (
            portal("a", 1, false, true),
            portal("b", 2, true, false),
            portal("c", 3, true, false),
        );
        assert_eq!(
            chosen(vec![new.clone(), default.clone(), old]),
            (Some("b".to_owned()), None)
        );
        assert_eq!(chosen(vec![default]), (Some("a".to_owned()), None));
        assert_eq!(chosen(vec![portal("d", 1, false, false)]), (None, None));
    }
}
