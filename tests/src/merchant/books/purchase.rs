//! A bought pack, and the money that went back.

use super::Meter;

/// Money that moves after the payment of a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MoneyBack {
    /// So many cents were refunded.
    Refunded(i64),
    /// A refund of so many cents failed.
    RefundFailed(i64),
    /// A dispute took so many cents of the same currency.
    Withdrawn(i64),
    /// A dispute took money in another currency: all of the grant.
    WithdrawnAll,
    /// The dispute was won.
    Reinstated,
}

/// A pack, or several of one kind, that one payment bought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purchase {
    /// The user's id.
    pub user_id: String,
    /// When it was granted (Unix time).
    pub at: i64,
    /// The meter that it fills.
    pub meter: Meter,
    /// Units.
    pub units: i64,
    /// What the whole payment cost, in cents.
    pub cents: i64,
    /// What happened to the money, with its time, in order.
    pub moves: Vec<(i64, MoneyBack)>,
}

impl Purchase {
    /// The changes of what is taken back (below zero: returned), with their times.
    pub(super) fn takes(&self) -> Vec<(i64, i64)> {
        let (mut refunded, mut disputed, mut before) = (0, 0, 0);
        let mut takes = Vec::new();
        for (at, money) in &self.moves {
            match money {
                MoneyBack::Refunded(cents) => refunded += cents,
                MoneyBack::RefundFailed(cents) => refunded -= cents,
                MoneyBack::Withdrawn(cents) => disputed = self.share(*cents),
                MoneyBack::WithdrawnAll => disputed = self.units,
                MoneyBack::Reinstated => disputed = 0,
            }
            let now = (self.share(refunded) + disputed).min(self.units);
            if now != before {
                takes.push((*at, now - before));
            }
            before = now;
        }
        takes
    }

    fn share(&self, cents: i64) -> i64 {
        let units = i128::from(self.units) * i128::from(cents) / i128::from(self.cents.max(1));
        i64::try_from(units).unwrap_or(i64::MAX).min(self.units)
    }
}
