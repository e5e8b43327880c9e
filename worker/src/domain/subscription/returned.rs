//! Money that went back to the customer: refunds in full, and lost disputes.
//!
//! Refunds and disputes name no invoice. They name the payment that paid it: a payment
//! intent or a charge.
//!
//! Example: `in_1` was paid with `pi_1`. A refund of the whole charge of `pi_1` returns the
//! invoice. If that refund fails later, the invoice counts as paid again.

use crate::domain::{
    fact::{Fact, FactBody, Seconds},
    ids::EventId,
};
use std::collections::{BTreeMap, BTreeSet};

/// The ids by which one payment is known. A payment intent has one charge for each try.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Payment<'a> {
    intent: Option<&'a str>,
    charges: BTreeSet<&'a str>,
}

impl<'a> Payment<'a> {
    /// The payments that these pairs of a payment intent and a charge name, each once.
    pub(super) fn all(named: impl IntoIterator<Item = (Option<&'a str>, Option<&'a str>)>) -> Vec<Self> {
        let mut by_intent: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        let mut without_intent: BTreeSet<&str> = BTreeSet::new();
        for (intent, charge) in named {
            match intent {
                Some(intent) => by_intent.entry(intent).or_default().extend(charge),
                None => without_intent.extend(charge),
            }
        }
        without_intent.retain(|charge| !by_intent.values().any(|charges| charges.contains(charge)));
        let with_intent = by_intent.into_iter().map(|(intent, charges)| Self {
            intent: Some(intent),
            charges,
        });
        let alone = without_intent.into_iter().map(|charge| Self {
            intent: None,
            charges: BTreeSet::from([charge]),
        });
        with_intent.chain(alone).collect()
    }

    /// Whether a fact is about the money of this payment. The charge decides only where a
    /// payment intent is missing.
    fn is_of(&self, body: &FactBody) -> bool {
        let (intent, charge) = match body {
            FactBody::ChargeRefunded(fact) => (&fact.payment_intent, Some(&fact.charge)),
            FactBody::RefundFailed(fact) => (&fact.payment_intent, fact.charge.as_ref()),
            FactBody::Dispute(fact) => (&fact.payment_intent, fact.charge.as_ref()),
            _ => return false,
        };
        match (self.intent, intent) {
            (Some(own), Some(other)) => own == other,
            _ => charge.is_some_and(|charge| self.charges.contains(charge.as_str())),
        }
    }
}

/// The refunds and disputes of one payment, so far.
#[derive(Default)]
struct ReturnedMoney<'a> {
    /// The amount charged, if a refund names it.
    charged: i64,
    /// What was refunded in total, by the latest event of the charge.
    refunded: i64,
    /// Refunds that failed since that event, by refund id.
    failed: BTreeMap<&'a str, i64>,
    /// All refunds that ever failed. Several events tell of one.
    ever_failed: BTreeSet<&'a str>,
    /// Disputes that withdrew the money.
    lost: BTreeSet<&'a str>,
    /// Disputes that gave it back.
    won: BTreeSet<&'a str>,
}

impl<'a> ReturnedMoney<'a> {
    fn apply(&mut self, body: &'a FactBody) {
        match body {
            FactBody::ChargeRefunded(charge) => {
                self.charged = charge.amount;
                // `amount_refunded` leaves out the refunds that failed before it.
                self.refunded = charge.amount_refunded;
                self.failed.clear();
            }
            FactBody::RefundFailed(refund) if self.ever_failed.insert(&refund.refund) => {
                self.failed.insert(&refund.refund, refund.amount);
            }
            FactBody::Dispute(dispute) if dispute.withdrawn => {
                self.lost.insert(&dispute.dispute);
            }
            FactBody::Dispute(dispute) => {
                self.won.insert(&dispute.dispute);
            }
            _ => {}
        }
    }

    /// Whether all of the money went back, or a dispute took it.
    fn is_all(&self) -> bool {
        let failed: i128 = self.failed.values().map(|a| i128::from(*a)).sum();
        let refunded = i128::from(self.refunded) - failed;
        !self.lost.is_subset(&self.won) || refunded > 0 && refunded >= i128::from(self.charged)
    }
}

/// The order within one second. `amount_refunded` only grows, so the lower amount came first.
fn order(fact: &Fact) -> (Seconds, u8, i64, &EventId) {
    let (rank, amount) = match &fact.body {
        FactBody::ChargeRefunded(charge) => (0, charge.amount_refunded),
        FactBody::Dispute(dispute) if dispute.withdrawn => (1, 0),
        FactBody::RefundFailed(_) => (2, 0),
        _ => (3, 0),
    };
    (fact.created, rank, amount, &fact.event_id)
}

/// When the money of these payments of one invoice was returned; `None` if it was not, or
/// was given back since. With several payments, all of them must be returned. `facts` may
/// be in any order and about anything.
pub(super) fn returned_at(payments: &[Payment<'_>], facts: &[&Fact]) -> Option<Seconds> {
    let times: Option<Vec<Seconds>> = payments.iter().map(|p| one_returned_at(p, facts)).collect();
    times?.into_iter().max()
}

fn one_returned_at(payment: &Payment<'_>, facts: &[&Fact]) -> Option<Seconds> {
    let mut own: Vec<&Fact> = facts.iter().filter(|f| payment.is_of(&f.body)).copied().collect();
    own.sort_by(|a, b| order(a).cmp(&order(b)));
    let mut money = ReturnedMoney::default();
    let mut since = None;
    for fact in own {
        money.apply(&fact.body);
        since = money.is_all().then(|| since.unwrap_or(fact.created));
    }
    since
}
