//! What is left of one meter, and the waterfall by which usage is paid from it.

use crate::domain::fact::Seconds;
use serde::{Deserialize, Serialize};

/// Units per billing period; `None` is unlimited.
pub type Limit = Option<i64>;

/// A limit, and the higher one that a grace lends until it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// The limit of the price, 0 without an entitlement.
    pub own: Limit,
    /// The limit that was paid for, and the second from which it is over.
    pub lifted: Option<(Limit, Seconds)>,
}

impl Limits {
    /// Nothing is included.
    pub const NONE: Self = Self {
        own: Some(0),
        lifted: None,
    };

    /// The limit at a moment.
    #[must_use]
    pub fn at(&self, moment: Seconds) -> Limit {
        match self.lifted {
            Some((limit, until)) if moment < until => limit,
            _ => self.own,
        }
    }
}

/// What is left beside the period's limit. The debt is a rollover below zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarriedBalance {
    /// Units that were left of earlier periods; below zero a debt.
    pub rollover: i64,
    /// Units that were bought; never below zero.
    pub purchased: i64,
}

/// How a change moves what is counted and what is left: the sum of all of them
/// is the balance.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BalanceChange {
    /// Added to what the period has used.
    pub used: i64,
    /// Added to the rollover.
    pub rollover: i64,
    /// Added to what was bought.
    pub purchased: i64,
}

/// A balance would leave the range of 64 bits: nothing is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the balance would be beyond what 64 bits hold; check the amount, and correct it at its source")]
pub struct Overflow;

fn plus(a: i64, b: i64) -> Result<i64, Overflow> {
    a.checked_add(b).ok_or(Overflow)
}

fn minus(a: i64, b: i64) -> Result<i64, Overflow> {
    a.checked_sub(b).ok_or(Overflow)
}

impl BalanceChange {
    /// Both changes in one.
    ///
    /// # Errors
    /// [`Overflow`]
    pub fn and(self, other: Self) -> Result<Self, Overflow> {
        Ok(Self {
            used: plus(self.used, other.used)?,
            rollover: plus(self.rollover, other.rollover)?,
            purchased: plus(self.purchased, other.purchased)?,
        })
    }

    /// What this one has that the other has not.
    ///
    /// # Errors
    /// [`Overflow`]
    pub fn beyond(self, other: Self) -> Result<Self, Overflow> {
        Ok(Self {
            used: minus(self.used, other.used)?,
            rollover: minus(self.rollover, other.rollover)?,
            purchased: minus(self.purchased, other.purchased)?,
        })
    }
}

impl CarriedBalance {
    /// The purse after a change.
    ///
    /// # Errors
    /// [`Overflow`]
    pub fn after(self, change: BalanceChange) -> Result<Self, Overflow> {
        Ok(Self {
            rollover: plus(self.rollover, change.rollover)?,
            purchased: plus(self.purchased, change.purchased)?,
        })
    }

    /// The waterfall: what is left of the period's limit pays first, then the
    /// rollover while it is above zero, then what was bought; the rest is debt,
    /// which touches nothing that was bought. `amount` is not below zero.
    ///
    /// # Errors
    /// [`Overflow`]
    pub fn spend(self, amount: i64, limit: Limit, used: i64) -> Result<BalanceChange, Overflow> {
        let included = limit.map_or(amount, |limit| amount.min(limit.saturating_sub(used).max(0)));
        plus(used, included)?;
        let left = amount - included;
        let rolled = left.min(self.rollover.max(0));
        let bought = (left - rolled).min(self.purchased);
        let debt = left - rolled - bought;
        let change = BalanceChange {
            used: included,
            rollover: minus(-rolled, debt)?,
            purchased: -bought,
        };
        self.after(change).map(|_| change)
    }

    /// What a period left over comes in: a debt is paid down first by the same
    /// addition; the cap cuts what comes in, never what is there.
    ///
    /// # Errors
    /// [`Overflow`]
    pub fn roll_over(self, unused: i64, cap: i64) -> Result<BalanceChange, Overflow> {
        let room = minus(cap, self.rollover)?.max(0);
        Ok(BalanceChange {
            rollover: unused.max(0).min(room),
            ..BalanceChange::default()
        })
    }

    /// Credits come in: a debt is paid down first, the rest is bought credit.
    /// `credits` are not below zero.
    ///
    /// # Errors
    /// [`Overflow`]
    pub fn grant(self, credits: i64) -> Result<BalanceChange, Overflow> {
        let debt = self.rollover.min(0).checked_neg().ok_or(Overflow)?;
        let change = BalanceChange {
            used: 0,
            rollover: credits.min(debt),
            purchased: credits - credits.min(debt),
        };
        self.after(change).map(|_| change)
    }

    /// Credits are taken back: from what was bought; what of them is spent
    /// already becomes debt. `credits` are not below zero.
    ///
    /// # Errors
    /// [`Overflow`]
    pub fn take_back(self, credits: i64) -> Result<BalanceChange, Overflow> {
        let bought = credits.min(self.purchased);
        let change = BalanceChange {
            used: 0,
            rollover: bought - credits,
            purchased: -bought,
        };
        self.after(change).map(|_| change)
    }
}

#[cfg(test)]
#[path = "waterfall_tests.rs"]
mod tests;
