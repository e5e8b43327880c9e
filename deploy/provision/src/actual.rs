//! What Stripe holds, loaded whole before anything is decided.

use crate::{
    desired::{Desired, MARK},
    kind::Kind,
    pages, value,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use stripe_api::{Api, ApiError, Form};

/// Stripe takes so many lookup keys at once.
const LOOKUP_KEYS_MOST: usize = 10;

/// An object as Stripe has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// What it is.
    pub kind: Kind,
    /// Stripe's id; empty of the tax settings, which have none.
    pub id: String,
    /// What the catalog would find it by, if by anything.
    pub key: Option<String>,
    /// As Stripe wrote it, but for what [`Found::new`] evens out.
    pub object: Value,
}

impl Found {
    /// An object as Stripe wrote it.
    #[must_use]
    pub fn new(kind: Kind, mut object: Value) -> Self {
        // An endpoint is enabled by one word and disabled by another.
        if kind == Kind::Webhook {
            object["disabled"] = json!(object["status"] != "enabled");
        }
        for reference in ["product", "default_price", "customer"] {
            collapse(&mut object[reference]);
        }
        if kind == Kind::Promotion {
            collapse(&mut object["promotion"]["coupon"]);
        }
        let text = |path: &str| object[path].as_str().map(str::to_owned);
        let id = text("id").unwrap_or_default();
        let key = match kind {
            Kind::Product | Kind::DefaultPrice | Kind::Coupon => Some(id.clone()),
            Kind::Price => text("lookup_key"),
            Kind::Promotion => text("code"),
            Kind::Portal => None,
            Kind::Webhook => text("url"),
            Kind::Tax => Some("tax".to_owned()),
        };
        Self { kind, id, key, object }
    }

    /// Whether it carries our mark.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.object["metadata"]["managed_by"] == MARK
    }

    /// Whether it is in use.
    #[must_use]
    pub fn is_active(&self) -> bool {
        let retired = self.kind.traits().retired;
        retired.is_none_or(|(field, value)| self.object[field] != json!(value))
    }

    /// A number of it, such as when it was `created`.
    #[must_use]
    pub fn number(&self, path: &str) -> Option<i64> {
        value::at(&self.object, path).as_i64()
    }

    /// A text of it.
    #[must_use]
    pub fn text(&self, path: &str) -> Option<&str> {
        value::at(&self.object, path).as_str()
    }
}

/// An expanded object stands for its id.
fn collapse(reference: &mut Value) {
    if let Some(id) = reference.get("id") {
        *reference = id.clone();
    }
}

/// All that Stripe holds of what the catalog could declare.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Actual {
    /// In no order.
    pub found: Vec<Found>,
    /// When it was read, by Stripe's clock.
    pub at: i64,
}

impl Actual {
    /// Those of a kind.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = &Found> {
        self.found.iter().filter(move |found| found.kind == kind)
    }

    /// Takes in what Stripe wrote of a kind. A product is its default price too.
    pub fn take(&mut self, kind: Kind, objects: Vec<Value>) {
        for object in objects {
            if kind == Kind::Product {
                self.found.push(Found::new(Kind::DefaultPrice, object.clone()));
            }
            self.found.push(Found::new(kind, object));
        }
        if kind == Kind::Portal {
            self.choose_portal();
        }
    }

    /// The portal's configuration is the oldest one with our mark, else the default one.
    fn choose_portal(&mut self) {
        let portals = self.found.iter_mut().filter(|found| found.kind == Kind::Portal);
        let rank = |found: &&mut Found| (!found.is_ours(), found.number("created"), found.id.clone());
        let candidates = portals.filter(|found| found.is_ours() || found.object["is_default"] == true);
        if let Some(chosen) = candidates.min_by_key(rank) {
            chosen.key = Some("portal".to_owned());
        }
    }
}

/// Loads what is there of the kinds that are wanted.
///
/// # Errors
/// What Stripe said.
pub async fn load(api: &Api, desired: &[Desired]) -> Result<Actual, ApiError> {
    let kinds: BTreeSet<Kind> = desired.iter().map(|object| object.kind).collect();
    let mut actual = Actual::default();
    let expanded = |field: &str| Form::new().with("expand[]", &format!("data.{field}"));
    for (kind, query) in [
        (Kind::Product, Form::new()),
        (Kind::Price, Form::new()),
        (Kind::Coupon, expanded("applies_to")),
        (Kind::Portal, expanded("features.subscription_update.products")),
        (Kind::Webhook, Form::new()),
    ] {
        // What was taken out of the catalog whole may have left something behind, but for the portal.
        if kind != Kind::Portal || kinds.contains(&kind) {
            let objects = list(api, kind, &query, &mut actual.at).await?;
            actual.take(kind, objects);
        }
    }
    load_inactive_prices(api, desired, &mut actual).await?;
    load_promotions(api, desired, &mut actual).await?;
    if kinds.contains(&Kind::Tax) {
        let answer = api.get(Kind::Tax.traits().path, &Form::new()).await?;
        actual.take(Kind::Tax, vec![answer.json()?]);
    }
    Ok(actual)
}

/// A list of prices has the active ones alone; but an inactive one may hold a lookup key of the catalog's.
async fn load_inactive_prices(api: &Api, desired: &[Desired], actual: &mut Actual) -> Result<(), ApiError> {
    let keys: Vec<&str> = desired
        .iter()
        .filter(|o| o.kind == Kind::Price)
        .map(|o| o.key.as_str())
        .collect();
    for keys in keys.chunks(LOOKUP_KEYS_MOST) {
        let inactive = Form::new().with("active", &false);
        let query = keys
            .iter()
            .fold(inactive, |query, key| query.with("lookup_keys[]", *key));
        let mut prices = list(api, Kind::Price, &query, &mut actual.at).await?;
        prices.retain(|price| !actual.of(Kind::Price).any(|known| price["id"] == known.id.as_str()));
        actual.take(Kind::Price, prices);
    }
    Ok(())
}

/// An account may have any number of codes, one for each of its customers: only
/// those of our coupons, and those that are the same as one of the catalog, are loaded.
async fn load_promotions(api: &Api, desired: &[Desired], actual: &mut Actual) -> Result<(), ApiError> {
    let codes = desired.iter().filter(|object| object.kind == Kind::Promotion);
    let mut queries: Vec<Form> = codes.map(|object| Form::new().with("code", &object.key)).collect();
    let ours = actual.of(Kind::Coupon).filter(|coupon| coupon.is_ours());
    queries.extend(ours.map(|coupon| Form::new().with("coupon", &coupon.id).with("active", &true)));
    let mut by_id = BTreeMap::new();
    for query in queries {
        for object in list(api, Kind::Promotion, &query, &mut actual.at).await? {
            by_id.insert(object["id"].to_string(), object);
        }
    }
    actual.take(Kind::Promotion, by_id.into_values().collect());
    Ok(())
}

async fn list(api: &Api, kind: Kind, query: &Form, at: &mut i64) -> Result<Vec<Value>, ApiError> {
    let id = |object: &Value| object["id"].as_str().map(str::to_owned);
    let (all, answered_at) = pages::all(api, kind.traits().path, query, id).await?;
    *at = answered_at;
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stripe_expanded_stands_for_its_id() {
        let price = Found::new(
            Kind::Price,
            json!({"id": "price_1", "product": {"id": "prod_1"}, "active": false}),
        );
        assert_eq!(price.object["product"], "prod_1");
        assert!(!price.is_active() && !price.is_ours() && price.key.is_none());
        let code = json!({"id": "promo_1", "code": "X", "promotion": {"type": "coupon", "coupon": {"id": "C"}}});
        let code = Found::new(Kind::Promotion, code);
        assert_eq!(code.text("promotion[coupon]"), Some("C"));
    }

    #[test]
    fn the_portal_is_ours_before_it_is_the_default_one_and_the_oldest_of_ours() {
        let portal = |id: &str, created: i64, ours: bool, default: bool| {
            let mark = if ours { json!({"managed_by": MARK}) } else { json!({}) };
            json!({"id": id, "created": created, "is_default": default, "metadata": mark})
        };
        let chosen = |portals: Vec<Value>| {
            let mut actual = Actual::default();
            actual.take(Kind::Portal, portals);
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
