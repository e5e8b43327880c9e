//! What is sold: meters, tiers, products, prices and packs.

use super::interval::Interval;
use serde::Deserialize;
use std::collections::BTreeMap;

/// How much of a meter is included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// A number of units; 0 means that the meter is not included.
    Units(i64),
    /// No limit; usage is only counted.
    Unlimited,
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a limit is a whole number of units or \"unlimited\"")]
        enum LimitText {
            Units(i64),
            Word(String),
        }
        match LimitText::deserialize(deserializer)? {
            LimitText::Units(units) => Ok(Self::Units(units)),
            LimitText::Word(word) if word == "unlimited" => Ok(Self::Unlimited),
            LimitText::Word(word) => Err(serde::de::Error::custom(format!(
                "'{word}' is not a limit; write a whole number or \"unlimited\""
            ))),
        }
    }
}

/// Limits by the name of the meter.
pub type Limits = BTreeMap<String, Limit>;

/// A quantity of which each user's usage is counted, such as tokens.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Meter {
    /// Its name in usage events and in `billing.balances`.
    pub name: String,
    /// Most units that roll over into the next period. Absent: nothing rolls over.
    pub rollover_cap: Option<i64>,
    /// Units per reported quantity, by kind: with `{ input = 1, output = 6 }` a report of 20
    /// output tokens is 120 units.
    #[serde(default)]
    pub weights: BTreeMap<String, i64>,
    /// Whether a change within a period counts for the rest of it only (the default). If
    /// false, the limit in force now counts in full.
    #[serde(default = "yes")]
    pub prorate: bool,
}

fn yes() -> bool {
    true
}

/// A level of the product that users subscribe to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// Its name, which applications read.
    pub name: String,
    /// The order of the tiers: a higher rank is a better tier. Each rank is unique.
    pub rank: i32,
    /// Days of trial for a user who never had this tier or a higher one; 0 to 730.
    #[serde(default)]
    pub trial_days: i32,
    /// The id of the product that sells this tier; `None` for the free tier.
    pub product: Option<String>,
    /// The limit of every meter for a month.
    pub limits: Limits,
    /// Limits of a trial that replace those of a month, meter by meter.
    #[serde(default)]
    pub trial_limits: Limits,
    /// Whether the limits are those of one seat: the quantity of the subscription's item
    /// multiplies them.
    #[serde(default)]
    pub per_unit: bool,
}

/// A product of Stripe. Customers see it on invoices and in the portal.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Product {
    /// An id of your choice. The product is found by it, so it cannot change later.
    pub id: String,
    /// A name for customers.
    pub name: String,
    /// A description for customers.
    pub description: Option<String>,
    /// Stripe's tax code, such as `txcd_10103000` (Stripe's page "Tax codes"). Without one the
    /// code in `[tax]` counts.
    pub tax_code: Option<String>,
}

/// Whether a price's amount includes the tax.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaxBehavior {
    /// The amount includes the tax.
    Inclusive,
    /// The tax is added to the amount.
    Exclusive,
}

impl TaxBehavior {
    /// The value in Stripe's API.
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
    /// Stripe's lookup key. The price is found by it.
    pub lookup_key: String,
    /// The name of the tier that this price buys.
    pub tier: String,
    /// In minor units of the currency: 1000 is 10.00 EUR.
    pub amount: i64,
    /// Three lower-case letters, such as `eur`.
    pub currency: String,
    /// `day`, `week`, `month` or `year`.
    pub interval: Interval,
    /// The number of these intervals between two charges.
    #[serde(default = "one")]
    pub interval_count: i64,
    /// Whether the amount includes the tax. Without it the setting in `[tax]` counts.
    pub tax_behavior: Option<TaxBehavior>,
    /// The limits of one interval, meter by meter. Without them the price sells the tier's
    /// limits of a month in proportion to its interval.
    #[serde(default)]
    pub limits: Limits,
}

fn one() -> i64 {
    1
}

/// Credits for a single payment.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pack {
    /// Its name. It is the price's lookup key, and `metadata.pack` of a checkout session.
    pub name: String,
    /// The id of the product that sells it. A tier cannot have the same product.
    pub product: String,
    /// The name of the meter that gets the credits.
    pub meter: String,
    /// Units in one pack.
    pub credits: i64,
    /// In minor units of the currency: 1000 is 10.00 EUR.
    pub amount: i64,
    /// Three lower-case letters, such as `eur`.
    pub currency: String,
    /// Whether the amount includes the tax. Without it the setting in `[tax]` counts.
    pub tax_behavior: Option<TaxBehavior>,
}
