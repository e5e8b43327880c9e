//! What refunds and disputes take back of purchased credits: in proportion to the money, and
//! together never more than was granted.
//!
//! Example: a sale of 10.00 EUR granted 1,000 credits. A refund of 4.00 takes 400 back. A
//! dispute of 8.60 GBP takes all of them: its amount cannot be compared with the price. If
//! the dispute is won, 600 are returned.

use crate::domain::{
    fact::{Fact, FactBody, Seconds},
    ids::EventId,
};
use std::collections::{BTreeMap, BTreeSet};

/// How much of a purchase is taken back in total after an event. The next total
/// may be lower: then credits were returned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenBackTotal {
    /// When the event was created.
    pub at: Seconds,
    /// The event of the refund or dispute.
    pub event: EventId,
    /// Units in total; never more than were granted.
    pub credits: i64,
}

/// The money that went back to the customer of one payment, so far. Minor units.
#[derive(Default)]
struct ReturnedMoney<'a> {
    /// What was charged in total.
    charged: Option<i64>,
    /// The currency of the charge.
    currency: Option<&'a str>,
    /// What was refunded in total, by the latest event of the charge.
    refunded: i64,
    /// Refunds that failed since that event, by refund id.
    failed: BTreeMap<&'a str, i64>,
    /// All refunds that ever failed. Several events may tell of one.
    ever_failed: BTreeSet<&'a str>,
    /// What open disputes withdrew, by dispute id; `None` in another currency.
    disputed: BTreeMap<&'a str, Option<i64>>,
    /// The disputes that gave the money back.
    ended: BTreeSet<&'a str>,
}

impl<'a> ReturnedMoney<'a> {
    fn apply(&mut self, body: &'a FactBody) {
        match body {
            FactBody::ChargeRefunded(charge) => {
                // `amount_refunded` leaves out the refunds that failed before it.
                self.refunded = charge.amount_refunded;
                self.failed.clear();
            }
            FactBody::RefundFailed(refund) if self.ever_failed.insert(&refund.refund) => {
                self.failed.insert(&refund.refund, refund.amount);
            }
            // It is over already.
            FactBody::Dispute(dispute) if dispute.withdrawn && self.ended.contains(dispute.dispute.as_str()) => {}
            FactBody::Dispute(dispute) if dispute.withdrawn => {
                let charged_in = |currency: &str| self.currency.is_none_or(|own| own == currency);
                let is_same = dispute.currency.as_deref().is_none_or(charged_in);
                let amount = is_same.then_some(dispute.amount);
                self.disputed.insert(&dispute.dispute, amount);
            }
            FactBody::Dispute(dispute) => {
                self.ended.insert(&dispute.dispute);
                self.disputed.remove(dispute.dispute.as_str());
            }
            _ => {}
        }
    }

    /// How many of the credits this takes back: in proportion to the money,
    /// rounded down.
    fn takes_back(&self, credits: i64) -> i64 {
        let failed: i128 = self.failed.values().map(|a| i128::from(*a)).sum();
        let disputed: Option<i128> = self.disputed.values().map(|a| a.map(i128::from)).sum();
        let Some(disputed) = disputed else {
            return credits;
        };
        let returned = (i128::from(self.refunded) - failed).max(0) + disputed;
        let part = match self.charged {
            Some(charged) if charged > 0 => {
                i128::from(credits) * returned.min(i128::from(charged)) / i128::from(charged)
            }
            // Without a known price no share can be computed: all credits are taken back.
            _ if returned > 0 => i128::from(credits),
            _ => 0,
        };
        i64::try_from(part).unwrap_or(credits)
    }
}

/// What the refunds and disputes of a sale's `payments` take back over time. `price` is
/// the amount and the currency of the sale. Facts are sorted by time. Within one
/// second a refund comes before its failure, and the begin of a dispute before its end.
pub(super) fn taken_back(
    facts: &[&Fact],
    payments: &BTreeSet<&str>,
    credits: i64,
    price: (Option<i64>, Option<&str>),
) -> Vec<TakenBackTotal> {
    let mut own: Vec<&Fact> = facts
        .iter()
        .copied()
        .filter(|f| {
            payment_ids(&f.body)
                .into_iter()
                .flatten()
                .any(|id| payments.contains(id))
        })
        .collect();
    own.sort_by_key(|f| (f.created, rank(&f.body), &f.event_id));
    let charge = own.iter().find_map(|f| match &f.body {
        FactBody::ChargeRefunded(charge) => Some((charge.amount, charge.currency.as_deref())),
        _ => None,
    });
    let mut money = ReturnedMoney {
        charged: charge.map(|c| c.0).or(price.0),
        currency: charge.and_then(|c| c.1).or(price.1),
        ..ReturnedMoney::default()
    };
    let mut totals: Vec<TakenBackTotal> = Vec::new();
    for fact in own {
        money.apply(&fact.body);
        let total = money.takes_back(credits);
        if total != totals.last().map_or(0, |t| t.credits) {
            totals.push(TakenBackTotal {
                at: fact.created,
                event: fact.event_id.clone(),
                credits: total,
            });
        }
    }
    totals
}

/// The payment intent and the charge of a refund or dispute.
fn payment_ids(body: &FactBody) -> [Option<&str>; 2] {
    match body {
        FactBody::ChargeRefunded(fact) => [fact.payment_intent.as_deref(), Some(&fact.charge)],
        FactBody::RefundFailed(fact) => [fact.payment_intent.as_deref(), fact.charge.as_deref()],
        FactBody::Dispute(fact) => [fact.payment_intent.as_deref(), fact.charge.as_deref()],
        _ => [None, None],
    }
}

/// The order within one second. `amount_refunded` only grows, so the lower amount came first.
fn rank(body: &FactBody) -> (u8, i64) {
    match body {
        FactBody::ChargeRefunded(charge) => (0, charge.amount_refunded),
        FactBody::Dispute(dispute) if dispute.withdrawn => (1, 0),
        FactBody::RefundFailed(_) => (2, 0),
        _ => (3, 0),
    }
}

#[cfg(test)]
#[path = "returns_tests.rs"]
mod tests;
