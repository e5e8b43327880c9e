//! Closed periods. A billing period is closed when the invoice of the next one
//! is paid; then its unused units roll over.
//!
//! Example: a period runs from 1 to 31 March. Invoice `in_2` renews the
//! subscription and is paid on 1 April at 01:00. That is one [`Closing`] of March,
//! at 01:00. If `in_2` fails first and is paid on 9 April, March is closed on
//! 9 April. If `in_2` is never paid, March is never closed.

use super::{
    period_limit::PeriodLimit,
    periods::{self, SoldPeriod},
    stages::Stage,
};
use crate::domain::{
    fact::{Period, Seconds},
    ids::SubscriptionId,
    subscription::billed::BilledInvoice,
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
    /// Whether this period itself was paid for, and the money was kept. If not, nothing rolls over.
    pub paid: bool,
    /// The limits of the period at its end, by meter; none if the period is not known.
    pub limits: BTreeMap<String, PeriodLimit>,
    /// The caps of rollover at its end, by meter.
    pub caps: BTreeMap<String, i64>,
}

/// The closed periods of a subscription, each once, sorted by time.
#[must_use]
pub fn of_subscription(
    id: &SubscriptionId,
    invoices: &[BilledInvoice],
    stages: &[Stage],
    periods: &[SoldPeriod],
) -> Vec<Closing> {
    let mut closings: Vec<Closing> = invoices
        .iter()
        .filter_map(|invoice| of_invoice(id, invoice, stages, periods))
        .collect();
    closings.sort_by(|a, b| (a.at, &a.invoice).cmp(&(b.at, &b.invoice)));
    // Two paid invoices for one renewal close the period once.
    let mut ended = BTreeSet::new();
    closings.retain(|c| ended.insert(c.ended.start));
    closings
}

/// The period that an invoice closes; none if it does not renew the plan, or is not paid.
fn of_invoice(
    id: &SubscriptionId,
    invoice: &BilledInvoice,
    stages: &[Stage],
    periods: &[SoldPeriod],
) -> Option<Closing> {
    let paid_at = invoice.paid_at.filter(|_| invoice.billing_reason.renews())?;
    let begins = invoice.pays_for?.start;
    let named = invoice.ended.filter(|p| p.start < p.end);
    let is_named = |p: &&SoldPeriod| named.is_some_and(|named| named.start == p.period.start);
    // Another item may have a shorter period, and the invoice then names that one.
    let before = periods.iter().rev().filter(|p| p.period.start < begins);
    let ends_here = before.clone().find(|p| p.period.end == begins);
    let closed = ends_here.or_else(|| before.clone().find(is_named));
    let last = closed.and_then(|p| stages[p.stages.clone()].last());
    Some(Closing {
        at: paid_at.max(begins),
        invoice: invoice.invoice.clone(),
        subscription: id.clone(),
        ended: closed.map(|p| p.period).or(named)?,
        paid: closed.is_some_and(SoldPeriod::is_kept),
        limits: closed.map_or_else(BTreeMap::new, |p| {
            periods::limits(p, &stages[p.stages.clone()], Seconds::MAX)
        }),
        caps: last.map_or_else(BTreeMap::new, |s| s.plan.caps.clone()),
    })
}
