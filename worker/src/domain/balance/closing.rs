//! Closed periods. A billing period is closed when the invoice of the next one
//! is paid; then its unused units roll over.
//!
//! Example: a period runs from 1 to 31 March. Invoice `in_2` renews the
//! subscription and is paid on 1 April at 01:00. That is one [`Closing`] of March,
//! at 01:00. If `in_2` fails first and is paid on 9 April, March is closed on
//! 9 April. If `in_2` is never paid, March is never closed.

use super::terms::Term;
use crate::domain::{
    fact::{Fact, FactBody, InvoiceStep, Period, Seconds},
    ids::SubscriptionId,
    subscription::state::Subscription,
};
use std::collections::{BTreeMap, BTreeSet};

/// A period that is closed, because the renewal after it was paid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closing {
    /// When its unused units roll over: when the payment's event was created, but
    /// not before the new period begins.
    pub at: Seconds,
    /// The invoice of the renewal.
    pub invoice: String,
    /// The subscription that was renewed.
    pub subscription: SubscriptionId,
    /// The period that is closed.
    pub ended: Period,
    /// Whether this period itself was paid for. If it was not, nothing rolls over.
    pub paid: bool,
}

/// The closed periods of a subscription, each once, sorted by time. `facts` are
/// all facts of the subscription in any order; `terms` are its own terms.
#[must_use]
pub fn of_subscription(subscription: &Subscription, facts: &[&Fact], terms: &[Term]) -> Vec<Closing> {
    let mut by_time: Vec<&Fact> = facts.to_vec();
    by_time.sort_by_key(|f| (f.created, &f.event_id));
    let mut renewals: BTreeMap<&str, Closing> = BTreeMap::new();
    // By the first second of a period: whether an invoice for it was paid.
    let mut paid: BTreeMap<Seconds, bool> = BTreeMap::new();
    for fact in by_time {
        let FactBody::Invoice(invoice) = &fact.body else {
            continue;
        };
        let begins = invoice.pays_for().map(|p| p.start);
        let pays = invoice.step == InvoiceStep::Paid;
        if let Some(begins) = begins {
            *paid.entry(begins).or_default() |= pays;
        }
        let Some(ended) = invoice.period.filter(|p| pays && invoice.renews() && p.start < p.end) else {
            continue;
        };
        renewals.entry(&invoice.invoice).or_insert_with(|| Closing {
            at: fact.created.max(begins.unwrap_or(ended.end)),
            invoice: invoice.invoice.clone(),
            subscription: subscription.id.clone(),
            ended,
            paid: false,
        });
    }
    let mut closings: Vec<Closing> = renewals.into_values().collect();
    closings.sort_by(|a, b| (a.at, &a.invoice).cmp(&(b.at, &b.invoice)));
    // Two paid invoices for one renewal close the period once.
    let mut ended = BTreeSet::new();
    closings.retain(|c| ended.insert(c.ended.start));
    for closing in &mut closings {
        let start = closing.ended.start;
        // If no invoice for the period is known: a period that began with a renewal
        // was not paid; any other (the first one, or after a change) was.
        let previous = terms.iter().rev().find(|t| t.period.start < start);
        let began_with_renewal = || previous.is_some_and(|t| t.period.end <= start);
        closing.paid = paid.get(&start).copied().unwrap_or_else(|| !began_with_renewal());
    }
    closings
}
