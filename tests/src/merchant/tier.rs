//! The tiers that the simulated merchant sells.

use crate::fixtures::{Interval, Price, price};

/// A paid tier of the shipped catalog, lowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PaidTier {
    /// Rank 1.
    Basic,
    /// Rank 2.
    Plus,
    /// Rank 3.
    Max,
}

impl PaidTier {
    /// All of them, lowest first.
    pub const ALL: [Self; 3] = [Self::Basic, Self::Plus, Self::Max];

    /// The tier of `price`.
    #[must_use]
    pub fn of(price: &Price) -> Self {
        match price.product {
            "prod_basic" => Self::Basic,
            "prod_plus" => Self::Plus,
            _ => Self::Max,
        }
    }

    /// Its name in the catalog.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::Plus => "plus",
            Self::Max => "max",
        }
    }

    /// Its price.
    #[must_use]
    pub const fn price(self, interval: Interval) -> Price {
        match (self, interval) {
            (Self::Basic, Interval::Month) => price::BASIC_MONTHLY,
            (Self::Basic, Interval::Year) => price::BASIC_YEARLY,
            (Self::Plus, Interval::Month) => price::PLUS_MONTHLY,
            (Self::Plus, Interval::Year) => price::PLUS_YEARLY,
            (Self::Max, Interval::Month) => price::MAX_MONTHLY,
            (Self::Max, Interval::Year) => price::MAX_YEARLY,
        }
    }
}
