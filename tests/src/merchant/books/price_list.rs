//! What the merchant sells: the limits behind each price, as each catalog of a test has them.

use crate::fixtures::{Interval, Price};
use crate::merchant::PaidTier;

/// A meter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Meter {
    /// `tokens`.
    Tokens,
    /// `voice_chars`.
    Voice,
    /// `basic_chars`, unlimited on every paid tier.
    Basic,
}

impl Meter {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Tokens, Self::Voice, Self::Basic];

    /// Its name in the catalog.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tokens => "tokens",
            Self::Voice => "voice_chars",
            Self::Basic => "basic_chars",
        }
    }

    /// The most that rolls over, in units; `None`: nothing does.
    #[must_use]
    pub const fn rollover_cap(self) -> Option<i64> {
        match self {
            Self::Tokens => Some(10_000_000),
            Self::Voice => Some(1_000_000),
            Self::Basic => None,
        }
    }
}

/// How much of a meter is included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Allowance {
    /// So many units.
    Units(i64),
    /// Any number.
    Unlimited,
}

/// What a customer pays for: a price, so many times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The price of the plan item.
    pub price: Price,
    /// Its quantity: seats.
    pub quantity: i64,
}

impl Plan {
    /// One unit of `price`.
    #[must_use]
    pub const fn of(price: Price) -> Self {
        Self { price, quantity: 1 }
    }

    /// Its tier.
    #[must_use]
    pub fn tier(&self) -> PaidTier {
        PaidTier::of(&self.price)
    }
}

/// A tier's limits of a month.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct TierLimits {
    tokens: i64,
    voice: i64,
    /// The limits of a trial, where they are not the month's.
    trial: Option<(i64, i64)>,
    is_per_unit: bool,
}

/// The limits of one catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceList {
    tiers: [TierLimits; 4],
    /// Tokens that a price says itself, for its whole interval.
    own_tokens: Option<(&'static str, i64)>,
    /// Whether a rise of tokens gives the whole new limit at once (`prorate = false`).
    is_whole: bool,
}

impl PriceList {
    /// The shipped catalog.
    #[must_use]
    pub fn shipped() -> Self {
        let of = |tokens, voice| TierLimits {
            tokens,
            voice,
            trial: None,
            is_per_unit: false,
        };
        Self {
            tiers: [
                of(5_000_000, 0),
                of(10_000_000, 1_000_000),
                of(15_000_000, 3_000_000),
                of(3_000_000, 300_000),
            ],
            own_tokens: None,
            is_whole: false,
        }
    }

    /// The extended catalog: seats, other intervals, a trial of Basic with limits of its own, and a yearly
    /// price with its own tokens.
    #[must_use]
    pub fn extended() -> Self {
        let mut list = Self::shipped();
        list.tiers[3].is_per_unit = true;
        list.tiers[0].trial = Some((1_000_000, 0));
        list.own_tokens = Some(("team_yearly", 40_000_000));
        list
    }

    /// The same list with other tokens for a month of `tier`.
    #[must_use]
    pub const fn with_tokens(mut self, tier: PaidTier, tokens: i64) -> Self {
        self.tiers[tier as usize].tokens = tokens;
        self
    }

    /// The same list, where a rise of tokens gives the whole new limit at once.
    #[must_use]
    pub const fn whole(mut self) -> Self {
        self.is_whole = true;
        self
    }

    /// Whether a rise of `meter` within a period gives the whole new limit at once.
    #[must_use]
    pub fn is_whole(&self, meter: Meter) -> bool {
        self.is_whole && meter == Meter::Tokens
    }

    /// The limit of a month.
    #[must_use]
    pub fn month(&self, plan: &Plan, meter: Meter) -> Allowance {
        self.times(plan, meter, self.units(plan, meter))
    }

    /// The limit of a trial.
    #[must_use]
    pub fn trial(&self, plan: &Plan, meter: Meter) -> Allowance {
        let units = match (self.tiers[plan.tier() as usize].trial, meter) {
            (Some((tokens, _)), Meter::Tokens) => tokens,
            (Some((_, voice)), Meter::Voice) => voice,
            _ => self.units(plan, meter),
        };
        self.times(plan, meter, units)
    }

    /// The limit of a whole interval of the price.
    #[must_use]
    pub fn sold(&self, plan: &Plan, meter: Meter) -> Allowance {
        let Allowance::Units(month) = self.month(plan, meter) else {
            return Allowance::Unlimited;
        };
        let own = self
            .own_tokens
            .filter(|(key, _)| meter == Meter::Tokens && *key == plan.price.lookup_key);
        if let Some((_, tokens)) = own {
            return self.times(plan, meter, tokens);
        }
        let count = plan.price.interval_count;
        Allowance::Units(match plan.price.interval {
            Interval::Year => month * 12 * count,
            Interval::Month => month * count,
            Interval::Week => month * count / 4,
            Interval::Day => month * count / 30,
        })
    }

    fn units(&self, plan: &Plan, meter: Meter) -> i64 {
        let tier = &self.tiers[plan.tier() as usize];
        match meter {
            Meter::Tokens => tier.tokens,
            Meter::Voice => tier.voice,
            Meter::Basic => 0,
        }
    }

    fn times(&self, plan: &Plan, meter: Meter, units: i64) -> Allowance {
        let is_per_unit = self.tiers[plan.tier() as usize].is_per_unit;
        match meter {
            Meter::Basic => Allowance::Unlimited,
            _ if is_per_unit => Allowance::Units(units * plan.quantity),
            _ => Allowance::Units(units),
        }
    }
}
