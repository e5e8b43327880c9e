//! What is sold, and what it gives.

use serde::Deserialize;
use std::collections::BTreeMap;

/// How much of a meter a billing period includes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// This many units; 0 is "not included".
    Units(i64),
    /// No limit; use is only counted.
    Unlimited,
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a limit is a whole number of units or \"unlimited\"")]
        enum Written {
            Units(i64),
            Word(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Units(units) => Ok(Self::Units(units)),
            Written::Word(word) if word == "unlimited" => Ok(Self::Unlimited),
            Written::Word(word) => Err(serde::de::Error::custom(format!(
                "'{word}' is not a limit; write a whole number or \"unlimited\""
            ))),
        }
    }
}

/// Limits by meter.
pub type Limits = BTreeMap<String, Limit>;

/// Something whose use is counted.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Meter {
    /// Its name, in usage events and in `billing.balances`.
    pub name: String,
    /// The most that rollover may hold, in units; absent: nothing rolls over.
    pub rollover_cap: Option<i64>,
    /// Units per quantity of each kind, for usage reported by kind.
    #[serde(default)]
    pub weights: BTreeMap<String, i64>,
}

/// A level of the product.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// Its name, as applications see it.
    pub name: String,
    /// Higher is better; no two tiers share one.
    pub rank: i32,
    /// Days of trial that a user who never had this tier or a higher one is offered.
    #[serde(default)]
    pub trial_days: i32,
    /// The product that it is sold as, by its id; none for the free tier.
    pub product: Option<String>,
    /// Units per billing period, for every meter.
    pub limits: Limits,
}

/// What Stripe calls a product: what customers see on invoices and in the portal.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Product {
    /// Our own choice, for good: it is what the product is found by.
    pub id: String,
    /// For customers.
    pub name: String,
    /// For customers.
    pub description: Option<String>,
    /// What it is for tax, such as `txcd_10103000`; without one the default of `[tax]`.
    pub tax_code: Option<String>,
}

/// How often a price is charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Interval {
    /// Every month.
    Month,
    /// Every year.
    Year,
}

impl Interval {
    /// Stripe's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Month => "month",
            Self::Year => "year",
        }
    }
}

/// Whether a price holds its tax.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaxBehavior {
    /// It does.
    Inclusive,
    /// Tax comes on top.
    Exclusive,
}

impl TaxBehavior {
    /// Stripe's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inclusive => "inclusive",
            Self::Exclusive => "exclusive",
        }
    }
}

/// A recurring price of a tier.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Stripe's lookup key: what the price is found by.
    pub lookup_key: String,
    /// The tier it buys.
    pub tier: String,
    /// In minor units of the currency.
    pub amount: i64,
    /// Three letters, lower case.
    pub currency: String,
    /// `month` or `year`.
    pub interval: Interval,
    /// Whether the amount holds the tax; without it Stripe decides by `[tax]`.
    pub tax_behavior: Option<TaxBehavior>,
    /// Replaces the tier's limits where it says something.
    #[serde(default)]
    pub limits: Limits,
}

/// Credits sold once.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pack {
    /// Its name, in a checkout session's `metadata.pack`, and its price's lookup key.
    pub name: String,
    /// The product that it is sold as, by its id; not that of a tier.
    pub product: String,
    /// The meter that it fills.
    pub meter: String,
    /// Units per piece.
    pub credits: i64,
    /// In minor units of the currency.
    pub amount: i64,
    /// Three letters, lower case.
    pub currency: String,
    /// Whether the amount holds the tax; without it Stripe decides by `[tax]`.
    pub tax_behavior: Option<TaxBehavior>,
}
