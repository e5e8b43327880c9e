//! The tiers that the simulated merchant sells.

use crate::fixtures::{Interval, Price, price};

/// A paid tier, lowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PaidTier {
    /// Rank 1.
    Basic,
    /// Rank 2.
    Plus,
    /// Rank 3.
    Max,
    /// Sold by the seat; only the extended catalog has it. Rank 4.
    Team,
}

impl PaidTier {
    /// Those of the shipped catalog, lowest first.
    pub const ALL: [Self; 3] = [Self::Basic, Self::Plus, Self::Max];

    /// The tier of `price`.
    #[must_use]
    pub fn of(price: &Price) -> Self {
        match price.product {
            "prod_basic" => Self::Basic,
            "prod_plus" => Self::Plus,
            "prod_team" => Self::Team,
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
            Self::Team => "team",
        }
    }

    /// Its yearly price, or else its monthly one.
    #[must_use]
    pub const fn price(self, interval: Interval) -> Price {
        match (self, interval) {
            (Self::Basic, Interval::Year) => price::BASIC_YEARLY,
            (Self::Basic, _) => price::BASIC_MONTHLY,
            (Self::Plus, Interval::Year) => price::PLUS_YEARLY,
            (Self::Plus, _) => price::PLUS_MONTHLY,
            (Self::Max, Interval::Year) => price::MAX_YEARLY,
            (Self::Max, _) => price::MAX_MONTHLY,
            (Self::Team, Interval::Year) => price::TEAM_YEARLY,
            (Self::Team, _) => price::TEAM_MONTHLY,
        }
    }
}
