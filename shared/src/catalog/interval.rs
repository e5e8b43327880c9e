//! How often Stripe charges a price, and what it sells of a tier's limits.

use serde::Deserialize;

/// The unit of a price's interval (API reference, "The Price object", `recurring.interval`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Interval {
    /// A day.
    Day,
    /// A week.
    Week,
    /// A calendar month.
    Month,
    /// A calendar year.
    Year,
}

impl Interval {
    /// The value in Stripe's API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        }
    }

    /// The interval with this value in Stripe's API.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Day, Self::Week, Self::Month, Self::Year]
            .into_iter()
            .find(|interval| interval.as_str() == name)
    }

    /// The greatest `interval_count`: three years (API reference, "Create a price").
    #[must_use]
    pub fn count_max(self) -> i64 {
        match self {
            Self::Day => 1_095,
            Self::Week => 156,
            Self::Month => 36,
            Self::Year => 3,
        }
    }

    /// The part of a month's `units` that `count` of this interval sell, rounded down. A year
    /// sells twelve months, a week a quarter of one, and a day a thirtieth.
    pub(super) fn share(self, count: i64, units: i64) -> i64 {
        let (months, parts) = match self {
            Self::Day => (1, 30),
            Self::Week => (1, 4),
            Self::Month => (1, 1),
            Self::Year => (12, 1),
        };
        let share = i128::from(units)
            .saturating_mul(i128::from(count))
            .saturating_mul(months)
            .div_euclid(parts);
        // Nobody can use as many units, so a greater number is no greater limit.
        i64::try_from(share).unwrap_or(i64::MAX)
    }
}
