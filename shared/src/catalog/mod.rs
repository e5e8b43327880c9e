//! `deploy/catalog.toml`: what is sold, what it gives, and how the Stripe account is
//! set up to sell it. One file for all processes, checked whole when it is read.

mod account;
mod check;
mod check_account;
mod offer;
mod place;
mod setting;
mod sold;

pub use account::{Address, CustomerField, DefaultTaxBehavior, Downgrades, Features, Portal, Proration, Tax, Webhook};
pub use offer::{Coupon, CouponDuration, Promotion};
pub use setting::CATALOG_FILE;
pub use sold::{Interval, Limit, Limits, Meter, Pack, Price, Product, TaxBehavior, Tier};

use serde::Deserialize;
use std::{collections::BTreeMap, path::Path};

/// The tier of whoever pays for nothing: rank 0, in every catalog.
pub const FREE_TIER: &str = "free";

/// A catalog that cannot be used: which file, where in it, and why.
#[derive(Debug, thiserror::Error)]
#[error("CATALOG_FILE: {path}: {problem}")]
pub struct CatalogError {
    path: String,
    problem: String,
}

/// What is sold. Made only from a file that passed every check.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalog {
    #[serde(default)]
    managed_payments: bool,
    #[serde(default, rename = "meter")]
    meters: Vec<Meter>,
    #[serde(default, rename = "product")]
    products: Vec<Product>,
    #[serde(rename = "tier")]
    tiers: Vec<Tier>,
    #[serde(default, rename = "price")]
    prices: Vec<Price>,
    #[serde(default, rename = "pack")]
    packs: Vec<Pack>,
    #[serde(default, rename = "coupon")]
    coupons: Vec<Coupon>,
    #[serde(default, rename = "promotion")]
    promotions: Vec<Promotion>,
    portal: Option<Portal>,
    webhook: Option<Webhook>,
    tax: Option<Tax>,
}

/// What is known of a price in an event, as far as the event says it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PriceClues<'a> {
    /// `price.lookup_key`.
    pub lookup_key: Option<&'a str>,
    /// `price.metadata.tier`.
    pub metadata_tier: Option<&'a str>,
    /// `price.product`, an id.
    pub product: Option<&'a str>,
    /// `price.recurring.interval`.
    pub interval: Option<&'a str>,
}

impl Catalog {
    /// Reads and checks a file.
    pub fn load(path: &Path) -> Result<Self, CatalogError> {
        let wrong = |problem: String| CatalogError {
            path: path.display().to_string(),
            problem,
        };
        let text = std::fs::read_to_string(path).map_err(|e| wrong(format!("cannot be read: {e}")))?;
        Self::parse(&text).map_err(wrong)
    }

    /// Checks a catalog's text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let catalog: Self = toml::from_str(text).map_err(|e| place::in_one_line(&e, text))?;
        match check::fault(&catalog) {
            Some(fault) => Err(format!("line {}: {}", fault.place.line(text), fault.what)),
            None => Ok(catalog),
        }
    }

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

    /// The customers' portal, if it is ours to set up.
    #[must_use]
    pub fn portal(&self) -> Option<&Portal> {
        self.portal.as_ref()
    }

    /// The webhook endpoint, if it is ours to set up.
    #[must_use]
    pub fn webhook(&self) -> Option<&Webhook> {
        self.webhook.as_ref()
    }

    /// The account's tax settings, if they are ours to set.
    #[must_use]
    pub fn tax(&self) -> Option<&Tax> {
        self.tax.as_ref()
    }

    /// Whether Stripe is the merchant of record.
    #[must_use]
    pub fn managed_payments(&self) -> bool {
        self.managed_payments
    }

    /// A meter by its name.
    #[must_use]
    pub fn meter(&self, name: &str) -> Option<&Meter> {
        self.meters.iter().find(|m| m.name == name)
    }

    /// The most that rollover may hold, of each meter that has rollover.
    #[must_use]
    pub fn rollover_caps(&self) -> BTreeMap<String, i64> {
        let capped = |m: &Meter| Some((m.name.clone(), m.rollover_cap?));
        self.meters.iter().filter_map(capped).collect()
    }

    /// A pack by its name.
    #[must_use]
    pub fn pack(&self, name: &str) -> Option<&Pack> {
        self.packs.iter().find(|p| p.name == name)
    }

    /// The tier that a price buys, with its limits per billing period: by the
    /// first of lookup key, `metadata.tier` and product that is known. A price
    /// known only by its tier or product (an archived one has no lookup key any
    /// more) has the limits of the tier's price of the same interval.
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

    /// A tier by its name.
    #[must_use]
    pub fn tier(&self, name: &str) -> Option<&Tier> {
        self.tiers.iter().find(|t| t.name == name)
    }
}

#[cfg(test)]
mod tests;
