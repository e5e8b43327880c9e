//! What the prices of a catalog sell, and between which a customer can switch within a period.

use shared::catalog::{Catalog, Limit, Limits, Price, PriceClues};

/// A price, and what one interval of it sells.
pub(crate) struct Offer<'a> {
    price: &'a Price,
    limits: Limits,
}

impl Offer<'_> {
    /// The price's lookup key.
    pub(crate) fn key(&self) -> &str {
        &self.price.lookup_key
    }

    /// The limit of a meter; 0 where it is not included.
    pub(crate) fn limit(&self, meter: &str) -> Limit {
        self.limits.get(meter).copied().unwrap_or(Limit::Units(0))
    }

    /// Whether a switch to the other price stays within the billing period. A price of another
    /// interval begins a new one, and Stripe never changes a subscription's currency.
    fn is_switched_within_a_period(&self, other: &Self) -> bool {
        let of = |offer: &Self| (offer.price.interval, offer.price.interval_count);
        of(self) == of(other) && self.price.currency == other.price.currency
    }
}

/// All prices of the catalog.
pub(crate) fn offers(catalog: &Catalog) -> Vec<Offer<'_>> {
    catalog
        .prices()
        .iter()
        .filter_map(|price| offer(catalog, price))
        .collect()
}

fn offer<'a>(catalog: &Catalog, price: &'a Price) -> Option<Offer<'a>> {
    let clues = PriceClues {
        lookup_key: Some(&price.lookup_key),
        ..PriceClues::default()
    };
    let limits = catalog.resolve(clues)?.limits;
    Some(Offer { price, limits })
}

/// All switches of prices within a period: from the first to the second.
pub(crate) fn switches<'o, 'a>(offers: &'o [Offer<'a>]) -> impl Iterator<Item = (&'o Offer<'a>, &'o Offer<'a>)> {
    let to = move |from: &'o Offer<'a>| offers.iter().map(move |to| (from, to));
    offers
        .iter()
        .flat_map(to)
        .filter(|(from, to)| from.is_switched_within_a_period(to))
}

/// A number of units with commas between its thousands.
pub(crate) fn grouped(units: i64) -> String {
    let digits = units.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
