//! Money that went back to the customer: refunds in full, and lost disputes.
//!
//! Refunds and disputes name no invoice. They name the payment that paid it: a payment
//! intent or a charge.
//!
//! Example: `in_1` was paid with `pi_1`. A refund of the whole charge of `pi_1` returns the
//! invoice. If that refund fails later, the invoice counts as paid again.

use crate::domain::{
    fact::{Fact, FactBody, Seconds},
    returned_money::{ReturnedMoney, order, payment_ids},
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
        let [intent, charge] = payment_ids(body);
        match (self.intent, intent) {
            (Some(own), Some(other)) => own == other,
            _ => charge.is_some_and(|charge| self.charges.contains(charge)),
        }
    }
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
