//! Turns the catalog into the objects that Stripe must have.

use crate::{
    kind::ObjectKind,
    value::{self, Fields},
};
use serde_json::{Map, Value, json};
use shared::catalog::{
    Catalog, Coupon, Downgrades, Pack, Portal, Price, Product, Promotion, Tax, TaxBehavior, Webhook,
};
use stripe_api::HANDLED;

/// Our mark: the value of `metadata[managed_by]` in every object that provision manages.
pub const MARK: &str = "tollbridge";

/// An object that the catalog wants.
#[derive(Debug, Clone, PartialEq)]
pub struct DesiredObject {
    /// Its kind.
    pub kind: ObjectKind,
    /// The key that the object is found by, such as a lookup key ([`ObjectKind`]).
    pub key: String,
    /// The fields that the catalog sets. Prices appear as lookup keys, not as ids.
    pub fields: Fields,
}

impl DesiredObject {
    fn new(kind: ObjectKind, key: &str, body: &Value) -> Self {
        Self {
            kind,
            key: key.to_owned(),
            fields: value::fields(body, kind.traits().sent_whole),
        }
    }
}

/// Every object that Stripe must have, in the order of writing.
#[must_use]
pub fn desired_objects(catalog: &Catalog) -> Vec<DesiredObject> {
    let mut all: Vec<DesiredObject> = catalog.products().iter().map(product).collect();
    all.extend(catalog.prices().iter().filter_map(|p| price(catalog, p)));
    all.extend(catalog.packs().iter().map(pack));
    all.extend(catalog.products().iter().filter_map(|p| default_price(catalog, p)));
    all.extend(catalog.coupons().iter().map(coupon));
    all.extend(catalog.promotions().iter().map(promotion));
    all.extend(catalog.portal().map(|p| portal(catalog, p)));
    all.extend(catalog.webhook().map(webhook));
    all.extend(catalog.tax().map(tax));
    all
}

fn product(product: &Product) -> DesiredObject {
    let body = json!({
        "id": product.id,
        "active": true,
        "name": product.name,
        "description": product.description,
        "tax_code": product.tax_code,
        "metadata": {"managed_by": MARK},
    });
    DesiredObject::new(ObjectKind::Product, &product.id, &body)
}

fn price(catalog: &Catalog, price: &Price) -> Option<DesiredObject> {
    let mut body = price_fields(price.amount, &price.currency, price.tax_behavior);
    let more = json!({
        "product": catalog.tier(&price.tier)?.product,
        "lookup_key": price.lookup_key,
        "recurring": {"interval": price.interval.as_str(), "interval_count": price.interval_count, "usage_type": "licensed"},
        "metadata": {"managed_by": MARK, "tier": price.tier},
    });
    extend(&mut body, more);
    Some(DesiredObject::new(
        ObjectKind::Price,
        &price.lookup_key,
        &Value::Object(body),
    ))
}

fn pack(pack: &Pack) -> DesiredObject {
    let mut body = price_fields(pack.amount, &pack.currency, pack.tax_behavior);
    let more = json!({
        "product": pack.product,
        "lookup_key": pack.name,
        "recurring": null,
        "metadata": {"managed_by": MARK, "pack": pack.name},
    });
    extend(&mut body, more);
    DesiredObject::new(ObjectKind::Price, &pack.name, &Value::Object(body))
}

/// The fields of every price. Without a `tax_behavior` in the catalog Stripe's value stays as it is.
fn price_fields(amount: i64, currency: &str, tax_behavior: Option<TaxBehavior>) -> Map<String, Value> {
    let mut body = Map::new();
    let all = json!({
        "active": true,
        "unit_amount": amount,
        "currency": currency,
        "billing_scheme": "per_unit",
        "transform_quantity": null,
    });
    extend(&mut body, all);
    if let Some(behavior) = tax_behavior {
        body.insert("tax_behavior".to_owned(), behavior.as_str().into());
    }
    body
}

fn extend(body: &mut Map<String, Value>, more: Value) {
    if let Value::Object(more) = more {
        body.extend(more);
    }
}

/// A product's default price is the first price of the catalog that sells it.
fn default_price(catalog: &Catalog, product: &Product) -> Option<DesiredObject> {
    let sells = |price: &&Price| catalog.tier(&price.tier).and_then(|t| t.product.as_ref()) == Some(&product.id);
    let key = catalog.prices().iter().find(sells).map(|p| &p.lookup_key);
    let pack = || catalog.packs().iter().find(|p| p.product == product.id);
    let key = key.or_else(|| pack().map(|p| &p.name))?;
    let body = json!({"default_price": key});
    Some(DesiredObject::new(ObjectKind::DefaultPrice, &product.id, &body))
}

fn coupon(coupon: &Coupon) -> DesiredObject {
    let mut body = json!({
        "id": coupon.id,
        "amount_off": coupon.amount_off,
        "currency": coupon.currency,
        "percent_off": coupon.percent_off,
        "duration": coupon.duration.as_str(),
        "duration_in_months": coupon.duration_in_months,
        "max_redemptions": coupon.max_redemptions,
        "redeem_by": coupon.redeem_by,
        "applies_to": {"products": coupon.applies_to},
        "metadata": {"managed_by": MARK},
    });
    // Stripe can change a coupon's name, but not remove it.
    if let Some(name) = &coupon.name {
        body["name"] = json!(name);
    }
    DesiredObject::new(ObjectKind::Coupon, &coupon.id, &body)
}

fn promotion(promotion: &Promotion) -> DesiredObject {
    let body = json!({
        "code": promotion.code,
        "active": true,
        "promotion": {"type": "coupon", "coupon": promotion.coupon},
        "customer": null,
        "max_redemptions": promotion.max_redemptions,
        "expires_at": promotion.expires_at,
        "restrictions": {
            "first_time_transaction": promotion.first_time_transaction,
            "minimum_amount": promotion.minimum_amount,
            "minimum_amount_currency": promotion.minimum_amount_currency,
        },
        "metadata": {"managed_by": MARK},
    });
    DesiredObject::new(ObjectKind::Promotion, &promotion.code, &body)
}

fn portal(catalog: &Catalog, portal: &Portal) -> DesiredObject {
    let features = &portal.features;
    let fields: Vec<&str> = features.customer_update.iter().map(|f| f.as_str()).collect();
    let body = json!({
        "active": true,
        "business_profile": {
            "headline": portal.headline,
            "privacy_policy_url": portal.privacy_policy_url,
            "terms_of_service_url": portal.terms_of_service_url,
        },
        "default_return_url": portal.default_return_url,
        "features": {
            "customer_update": {"enabled": !fields.is_empty(), "allowed_updates": fields},
            "invoice_history": {"enabled": features.invoice_history},
            "payment_method_update": {"enabled": features.payment_method_update},
            "subscription_cancel": {"enabled": features.cancel, "mode": "at_period_end", "proration_behavior": "none"},
            "subscription_update": subscription_update(catalog, portal),
        },
        "metadata": {"managed_by": MARK},
    });
    DesiredObject::new(ObjectKind::Portal, "portal", &body)
}

/// How the portal switches plans: a switch ends a running trial, and the billing date stays the same.
fn subscription_update(catalog: &Catalog, portal: &Portal) -> Value {
    if !portal.features.switch {
        return json!({"enabled": false});
    }
    let mut updates = vec!["price"];
    if portal.features.promotion_codes {
        updates.push("promotion_code");
    }
    let conditions = match portal.downgrades {
        Downgrades::PeriodEnd => json!([{"type": "decreasing_item_amount"}, {"type": "shortening_interval"}]),
        Downgrades::Immediate => json!([]),
    };
    json!({
        "enabled": true,
        "default_allowed_updates": updates,
        "proration_behavior": portal.proration_behavior.as_str(),
        "products": portal_products(catalog),
        "schedule_at_period_end": {"conditions": conditions},
        "trial_update_behavior": "end_trial",
        "billing_cycle_anchor": "unchanged",
    })
}

fn portal_products(catalog: &Catalog) -> Vec<Value> {
    let products = catalog.tiers().iter().filter_map(|tier| {
        let prices: Vec<&str> = in_portal(catalog, &tier.name).map(|p| p.lookup_key.as_str()).collect();
        let product = tier.product.as_ref()?;
        if prices.is_empty() {
            return None;
        }
        Some(json!({"product": product, "prices": prices, "adjustable_quantity": {"enabled": false}}))
    });
    products.collect()
}

/// The prices of a tier that the portal offers. Stripe allows one price per product, interval with
/// its count, and currency (API reference, "Portal configuration"), so the first of each is used.
pub(crate) fn in_portal<'a>(catalog: &'a Catalog, tier: &'a str) -> impl Iterator<Item = &'a Price> {
    let prices = catalog.prices();
    let is_same_offer = |one: &Price, other: &Price| {
        let offer = |price: &Price| (price.interval, price.interval_count);
        (&one.tier, &one.currency, offer(one)) == (&other.tier, &other.currency, offer(other))
    };
    let first = move |(index, price): &(usize, &Price)| !prices[..*index].iter().any(|p| is_same_offer(p, price));
    let all = prices.iter().enumerate().filter(first);
    all.map(|(_, price)| price).filter(move |price| price.tier == tier)
}

fn webhook(webhook: &Webhook) -> DesiredObject {
    let events = HANDLED;
    let body = json!({
        "url": webhook.url,
        "description": webhook.description,
        "api_version": webhook.api_version,
        "enabled_events": events,
        "disabled": false,
        "metadata": {"managed_by": MARK},
    });
    DesiredObject::new(ObjectKind::Webhook, &webhook.url, &body)
}

fn tax(tax: &Tax) -> DesiredObject {
    let mut body = Map::new();
    let mut defaults = Map::new();
    if let Some(behavior) = tax.tax_behavior {
        defaults.insert("tax_behavior".to_owned(), behavior.as_str().into());
    }
    if let Some(code) = &tax.tax_code {
        defaults.insert("tax_code".to_owned(), code.as_str().into());
    }
    body.insert("defaults".to_owned(), Value::Object(defaults));
    if let Some(office) = &tax.head_office {
        let address = json!({
            "country": office.country, "state": office.state, "city": office.city,
            "postal_code": office.postal_code, "line1": office.line1, "line2": office.line2,
        });
        body.insert("head_office".to_owned(), json!({"address": address}));
    }
    DesiredObject::new(ObjectKind::Tax, "tax", &Value::Object(body))
}
