//! The evidence of a subscription's invoices: which changes of the price were paid,
//! failed or credited. It is computed from all facts, because an invoice may arrive
//! long after the change that it bills.
//!
//! An invoice belongs to the change whose snapshot is the first to name it in
//! `latest_invoice`. If there is none, the nearest change in time counts. A credit
//! also belongs to the change of the same API request.
//!
//! Example: day 10 an upgrade from Basic to Max, whose snapshot is the first to
//! name `in_1`; day 13 `invoice.payment_failed` of `in_1`, a `subscription_update`.
//! The upgrade is suspended until `in_1` or a later cycle is paid, although another
//! upgrade on day 12 is nearer in time.

use crate::domain::fact::{Fact, FactBody, InvoiceFact, InvoiceStep, Period, Phase, Seconds, Snapshot};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Most seconds between a change and an invoice or credit that belongs to it only
/// because it is near.
const NEAR_S_MAX: Seconds = 60;
/// Most seconds between a change and its credit, if the change names the credit's
/// invoice or both have the same API request.
pub const OWN_INVOICE_S_MAX: Seconds = 3_600;

/// An invoice with a failed payment that was never paid, neither itself nor by a
/// later cycle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedInvoice {
    /// The invoice's id.
    pub invoice: String,
    /// The `created` of the first event of a failed payment.
    pub failed_at: Seconds,
    /// The period that the invoice pays for; `None` if it has prorations only.
    pub period: Option<Period>,
    /// Whether it bills a change within a period (`subscription_update`).
    pub settles_change: bool,
    /// The start of the time that it bills; `None` if no line names one.
    pub bills_from: Option<Seconds>,
    /// Whether it bills an upgrade that is suspended because of it. Then neither
    /// the upgrade nor the failure counts.
    pub suspends_change: bool,
}

impl FailedInvoice {
    /// Whether `invoice`, shown by an event of the time `at`, settles this failure:
    /// a later cycle that is paid. It bills the plan that the subscription has by
    /// then.
    #[must_use]
    pub fn settled_by(&self, invoice: &InvoiceFact, at: Seconds) -> bool {
        let is_later = match (self.bills_from, invoice.pays_for()) {
            (Some(bills_from), Some(paid)) => paid.start >= bills_from,
            _ => true,
        };
        invoice.step == InvoiceStep::Paid && invoice.renews() && at > self.failed_at && is_later
    }
}

/// The evidence of all invoices of a subscription. Facts are named by their index
/// in the ordered list.
#[derive(Debug, Default)]
pub struct InvoiceEvidence<'a> {
    /// The failed invoices that were never paid themselves, sorted by id.
    pub failed: Vec<FailedInvoice>,
    /// The suspended upgrades: index of the fact → id of the failed invoice.
    suspended: BTreeMap<usize, String>,
    /// The changes that gave money back: indexes of their facts.
    credited: BTreeSet<usize>,
    /// The changes with a paid invoice of their own: indexes of their facts.
    paid: BTreeSet<usize>,
    changes: Vec<PriceChange<'a>>,
}

/// The evidence of invoices for one fact.
#[derive(Debug, Clone, Copy, Default)]
pub struct ChangeEvidence<'b> {
    /// The failed invoice that suspends this upgrade.
    pub suspended_by: Option<&'b str>,
    /// Whether this change gave money back.
    pub credited: bool,
    /// Whether this change has a paid invoice of its own.
    pub paid: bool,
}

/// A change of the price.
#[derive(Debug)]
struct PriceChange<'a> {
    /// The index of its fact.
    index: usize,
    /// The time of its fact.
    at: Seconds,
    /// The earliest time of the change. An answer of Stripe's API shows a change
    /// that happened at any time since the snapshot before it.
    earliest: Seconds,
    /// Whether the new plan has a higher rank.
    is_upgrade: bool,
    /// The invoice that this snapshot is the first to name as the latest one.
    own_invoice: Option<&'a str>,
    request: Option<&'a str>,
}

impl PriceChange<'_> {
    /// The seconds between the change and a time.
    fn distance_s(&self, at: Seconds) -> Seconds {
        (self.at - at).abs()
    }
}

/// Money given back for a change.
struct Credit<'a> {
    at: Seconds,
    invoice: Option<&'a str>,
    request: Option<&'a str>,
}

impl<'a> InvoiceEvidence<'a> {
    /// Gathers the evidence of facts that are in order.
    #[must_use]
    pub fn from_facts(ordered: &[&'a Fact]) -> Self {
        let mut evidence = Self {
            changes: changes(ordered),
            ..Self::default()
        };
        evidence.paid = evidence.paid_changes(ordered);
        let mut failed = failed(ordered);
        for failed in failed.iter_mut().filter(|f| f.settles_change) {
            if let Some(upgrade) = evidence.upgrade_of(failed, ordered) {
                let suspended = evidence.suspended.entry(upgrade);
                suspended.or_insert_with(|| failed.invoice.clone());
                failed.suspends_change = true;
            }
        }
        evidence.failed = failed;
        let credits = credits(ordered);
        evidence.credited = credits.iter().filter_map(|c| evidence.credited_change(c)).collect();
        evidence
    }

    /// The evidence for the fact with this index.
    #[must_use]
    pub fn for_fact(&self, index: usize) -> ChangeEvidence<'_> {
        ChangeEvidence {
            suspended_by: self.suspended.get(&index).map(String::as_str),
            credited: self.credited.contains(&index),
            paid: self.paid.contains(&index),
        }
    }

    /// The changes with a paid invoice of their own: the change that names the
    /// invoice, else the nearest one within a minute that names no invoice.
    fn paid_changes(&self, ordered: &[&Fact]) -> BTreeSet<usize> {
        let paid = invoices(ordered).filter(|(_, i)| i.step == InvoiceStep::Paid && i.settles_change() && i.total > 0);
        let change = |(at, invoice): (Seconds, &InvoiceFact)| {
            let names_it = |c: &&PriceChange<'_>| c.own_invoice == Some(&invoice.invoice);
            let is_near = |c: &&PriceChange<'_>| c.own_invoice.is_none() && c.distance_s(at) <= NEAR_S_MAX;
            let nearest = || {
                let near = self.changes.iter().filter(is_near);
                near.min_by_key(|c| (c.distance_s(at), !c.is_upgrade))
            };
            self.changes.iter().find(names_it).or_else(nearest).map(|c| c.index)
        };
        paid.filter_map(change).collect()
    }

    /// The upgrade that a failed invoice bills: the upgrade that names the invoice,
    /// else the nearest one that names no invoice and was not paid.
    fn upgrade_of(&self, failed: &FailedInvoice, ordered: &[&Fact]) -> Option<usize> {
        // An upgrade after the cycle that settles the failure has another invoice.
        let settles = |f: &&Fact| matches!(&f.body, FactBody::Invoice(i) if failed.settled_by(i, f.created));
        let until = ordered.iter().position(settles).unwrap_or(ordered.len());
        let facts = &ordered[..until];
        let upgrades = || self.changes.iter().filter(|c| c.is_upgrade && c.index < until);
        let mut latest_invoices = facts.iter().map(|f| snapshot(f)?.latest_invoice.as_deref());
        let first_named = latest_invoices.position(|id| id == Some(&failed.invoice));
        if let Some(own) = upgrades().find(|c| Some(c.index) == first_named) {
            return Some(own.index);
        }
        // A snapshot that names the invoice without an upgrade shows a change that
        // waits for the payment (Stripe's page "Pending updates").
        let distance_s_max = if first_named.is_some() {
            NEAR_S_MAX
        } else {
            Seconds::MAX
        };
        upgrades()
            .filter(|c| c.own_invoice.is_none() && c.at <= failed.failed_at + NEAR_S_MAX)
            .filter(|c| !self.paid.contains(&c.index) && !renewed(&facts[c.index..], c.at, failed.failed_at))
            .map(|c| (c.distance_s(failed.failed_at), c.index))
            .filter(|(distance_s, _)| *distance_s <= distance_s_max)
            .min()
            .map(|(_, index)| index)
    }

    /// The change that a credit belongs to: within an hour the change that names
    /// its invoice or has the same request, else the nearest one within a minute.
    fn credited_change(&self, credit: &Credit<'_>) -> Option<usize> {
        let distance_s = |c: &PriceChange<'_>| (c.earliest - credit.at).max(credit.at - c.at).max(0);
        let is_own = |c: &&PriceChange<'_>| {
            distance_s(c) <= OWN_INVOICE_S_MAX
                && (c.own_invoice.is_some() && c.own_invoice == credit.invoice
                    || c.request.is_some() && c.request == credit.request)
        };
        let names_another = |c: &PriceChange<'_>| c.own_invoice.is_some() && credit.invoice.is_some();
        let is_near = |c: &&PriceChange<'_>| distance_s(c) <= NEAR_S_MAX && !names_another(c);
        let nearest = || {
            let near = self.changes.iter().filter(is_near);
            near.min_by_key(|c| (distance_s(c), c.is_upgrade, c.index))
        };
        self.changes.iter().find(is_own).or_else(nearest).map(|c| c.index)
    }
}

/// Whether `period` was not paid: a failed invoice pays for a period with the same
/// start. The start alone counts, because another invoice may bill a part of the
/// same time: after a yearly plan was left for a monthly one, the months lie within
/// the paid year.
#[must_use]
pub fn unpaid(failed: &[FailedInvoice], period: Period) -> bool {
    failed.iter().filter(|f| !f.suspends_change).any(|f| match f.period {
        Some(p) => p.start == period.start,
        // Prorations bill a change, not a period.
        None => !f.settles_change,
    })
}

/// Whether a cycle that began after the time `change` was paid before `until`.
fn renewed(facts: &[&Fact], change: Seconds, until: Seconds) -> bool {
    let began_after = |i: &InvoiceFact| i.pays_for().is_none_or(|p| p.start >= change);
    invoices(facts).any(|(at, i)| at <= until && i.step == InvoiceStep::Paid && i.renews() && began_after(i))
}

fn snapshot(fact: &Fact) -> Option<&Snapshot> {
    match &fact.body {
        FactBody::Subscription(s) => Some(&s.now),
        _ => None,
    }
}

fn invoices<'a>(ordered: &[&'a Fact]) -> impl Iterator<Item = (Seconds, &'a InvoiceFact)> {
    ordered.iter().filter_map(|fact| match &fact.body {
        FactBody::Invoice(invoice) => Some((fact.created, invoice)),
        _ => None,
    })
}

/// The failed invoices that were not paid themselves, before or after the failure.
fn failed(ordered: &[&Fact]) -> Vec<FailedInvoice> {
    let paid = invoices(ordered).filter(|(_, i)| i.step == InvoiceStep::Paid);
    let paid: BTreeSet<&str> = paid.map(|(_, i)| i.invoice.as_str()).collect();
    let mut failed: BTreeMap<&str, FailedInvoice> = BTreeMap::new();
    for (at, invoice) in invoices(ordered).filter(|(_, i)| i.step != InvoiceStep::Paid) {
        if paid.contains(invoice.invoice.as_str()) {
            continue;
        }
        let known = failed.entry(&invoice.invoice).or_insert_with(|| FailedInvoice {
            invoice: invoice.invoice.clone(),
            failed_at: at,
            period: None,
            settles_change: invoice.settles_change(),
            bills_from: None,
            suspends_change: false,
        });
        // The last event of an invoice shows its final lines.
        known.period = invoice.pays_for();
        let line_starts = invoice.lines.iter().filter_map(|l| l.period).map(|p| p.start);
        known.bills_from = known.period.map(|p| p.start).or(line_starts.max());
    }
    failed.into_values().collect()
}

/// All changes of the price. The old plan is that of the change's own
/// `previous_attributes`, else that of the snapshot before it.
fn changes<'a>(ordered: &[&'a Fact]) -> Vec<PriceChange<'a>> {
    let mut changes = Vec::new();
    let mut known_invoices: BTreeSet<&str> = BTreeSet::new();
    let (mut plan, mut last_at) = (None, None);
    for (index, fact) in ordered.iter().enumerate() {
        let FactBody::Subscription(s) = &fact.body else {
            continue;
        };
        let old = s.before.as_ref().and_then(|b| b.plan.as_ref()).or(plan);
        known_invoices.extend(s.before.as_ref().and_then(|b| b.latest_invoice.as_deref()));
        let named = s.now.latest_invoice.as_deref();
        let own_invoice = named.filter(|id| known_invoices.insert(id));
        let previous_at = last_at.replace(fact.created).unwrap_or(fact.created);
        let Some(new) = &s.now.plan else { continue };
        if let Some(old) = old.filter(|old| old.price != new.price) {
            changes.push(PriceChange {
                index,
                at: fact.created,
                earliest: if s.phase == Phase::Read {
                    previous_at
                } else {
                    fact.created
                },
                is_upgrade: old.rank < new.rank,
                own_invoice,
                request: s.request.as_deref(),
            });
        }
        plan = Some(new);
    }
    changes
}

/// All credits, each at the time of the first event that shows it.
fn credits<'a>(ordered: &[&'a Fact]) -> Vec<Credit<'a>> {
    let mut seen_ids: BTreeSet<&str> = BTreeSet::new();
    let mut credits = Vec::new();
    for fact in ordered {
        let (id, invoice, request) = match &fact.body {
            FactBody::Invoice(i) if i.credits() => (&i.invoice, Some(i.invoice.as_str()), &i.request),
            FactBody::InvoiceItem(i) if i.credits() => (&i.item, None, &i.request),
            _ => continue,
        };
        if seen_ids.insert(id) {
            credits.push(Credit {
                at: fact.created,
                invoice,
                request: request.as_deref(),
            });
        }
    }
    credits
}

#[cfg(test)]
#[path = "invoices_tests.rs"]
mod tests;
