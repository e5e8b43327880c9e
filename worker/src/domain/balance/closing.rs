//! Periods that are over: what is left of them rolls over once the next one is
//! paid.

use super::terms::Term;
use crate::domain::{
    fact::{Fact, FactBody, InvoiceStep, Period, Seconds},
    ids::SubscriptionId,
    subscription::state::Subscription,
};
use std::collections::{BTreeMap, BTreeSet};

/// A period that is over, and whose next one was paid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closing {
    /// When it counts: when the payment was told, but not before the new period.
    pub at: Seconds,
    /// The cycle invoice.
    pub invoice: String,
    /// Of which subscription.
    pub subscription: SubscriptionId,
    /// The period that ended.
    pub ended: Period,
    /// Whether that period itself was paid for.
    pub paid: bool,
}

/// The periods of a subscription that ended with a paid cycle: each once.
#[must_use]
pub fn of_subscription(subscription: &Subscription, facts: &[&Fact], life: &[Term]) -> Vec<Closing> {
    let mut told: Vec<&Fact> = facts.to_vec();
    told.sort_by_key(|f| (f.created, &f.event_id));
    let mut cycles: BTreeMap<&str, Closing> = BTreeMap::new();
    // Whether an invoice of the period that begins then was paid.
    let mut paid: BTreeMap<Seconds, bool> = BTreeMap::new();
    for fact in told {
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
        cycles.entry(&invoice.invoice).or_insert_with(|| Closing {
            at: fact.created.max(begins.unwrap_or(ended.end)),
            invoice: invoice.invoice.clone(),
            subscription: subscription.id.clone(),
            ended,
            paid: false,
        });
    }
    let mut closings: Vec<Closing> = cycles.into_values().collect();
    closings.sort_by(|a, b| (a.at, &a.invoice).cmp(&(b.at, &b.invoice)));
    let mut ended = BTreeSet::new();
    closings.retain(|c| ended.insert(c.ended.start));
    for closing in &mut closings {
        let start = closing.ended.start;
        // Of one that no invoice tells of: if it began by a cycle, that was not paid.
        let last = life.iter().rev().find(|t| t.period.start < start);
        let by_cycle = || last.is_some_and(|t| t.period.end <= start);
        closing.paid = paid.get(&start).copied().unwrap_or_else(|| !by_cycle());
    }
    closings
}
