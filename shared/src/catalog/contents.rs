//! The contents of a catalog.

use super::{
    account::{Portal, Tax, Webhook},
    offer::{Coupon, Promotion},
    sold::{Meter, Pack, Price, Product, Tier},
};
use serde::Deserialize;

/// The tier of a user who pays for nothing. Every catalog has it, with rank 0.
pub const FREE_TIER: &str = "free";

/// A catalog that passed every check ([`Catalog::parse`]).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalog {
    #[serde(default)]
    pub(super) managed_payments: bool,
    #[serde(default)]
    pub(super) ignored_products: Vec<String>,
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

    /// The pack with this name.
    #[must_use]
    pub fn pack(&self, name: &str) -> Option<&Pack> {
        self.packs.iter().find(|p| p.name == name)
    }

    /// The tier with this name.
    #[must_use]
    pub fn tier(&self, name: &str) -> Option<&Tier> {
        self.tiers.iter().find(|t| t.name == name)
    }
}
