//! `deploy/catalog.toml`: what is sold, and what it gives. One file for all
//! processes, checked whole when it is read.

use serde::Deserialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

/// The tier of whoever pays for nothing: rank 0, in every catalog.
pub const FREE_TIER: &str = "free";

/// A catalog that cannot be used: which file, where in it, and why.
#[derive(Debug, thiserror::Error)]
#[error("CATALOG_FILE: {path}: {problem}")]
pub struct CatalogError {
    path: String,
    problem: String,
}

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
    /// Stripe's product id; none for the free tier.
    pub product: Option<String>,
    /// Units per billing period, for every meter.
    pub limits: Limits,
}

/// A recurring price of a tier.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Stripe's lookup key.
    pub lookup_key: String,
    /// The tier it buys.
    pub tier: String,
    /// In minor units of the currency.
    pub amount: i64,
    /// Three letters, lower case.
    pub currency: String,
    /// `month` or `year`.
    pub interval: String,
    /// Replaces the tier's limits where it says something.
    #[serde(default)]
    pub limits: Limits,
}

/// Credits sold once.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pack {
    /// Its name, in a checkout session's `metadata.pack`.
    pub name: String,
    /// The meter that it fills.
    pub meter: String,
    /// Units per piece.
    pub credits: i64,
    /// In minor units of the currency.
    pub amount: i64,
    /// Three letters, lower case.
    pub currency: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default, rename = "meter")]
    meters: Vec<Meter>,
    #[serde(rename = "tier")]
    tiers: Vec<Tier>,
    #[serde(default, rename = "price")]
    prices: Vec<Price>,
    #[serde(default, rename = "pack")]
    packs: Vec<Pack>,
}

/// What is sold. Made only from a file that passed every check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalog {
    meters: Vec<Meter>,
    tiers: Vec<Tier>,
    prices: Vec<Price>,
    packs: Vec<Pack>,
}

/// The parser's own way of writing an error draws the place over several lines.
fn in_one_line(error: &toml::de::Error, text: &str) -> String {
    let before = error.span().and_then(|span| text.get(..span.start));
    let line = before.map_or(1, |before| before.matches('\n').count() + 1);
    format!("line {line}: {}", error.message().replace('\n', ", "))
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
        let file: File = toml::from_str(text).map_err(|e| in_one_line(&e, text))?;
        let catalog = Self {
            meters: file.meters,
            tiers: file.tiers,
            prices: file.prices,
            packs: file.packs,
        };
        catalog.check()?;
        Ok(catalog)
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

    fn tier(&self, name: &str) -> Option<&Tier> {
        self.tiers.iter().find(|t| t.name == name)
    }

    fn check(&self) -> Result<(), String> {
        unique("meter", "name", self.meters.iter().map(|m| m.name.clone()))?;
        unique("tier", "name", self.tiers.iter().map(|t| t.name.clone()))?;
        unique("tier", "rank", self.tiers.iter().map(|t| t.rank.to_string()))?;
        unique("tier", "product", self.tiers.iter().filter_map(|t| t.product.clone()))?;
        unique("price", "lookup_key", self.prices.iter().map(|p| p.lookup_key.clone()))?;
        unique("pack", "name", self.packs.iter().map(|p| p.name.clone()))?;
        match self.tiers.iter().min_by_key(|t| t.rank) {
            Some(lowest) if lowest.name == FREE_TIER && lowest.rank == 0 && lowest.trial_days == 0 => {}
            _ => {
                return Err(format!(
                    "the lowest tier must be named \"{FREE_TIER}\", with rank 0 and no trial"
                ));
            }
        }
        for meter in &self.meters {
            if meter.rollover_cap.is_some_and(|cap| cap < 0) || meter.weights.values().any(|w| *w < 0) {
                return Err(format!("meter {}: a cap or weight is below zero", meter.name));
            }
        }
        for tier in &self.tiers {
            let place = format!("tier {}", tier.name);
            self.check_limits(&place, &tier.limits)?;
            if !(0..=730).contains(&tier.trial_days) {
                return Err(format!(
                    "{place}: trial_days is {}; Stripe allows 0 to 730",
                    tier.trial_days
                ));
            }
            if let Some(missing) = self.meters.iter().find(|m| !tier.limits.contains_key(&m.name)) {
                return Err(format!(
                    "{place}: limits lack the meter {}; write 0 if it is not included",
                    missing.name
                ));
            }
        }
        self.prices.iter().try_for_each(|p| self.check_price(p))?;
        self.packs.iter().try_for_each(|p| self.check_pack(p))
    }

    fn check_price(&self, price: &Price) -> Result<(), String> {
        let place = format!("price {}", price.lookup_key);
        if self.tier(&price.tier).is_none() {
            return Err(format!("{place}: there is no tier {}", price.tier));
        }
        if !matches!(price.interval.as_str(), "month" | "year") {
            return Err(format!(
                "{place}: interval is '{}'; write month or year",
                price.interval
            ));
        }
        check_amount(&place, price.amount, &price.currency)?;
        self.check_limits(&place, &price.limits)
    }

    fn check_pack(&self, pack: &Pack) -> Result<(), String> {
        let place = format!("pack {}", pack.name);
        if self.meter(&pack.meter).is_none() {
            return Err(format!("{place}: there is no meter {}", pack.meter));
        }
        if pack.credits <= 0 {
            return Err(format!("{place}: credits must be above zero"));
        }
        check_amount(&place, pack.amount, &pack.currency)
    }

    fn check_limits(&self, place: &str, limits: &Limits) -> Result<(), String> {
        for (meter, limit) in limits {
            if self.meter(meter).is_none() {
                return Err(format!("{place}: limits name the meter {meter}, which does not exist"));
            }
            if matches!(limit, Limit::Units(units) if *units < 0) {
                return Err(format!("{place}: the limit of {meter} is below zero"));
            }
        }
        Ok(())
    }
}

fn check_amount(place: &str, amount: i64, currency: &str) -> Result<(), String> {
    if amount < 0 {
        return Err(format!("{place}: the amount is below zero"));
    }
    if currency.len() != 3 || !currency.chars().all(|c| c.is_ascii_lowercase()) {
        return Err(format!(
            "{place}: currency is '{currency}'; write three lower-case letters, such as eur"
        ));
    }
    Ok(())
}

fn unique(table: &str, key: &str, values: impl Iterator<Item = String>) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for value in values {
        if value.is_empty() {
            return Err(format!("a {table} has an empty {key}"));
        }
        if !seen.insert(value.clone()) {
            return Err(format!("two of [[{table}]] have the {key} {value}"));
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "catalog_tests.rs"]
mod tests;
