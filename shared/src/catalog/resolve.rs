//! What an event's price or product means: a tier with its limits, a pack, or nothing.

use super::{
    contents::Catalog,
    interval::Interval,
    sold::{Limit, Limits, Pack, Price, Tier},
};
use std::collections::{BTreeMap, BTreeSet};

/// What an event says about a price. Each field can be absent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PriceClues<'a> {
    /// `price.lookup_key`.
    pub lookup_key: Option<&'a str>,
    /// `price.metadata.tier`, or `price.metadata.pack` of a pack's price.
    pub metadata: Option<&'a str>,
    /// `price.product`: an id.
    pub product: Option<&'a str>,
    /// `price.recurring.interval` and `interval_count`.
    pub interval: Option<(Interval, i64)>,
}

/// By what the catalog knows a price. The best comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum KnownBy {
    /// By its lookup key.
    LookupKey,
    /// By its metadata.
    Metadata,
    /// By its product.
    Product,
}

/// A tier that a price buys, and what it sells of it for one unit of quantity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SoldTier<'a> {
    /// The tier.
    pub tier: &'a Tier,
    /// By what the catalog knows the price.
    pub known_by: KnownBy,
    /// The limits of one interval of the price.
    pub limits: Limits,
    /// The limits of a month.
    pub month_limits: Limits,
    /// The limits of a trial, whatever its length.
    pub trial_limits: Limits,
}

impl Catalog {
    /// The tier that a price buys, with its limits. The first clue that the catalog knows
    /// decides: lookup key, then `metadata.tier`, then product.
    ///
    /// An archived price has no lookup key. Its interval in the event decides what it sells;
    /// limits of its own are those of the tier's price with the same interval.
    #[must_use]
    pub fn resolve(&self, clues: PriceClues<'_>) -> Option<SoldTier<'_>> {
        let keyed = clues
            .lookup_key
            .and_then(|key| self.prices.iter().find(|p| p.lookup_key == key));
        let (tier, known_by) = match keyed {
            Some(price) => (self.tier(&price.tier)?, KnownBy::LookupKey),
            None => self
                .tier_of_metadata(clues.metadata)
                .map(|tier| (tier, KnownBy::Metadata))
                .or_else(|| Some((self.tier_of_product(clues.product)?, KnownBy::Product)))?,
        };
        let (interval, count) = match (keyed, clues.interval) {
            (Some(price), _) => (price.interval, price.interval_count),
            (None, Some(interval)) => interval,
            (None, None) => (Interval::Month, 1),
        };
        let is_twin = |p: &&Price| p.tier == tier.name && (p.interval, p.interval_count) == (interval, count);
        let own = keyed
            .or_else(|| self.prices.iter().find(is_twin))
            .map(|price| &price.limits);
        let share = |(meter, limit): (&String, &Limit)| {
            let limit = match limit {
                Limit::Units(units) => Limit::Units(interval.share(count, *units)),
                Limit::Unlimited => Limit::Unlimited,
            };
            (meter.clone(), limit)
        };
        let mut limits: Limits = tier.limits.iter().map(share).collect();
        limits.extend(own.into_iter().flatten().map(|(meter, limit)| (meter.clone(), *limit)));
        let mut trial_limits = tier.limits.clone();
        trial_limits.extend(tier.trial_limits.iter().map(|(meter, limit)| (meter.clone(), *limit)));
        let month_limits = match (interval, count) {
            (Interval::Month, 1) => limits.clone(),
            _ => tier.limits.clone(),
        };
        Some(SoldTier {
            tier,
            known_by,
            limits,
            month_limits,
            trial_limits,
        })
    }

    fn tier_of_metadata(&self, name: Option<&str>) -> Option<&Tier> {
        self.tier(name?)
    }

    fn tier_of_product(&self, id: Option<&str>) -> Option<&Tier> {
        let id = id?;
        self.tiers.iter().find(|t| t.product.as_deref() == Some(id))
    }

    /// The pack that a price sells, found as [`resolve`](Self::resolve) finds a tier. Of
    /// several packs of one product none is found by the product.
    #[must_use]
    pub fn resolve_pack(&self, clues: PriceClues<'_>) -> Option<&Pack> {
        let named = |name: Option<&str>| self.pack(name?);
        named(clues.lookup_key).or_else(|| named(clues.metadata)).or_else(|| {
            let mut packs = self.packs.iter().filter(|p| Some(p.product.as_str()) == clues.product);
            packs.next().filter(|_| packs.next().is_none())
        })
    }

    /// Whether a product is somebody else's business on the same Stripe account
    /// (`ignored_products`).
    #[must_use]
    pub fn ignores_product(&self, id: &str) -> bool {
        self.ignored_products.iter().any(|ignored| ignored == id)
    }

    /// The rollover cap, in units, of each meter that has rollover.
    #[must_use]
    pub fn rollover_caps(&self) -> BTreeMap<String, i64> {
        let capped = self
            .meters
            .iter()
            .filter_map(|m| Some((m.name.clone(), m.rollover_cap?)));
        capped.collect()
    }

    /// The meters whose limit a change gives whole at once (`prorate = false`).
    #[must_use]
    pub fn unprorated_meters(&self) -> BTreeSet<String> {
        let whole = self.meters.iter().filter(|m| !m.prorate);
        whole.map(|m| m.name.clone()).collect()
    }
}
