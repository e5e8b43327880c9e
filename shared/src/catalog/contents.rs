//! The contents of a catalog, and how the worker looks a price up in it.

use super::{
    account::{Portal, Tax, Webhook},
    offer::{Coupon, Promotion},
    sold::{Limits, Meter, Pack, Price, Product, Tier},
};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The tier of a user who pays for nothing. Every catalog has it, with rank 0.
pub const FREE_TIER: &str = "free";

/// A catalog that passed every check ([`Catalog::parse`]).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalog {
    #[serde(default)]
    pub(super) managed_payments: bool,
    #[serde(default, rename = "meter")]
    pub(super) meters: Vec<Meter>,
    #[serde(default, rename = "product")]
    pub(super) products: Vec<Product>,
    #[serde(rename = "tier")]
    pub(super) tiers: Vec<Tier>,
    #[serde(default, rename = "price")]
    pub(super) prices: Vec<Price>,
    #[serde(default, rename = "pack")]
    pub(super) packs: Vec<Pack>,
    #[serde(default, rename = "coupon")]
    pub(super) coupons: Vec<Coupon>,
    #[serde(default, rename = "promotion")]
    pub(super) promotions: Vec<Promotion>,
    pub(super) portal: Option<Portal>,
    pub(super) webhook: Option<Webhook>,
    pub(super) tax: Option<Tax>,
}

/// What an event says about a price. Each field can be absent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PriceClues<'a> {
    /// `price.lookup_key`.
    pub lookup_key: Option<&'a str>,
    /// `price.metadata.tier`.
    pub metadata_tier: Option<&'a str>,
    /// `price.product`: an id.
    pub product: Option<&'a str>,
    /// `price.recurring.interval`.
    pub interval: Option<&'a str>,
}

impl Catalog {
    /// All tiers.
    #[must_use]
    pub fn tiers(&self) -> &[Tier] {
        &self.tiers
    }

    /// All prices.
    #[must_use]
    pub fn prices(&self) -> &[Price] {
        &self.prices
    }

    /// All packs.
    #[must_use]
    pub fn packs(&self) -> &[Pack] {
        &self.packs
    }

    /// All products.
    #[must_use]
    pub fn products(&self) -> &[Product] {
        &self.products
    }

    /// All coupons.
    #[must_use]
    pub fn coupons(&self) -> &[Coupon] {
        &self.coupons
    }

    /// All promotion codes.
    #[must_use]
    pub fn promotions(&self) -> &[Promotion] {
        &self.promotions
    }

    /// The customer portal, if the catalog sets it up.
    #[must_use]
    pub fn portal(&self) -> Option<&Portal> {
        self.portal.as_ref()
    }

    /// The webhook endpoint, if the catalog sets it up.
    #[must_use]
    pub fn webhook(&self) -> Option<&Webhook> {
        self.webhook.as_ref()
    }

    /// The account's tax settings, if the catalog sets them.
    #[must_use]
    pub fn tax(&self) -> Option<&Tax> {
        self.tax.as_ref()
    }

    /// Whether Stripe is the merchant of record (Stripe's page "Managed Payments").
    #[must_use]
    pub fn managed_payments(&self) -> bool {
        self.managed_payments
    }

    /// The meter with this name.
    #[must_use]
    pub fn meter(&self, name: &str) -> Option<&Meter> {
        self.meters.iter().find(|m| m.name == name)
    }

    /// The rollover cap, in units, of each meter that has rollover.
    #[must_use]
    pub fn rollover_caps(&self) -> BTreeMap<String, i64> {
        let capped = |m: &Meter| Some((m.name.clone(), m.rollover_cap?));
        self.meters.iter().filter_map(capped).collect()
    }

    /// The pack with this name.
    #[must_use]
    pub fn pack(&self, name: &str) -> Option<&Pack> {
        self.packs.iter().find(|p| p.name == name)
    }

    /// The tier that a price buys, and its limits per billing period. The first clue that the
    /// catalog knows decides: lookup key, then `metadata.tier`, then product.
    ///
    /// An archived price has no lookup key. Its limits are those of the tier's price with the
    /// same interval.
    #[must_use]
    pub fn resolve(&self, clues: PriceClues<'_>) -> Option<(&Tier, Limits)> {
        let by_key = clues
            .lookup_key
            .and_then(|key| self.prices.iter().find(|p| p.lookup_key == key));
        let tier = match by_key {
            Some(price) => self.tier(&price.tier),
            None => clues.metadata_tier.and_then(|name| self.tier(name)).or_else(|| {
                clues
                    .product
                    .and_then(|id| self.tiers.iter().find(|t| t.product.as_deref() == Some(id)))
            }),
        }?;
        let same_interval = || {
            self.prices
                .iter()
                .find(|p| p.tier == tier.name && Some(p.interval.as_str()) == clues.interval)
        };
        let mut limits = tier.limits.clone();
        if let Some(price) = by_key.or_else(same_interval) {
            limits.extend(price.limits.iter().map(|(meter, limit)| (meter.clone(), *limit)));
        }
        Some((tier, limits))
    }

    /// The tier with this name.
    #[must_use]
    pub fn tier(&self, name: &str) -> Option<&Tier> {
        self.tiers.iter().find(|t| t.name == name)
    }
}
