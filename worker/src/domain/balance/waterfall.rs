//! The waterfall: which bucket pays for usage, and what renewals, purchases and
//! refunds change.
//!
//! Usage takes units from the period's limit first, then from rollover, then from
//! purchased credits. The rest is debt, stored as a rollover below zero.
//!
//! Example: the limit is 5M and 4M are used; 2M have rolled over and 3M are
//! purchased. A usage of 7M takes 1M from the limit, 2M from rollover and 3M from
//! the purchased credits; 1M is debt. A purchase of 5M then pays the debt of 1M
//! first and adds 4M to the purchased credits.

use crate::domain::fact::Seconds;
use serde::{Deserialize, Serialize};

/// Units per billing period; `None` is unlimited.
pub type UnitLimit = Option<i64>;

/// The limit of a meter, and when it ends without an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeterLimits {
    /// The limit of the period; 0 without an entitlement.
    pub own: UnitLimit,
    /// The first second after an end of the subscription of which no event told. From then
    /// on nothing is included.
    pub ends_at: Option<Seconds>,
}

impl MeterLimits {
    /// Nothing is included.
    pub const NONE: Self = Self {
        own: Some(0),
        ends_at: None,
    };

    /// The limit at a moment.
    #[must_use]
    pub fn at(&self, moment: Seconds) -> UnitLimit {
        match self.ends_at {
            Some(end) if moment >= end => Some(0),
            _ => self.own,
        }
    }
}

/// The units that stay when a period ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarriedBalance {
    /// Unused units of earlier periods; below zero it is a debt.
    pub rollover: i64,
    /// Purchased units; never below zero.
    pub purchased: i64,
}

/// What one change adds to a balance, in units. The balance is the sum of its changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BalanceChange {
    /// Added to the usage of the period.
    pub used: i64,
    /// Added to the rollover.
    pub rollover: i64,
    /// Added to the purchased units.
    pub purchased: i64,
}

/// A balance would not fit into 64 bits. Nothing is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the balance would not fit into 64 bits; check the amount, and correct it at its source")]
pub struct Overflow;

fn plus(a: i64, b: i64) -> Result<i64, Overflow> {
    a.checked_add(b).ok_or(Overflow)
}

fn minus(a: i64, b: i64) -> Result<i64, Overflow> {
    a.checked_sub(b).ok_or(Overflow)
}

impl BalanceChange {
    /// The sum of two changes.
    ///
    /// # Errors
    /// [`Overflow`]
    pub fn plus(self, other: Self) -> Result<Self, Overflow> {
        Ok(Self {
            used: plus(self.used, other.used)?,
            rollover: plus(self.rollover, other.rollover)?,
            purchased: plus(self.purchased, other.purchased)?,
        })
    }

    /// The difference of two changes.
    ///
    /// # Errors
    /// [`Overflow`]
    pub fn minus(self, other: Self) -> Result<Self, Overflow> {
        Ok(Self {
            used: minus(self.used, other.used)?,
            rollover: minus(self.rollover, other.rollover)?,
            purchased: minus(self.purchased, other.purchased)?,
        })
    }
}

impl CarriedBalance {
    /// The carried units after a change.
    ///
    /// # Errors
    /// [`Overflow`]
    pub fn after(self, change: BalanceChange) -> Result<Self, Overflow> {
        Ok(Self {
            rollover: plus(self.rollover, change.rollover)?,
            purchased: plus(self.purchased, change.purchased)?,
        })
    }

    /// Pays for `amount` units, when `used` units of the period's `limit` are used
    /// already. The limit pays first, then rollover above zero, then purchased
    /// credits; the rest is debt. A debt from before stays as it is. `amount` is not
    /// below zero.
    ///
    /// # Errors
    /// [`Overflow`]
    pub fn spend(self, amount: i64, limit: UnitLimit, used: i64) -> Result<BalanceChange, Overflow> {
        let from_limit = limit.map_or(amount, |limit| amount.min(limit.saturating_sub(used).max(0)));
        plus(used, from_limit)?;
        let rest = amount - from_limit;
        let from_rollover = rest.min(self.rollover.max(0));
        let from_purchased = (rest - from_rollover).min(self.purchased);
        let debt = rest - from_rollover - from_purchased;
        let change = BalanceChange {
            used: from_limit,
            rollover: minus(-from_rollover, debt)?,
            purchased: -from_purchased,
        };
        self.after(change).map(|_| change)
    }

    /// Adds the `unused` units of a closed period to the rollover, up to `cap`. As a
    /// debt is a rollover below zero, this pays it first. A rollover above the cap
    /// stays as it is.
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

    /// Adds what is left of a period that was cut short, beyond any cap. As a debt is a
    /// rollover below zero, this pays it first. `left` is not below zero.
    ///
    /// # Errors
    /// [`Overflow`]
    pub fn carry_over(self, left: i64) -> Result<BalanceChange, Overflow> {
        let change = BalanceChange {
            rollover: left,
            ..BalanceChange::default()
        };
        self.after(change).map(|_| change)
    }

    /// Takes what was used beyond the units of a period that was cut short. It does not
    /// touch purchased credits. `units` is not below zero.
    ///
    /// # Errors
    /// [`Overflow`]
    pub fn owe(self, units: i64) -> Result<BalanceChange, Overflow> {
        let change = BalanceChange {
            rollover: -units,
            ..BalanceChange::default()
        };
        self.after(change).map(|_| change)
    }

    /// Adds credits: they pay a debt first, the rest is purchased credit. `credits`
    /// is not below zero.
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

    /// Takes credits back from the purchased ones. Those that are spent already
    /// become debt. `credits` is not below zero.
    ///
    /// # Errors
    /// [`Overflow`]
    pub fn take_back(self, credits: i64) -> Result<BalanceChange, Overflow> {
        let unspent = credits.min(self.purchased);
        let change = BalanceChange {
            used: 0,
            rollover: unspent - credits,
            purchased: -unspent,
        };
        self.after(change).map(|_| change)
    }
}

#[cfg(test)]
#[path = "waterfall_tests.rs"]
mod tests;
