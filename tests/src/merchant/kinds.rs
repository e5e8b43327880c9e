//! The kinds of life that can be switched on one by one.

use crate::random::SeededRandom;
use anyhow::{Result, bail};
use std::collections::BTreeSet;

/// The most kinds that one life is about.
const KINDS_MAX: i64 = 3;

/// What a life is about, beside the acts that every life has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Usage reports.
    Usage,
    /// Packs, their refunds and disputes; also within the checkout of a subscription.
    Packs,
    /// Sessions whose packs only the line items name. A worker needs Stripe's API for them.
    LineItems,
    /// A tier by the seat.
    Seats,
    /// Prices by the week and for three months.
    Intervals,
    /// Items beside the plan, of the same interval.
    Items,
    /// Items beside the plan, of another interval.
    MixedIntervals,
    /// Failing switches of the interval.
    Switches,
    /// New periods of the same price.
    Anchors,
    /// Refunds and disputes of a subscription's invoices.
    MoneyBack,
    /// Hand-overs to another user.
    HandOvers,
    /// Invoices with more lines than a page.
    Pages,
    /// Events of a connected account.
    Accounts,
    /// Other products of the same account.
    OtherProducts,
    /// Customers whose own metadata names the user.
    CustomerNames,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Usage,
        Self::Packs,
        Self::LineItems,
        Self::Seats,
        Self::Intervals,
        Self::Items,
        Self::MixedIntervals,
        Self::Switches,
        Self::Anchors,
        Self::MoneyBack,
        Self::HandOvers,
        Self::Pages,
        Self::Accounts,
        Self::OtherProducts,
        Self::CustomerNames,
    ];

    /// Its name in a list of kinds.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::Packs => "packs",
            Self::LineItems => "line_items",
            Self::Seats => "seats",
            Self::Intervals => "intervals",
            Self::Items => "items",
            Self::MixedIntervals => "mixed_intervals",
            Self::Switches => "switches",
            Self::Anchors => "anchors",
            Self::MoneyBack => "money_back",
            Self::HandOvers => "hand_overs",
            Self::Pages => "pages",
            Self::Accounts => "accounts",
            Self::OtherProducts => "other_products",
            Self::CustomerNames => "customer_names",
        }
    }
}

/// A set of kinds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kinds(BTreeSet<Kind>);

impl Kinds {
    /// No kind: only what every life has.
    #[must_use]
    pub const fn none() -> Self {
        Self(BTreeSet::new())
    }

    /// Usage alone.
    #[must_use]
    pub fn usage() -> Self {
        Self(BTreeSet::from([Kind::Usage]))
    }

    /// Every kind.
    #[must_use]
    pub fn all() -> Self {
        Self(BTreeSet::from(Kind::ALL))
    }

    /// The kinds of a list of names with commas between them, such as `usage,seats`; `all`; or `none`.
    ///
    /// # Errors
    /// When a name is not that of a kind.
    pub fn parse(names: &str) -> Result<Self> {
        let mut kinds = Self::none();
        for name in names.split(',').map(str::trim) {
            match Kind::ALL.into_iter().find(|kind| kind.name() == name) {
                Some(kind) => kinds.0.extend([kind]),
                None if name == "all" => return Ok(Self::all()),
                None if name == "none" || name.is_empty() => {}
                None => bail!("'{name}' is no kind of life; there are {}", Self::all().names()),
            }
        }
        Ok(kinds)
    }

    /// The names of its kinds, with commas between them.
    #[must_use]
    pub fn names(&self) -> String {
        let names: Vec<&str> = self.0.iter().map(|kind| kind.name()).collect();
        names.join(",")
    }

    /// The set without `kind`.
    #[must_use]
    pub fn without(mut self, kind: Kind) -> Self {
        self.0.remove(&kind);
        self
    }

    /// Whether `kind` is in it.
    #[must_use]
    pub fn has(&self, kind: Kind) -> bool {
        self.0.contains(&kind)
    }

    /// Whether its lives sell what the shipped catalog does not.
    #[must_use]
    pub fn need_extended_catalog(&self) -> bool {
        use Kind::{Intervals, Items, MixedIntervals, OtherProducts, Seats};
        [Seats, Intervals, Items, MixedIntervals, OtherProducts]
            .into_iter()
            .any(|kind| self.has(kind))
    }

    /// A few of them, for one life. Usage is in it whenever it can be.
    pub(super) fn some(&self, random: &mut SeededRandom) -> Self {
        if self.0.is_empty() {
            return Self::none();
        }
        let kinds: Vec<Kind> = self.0.iter().copied().collect();
        let count = random.between(1, KINDS_MAX);
        let mut some: BTreeSet<Kind> = (0..count).map(|_| random.pick(&kinds)).collect();
        if self.has(Kind::Usage) {
            some.insert(Kind::Usage);
        }
        Self(some)
    }
}
