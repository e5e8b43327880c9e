//! Closed periods. A billing period is closed when the invoice of the next one
//! is paid; then its unused units roll over.
//!
//! Example: a period runs from 1 to 31 March. Invoice `in_2` renews the
//! subscription and is paid on 1 April at 01:00. That is one [`Closing`] of March,
//! at 01:00. If `in_2` fails first and is paid on 9 April, March is closed on
//! 9 April. If `in_2` is never paid, March is never closed.

use super::{
    ownership::OwnedSpan,
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
    /// The period that is closed; from the hand-over on, if it was handed over to the user.
    pub ended: Period,
    /// Whether this period itself was paid for, and the money was kept. If not, nothing rolls over.
    pub paid: bool,
    /// The limits of the period at its end, by meter; none if the period is not known.
    pub limits: BTreeMap<String, PeriodLimit>,
    /// The caps of rollover at its end, by meter.
    pub caps: BTreeMap<String, i64>,
}

/// The closed periods of a subscription for a user who had it in a span of time, each once,
/// sorted by time. A renewal that is paid after a hand-over closes the new user's part alone.
#[must_use]
pub fn of_subscription(
    id: &SubscriptionId,
    invoices: &[BilledInvoice],
    stages: &[Stage],
    periods: &[SoldPeriod],
    span: &OwnedSpan<'_>,
) -> Vec<Closing> {
    let mut closings: Vec<ClosedPeriod<'_>> = invoices
        .iter()
        .filter_map(|invoice| of_invoice(invoice, periods))
        .collect();
    closings.sort_by_key(|c| (c.at, c.invoice));
    // Two paid invoices for one renewal close the period once.
    let mut ended = BTreeSet::new();
    closings.retain(|c| ended.insert(c.ended.start));
    let owned = closings.into_iter().filter(|c| span.contains(c.at));
    owned.filter_map(|c| c.closing(id, stages, span)).collect()
}

/// A period that the paid invoice of the next one closes.
struct ClosedPeriod<'a> {
    at: Seconds,
    invoice: &'a str,
    ended: Period,
    /// None if the period is not known.
    sold: Option<&'a SoldPeriod>,
}

/// The period that an invoice closes; none if it does not renew the plan, or is not paid.
fn of_invoice<'a>(invoice: &'a BilledInvoice, periods: &'a [SoldPeriod]) -> Option<ClosedPeriod<'a>> {
    let paid_at = invoice.paid_at.filter(|_| invoice.billing_reason.renews())?;
    let begins = invoice.pays_for?.start;
    let named = invoice.ended.filter(|p| p.start < p.end);
    let is_named = |p: &&SoldPeriod| named.is_some_and(|named| named.start == p.period.start);
    // Another item may have a shorter period, and the invoice then names that one.
    let before = periods.iter().rev().filter(|p| p.period.start < begins);
    let ends_here = before.clone().find(|p| p.period.end == begins);
    let sold = ends_here.or_else(|| before.clone().find(is_named));
    Some(ClosedPeriod {
        at: paid_at.max(begins),
        invoice: &invoice.invoice,
        ended: sold.map(|p| p.period).or(named)?,
        sold,
    })
}

impl ClosedPeriod<'_> {
    /// The closing of the user's part; none if they had no part of the period.
    fn closing(self, id: &SubscriptionId, stages: &[Stage], span: &OwnedSpan<'_>) -> Option<Closing> {
        let own = self.sold.map(|p| &stages[p.stages.clone()]);
        let last = own.and_then(<[Stage]>::last);
        Some(Closing {
            at: self.at,
            invoice: self.invoice.to_owned(),
            subscription: id.clone(),
            ended: span.part_of(self.ended)?,
            paid: self.sold.is_some_and(SoldPeriod::is_kept),
            limits: self.sold.zip(own).map_or_else(BTreeMap::new, |(period, own)| {
                periods::limits(period, own, Seconds::MAX, span)
            }),
            caps: last.map_or_else(BTreeMap::new, |s| s.plan.caps.clone()),
        })
    }
}
