//! The evidence of a subscription's invoices: which changes of price or quantity were paid,
//! failed or credited, and which periods were not paid. It is computed from all facts, because an invoice may arrive
//! long after the change that it bills.
//!
//! An invoice belongs to the change whose snapshot is the first to name it in
//! `latest_invoice`. If there is none, the nearest change in time counts. A credit
//! also belongs to the change of the same API request.
//!
//! Example: day 10 an upgrade from Basic to Max, whose snapshot is the first to
//! name `in_1`; day 13 `invoice.payment_failed` of `in_1`, a `subscription_update`.
//! The upgrade is suspended until `in_1`, or an invoice of a later period of the plan, is
//! paid, although another upgrade on day 12 is nearer in time.

use super::billed::{self, BilledInvoice};
use crate::domain::{
    fact::{Fact, FactBody, InvoiceStep, Period, Phase, Plan, Seconds, Snapshot},
    ids::SubscriptionId,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Most seconds between a change and an invoice or credit that belongs to it only
/// because it is near.
pub const NEAR_S_MAX: Seconds = 60;
/// Most seconds between a change and its credit, if the change names the credit's
/// invoice or both have the same API request.
pub const OWN_INVOICE_S_MAX: Seconds = 3_600;

/// An invoice with a failed payment that was never paid, neither itself nor by the invoice
/// of a later period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedInvoice {
    /// The invoice's id.
    pub invoice: String,
    /// The `created` of the first event of a failed payment.
    pub failed_at: Seconds,
    /// The period of the plan that the invoice pays for; `None` if it is not about the plan.
    pub period: Option<Period>,
    /// Whether it bills a change within a period (`subscription_update`).
    pub settles_change: bool,
    /// The start of the time that it bills; `None` if no line names one.
    pub bills_from: Option<Seconds>,
    /// Whether it bills a change that is suspended because of it. Then neither
    /// the change nor the failure counts.
    pub suspends_change: bool,
}

impl FailedInvoice {
    /// Whether another invoice, paid at the time `at`, settles this failure: the invoice of
    /// a later period of the plan. It bills the plan that the subscription has by then.
    #[must_use]
    pub fn settled_by(&self, begins: Option<Period>, at: Seconds) -> bool {
        begins.is_some_and(|paid| at > self.failed_at && self.bills_from.is_none_or(|from| paid.start >= from))
    }
}

/// A paid invoice of the plan whose money was refunded in full or lost to a dispute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReturnedInvoice {
    /// The invoice's id.
    pub invoice: String,
    /// The period of the plan that it paid for.
    pub period: Period,
}

/// The evidence of all invoices of a subscription. Facts are named by their index
/// in the ordered list.
#[derive(Debug, Default)]
pub struct InvoiceEvidence<'a> {
    /// The failed invoices that were never paid themselves, sorted by id.
    pub failed: Vec<FailedInvoice>,
    /// The invoices of the plan whose money was returned, sorted by id.
    pub returned: Vec<ReturnedInvoice>,
    /// The suspended changes: index of the fact → id of the failed invoice.
    suspended: BTreeMap<usize, String>,
    /// The changes that gave money back: indexes of their facts.
    credited: BTreeSet<usize>,
    /// The changes with a paid invoice of their own: indexes of their facts.
    paid: BTreeSet<usize>,
    /// The periods of the plan that paid invoices begin: index of the fact → period.
    begins: BTreeMap<usize, Period>,
    changes: Vec<PlanChange<'a>>,
}

/// The evidence of invoices for one fact.
#[derive(Debug, Clone, Copy, Default)]
pub struct ChangeEvidence<'b> {
    /// The failed invoice that suspends this change.
    pub suspended_by: Option<&'b str>,
    /// Whether this change gave money back.
    pub credited: bool,
    /// Whether this change has a paid invoice of its own.
    pub paid: bool,
    /// The period of the plan that this paid invoice begins.
    pub begins: Option<Period>,
}

/// A change of the price or the quantity.
#[derive(Debug)]
struct PlanChange<'a> {
    /// The index of its fact.
    index: usize,
    /// The time of its fact.
    at: Seconds,
    /// The earliest time of the change. An answer of Stripe's API shows a change
    /// that happened at any time since the snapshot before it.
    earliest: Seconds,
    /// Whether the new plan has a higher rank.
    is_upgrade: bool,
    /// Whether it may cost money: it gives more, or begins a period of its own.
    may_cost: bool,
    /// The invoice that this snapshot is the first to name as the latest one.
    own_invoice: Option<&'a str>,
    request: Option<&'a str>,
}

impl PlanChange<'_> {
    /// The seconds between the change and a time.
    fn distance_s(&self, at: Seconds) -> Seconds {
        (self.at - at).abs()
    }
}

/// Whether two plans are the same price in the same quantity.
#[must_use]
pub fn same_plan(a: &Plan, b: &Plan) -> bool {
    (&a.price, a.quantity) == (&b.price, b.quantity)
}

/// How much a plan gives: its rank, then its quantity.
pub(super) fn worth(plan: &Plan) -> (i32, i64) {
    (plan.rank, plan.quantity)
}

/// Whether a change may cost money. A lower tier or quantity never gives anything for free;
/// of equal ones, only another price may cost something.
fn may_cost(old: &Plan, new: &Plan) -> bool {
    worth(new) >= worth(old)
}

/// Money given back for a change.
struct Credit<'a> {
    at: Seconds,
    invoice: Option<&'a str>,
    request: Option<&'a str>,
}

impl<'a> InvoiceEvidence<'a> {
    /// Gathers the evidence of a subscription's facts, which are in order.
    #[must_use]
    pub fn from_facts(id: &SubscriptionId, ordered: &[&'a Fact]) -> Self {
        let billed = billed::of_subscription(id, ordered);
        let mut evidence = Self {
            changes: changes(ordered),
            begins: begins(&billed, ordered),
            returned: returned(&billed),
            ..Self::default()
        };
        evidence.paid = evidence.paid_changes(&billed);
        let mut failed: Vec<FailedInvoice> = billed.iter().filter_map(failure).collect();
        failed.sort_by(|a, b| a.invoice.cmp(&b.invoice));
        for failed in failed.iter_mut().filter(|f| f.settles_change) {
            if let Some(change) = evidence.change_of(failed, ordered) {
                let suspended = evidence.suspended.entry(change);
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
            begins: self.begins.get(&index).copied(),
        }
    }

    /// The changes with a paid invoice of their own: the change that names the
    /// invoice, else the nearest one within a minute that names no invoice.
    fn paid_changes(&self, billed: &[BilledInvoice]) -> BTreeSet<usize> {
        let change = |invoice: &BilledInvoice| {
            let at = invoice
                .paid_at
                .filter(|_| invoice.billing_reason.settles_change() && invoice.total > 0)?;
            let names_it = |c: &&PlanChange<'_>| c.own_invoice == Some(&invoice.invoice);
            let is_near = |c: &&PlanChange<'_>| c.own_invoice.is_none() && c.distance_s(at) <= NEAR_S_MAX;
            let nearest = || {
                let near = self.changes.iter().filter(is_near);
                near.min_by_key(|c| (c.distance_s(at), !c.is_upgrade))
            };
            self.changes.iter().find(names_it).or_else(nearest).map(|c| c.index)
        };
        billed.iter().filter_map(change).collect()
    }

    /// The change that a failed invoice bills: the change that names the invoice,
    /// else the nearest one that names no invoice and was not paid.
    fn change_of(&self, failed: &FailedInvoice, ordered: &[&Fact]) -> Option<usize> {
        // A change after the payment that settles the failure has another invoice.
        let settles = |index: &usize| failed.settled_by(self.begins.get(index).copied(), ordered[*index].created);
        let until = self.begins.keys().copied().find(settles).unwrap_or(ordered.len());
        let facts = &ordered[..until];
        let costly = || self.changes.iter().filter(|c| c.may_cost && c.index < until);
        let mut latest_invoices = facts.iter().map(|f| snapshot(f)?.latest_invoice.as_deref());
        let first_named = latest_invoices.position(|id| id == Some(&failed.invoice));
        if let Some(own) = costly().find(|c| Some(c.index) == first_named) {
            return Some(own.index);
        }
        // A snapshot that names the invoice without a change shows one that
        // waits for the payment (Stripe's page "Pending updates").
        let distance_s_max = if first_named.is_some() {
            NEAR_S_MAX
        } else {
            Seconds::MAX
        };
        let renewed = |change: &PlanChange<'_>| {
            let mut later = self.begins.range(change.index..until);
            later.any(|(index, paid)| ordered[*index].created <= failed.failed_at && paid.start >= change.at)
        };
        costly()
            .filter(|c| c.own_invoice.is_none() && c.at <= failed.failed_at + NEAR_S_MAX)
            .filter(|c| !self.paid.contains(&c.index) && !renewed(c))
            .map(|c| (c.distance_s(failed.failed_at), c.index))
            .filter(|(distance_s, _)| *distance_s <= distance_s_max)
            .min()
            .map(|(_, index)| index)
    }

    /// The change that a credit belongs to: within an hour the change that names
    /// its invoice or has the same request, else the nearest one within a minute.
    fn credited_change(&self, credit: &Credit<'_>) -> Option<usize> {
        let distance_s = |c: &PlanChange<'_>| (c.earliest - credit.at).max(credit.at - c.at).max(0);
        let is_own = |c: &&PlanChange<'_>| {
            distance_s(c) <= OWN_INVOICE_S_MAX
                && (c.own_invoice.is_some() && c.own_invoice == credit.invoice
                    || c.request.is_some() && c.request == credit.request)
        };
        let names_another = |c: &PlanChange<'_>| c.own_invoice.is_some() && credit.invoice.is_some();
        let is_near = |c: &&PlanChange<'_>| distance_s(c) <= NEAR_S_MAX && !names_another(c);
        let nearest = || {
            let near = self.changes.iter().filter(is_near);
            near.min_by_key(|c| (distance_s(c), c.is_upgrade, c.index))
        };
        self.changes.iter().find(is_own).or_else(nearest).map(|c| c.index)
    }
}

/// Whether `period` was not paid, or its money was returned: an invoice of a period of the
/// plan with the same start. The start alone counts, because another invoice may bill a part
/// of the same time: after a yearly plan was left for a monthly one, the months lie within
/// the paid year.
#[must_use]
pub fn unpaid<'a>(
    failed: impl IntoIterator<Item = &'a FailedInvoice>,
    returned: &[ReturnedInvoice],
    period: Period,
) -> bool {
    let failed = failed
        .into_iter()
        .filter(|f| !f.suspends_change)
        .filter_map(|f| f.period);
    let mut unpaid = failed.chain(returned.iter().map(|r| r.period));
    unpaid.any(|p| p.start == period.start)
}

fn snapshot(fact: &Fact) -> Option<&Snapshot> {
    match &fact.body {
        FactBody::Subscription(s) => Some(&s.now),
        _ => None,
    }
}

/// The failure of an invoice that was not paid itself, before or after it.
fn failure(invoice: &BilledInvoice) -> Option<FailedInvoice> {
    let failed_at = invoice.first_failed_at.filter(|_| invoice.paid_at.is_none())?;
    Some(FailedInvoice {
        invoice: invoice.invoice.clone(),
        failed_at,
        period: invoice.pays_for,
        settles_change: invoice.billing_reason.settles_change(),
        bills_from: invoice.bills_from,
        suspends_change: false,
    })
}

/// The invoices of the plan whose money was returned, sorted by id.
fn returned(billed: &[BilledInvoice]) -> Vec<ReturnedInvoice> {
    let is_returned = |i: &&BilledInvoice| i.paid_at.is_some() && i.returned_at.is_some();
    let mut returned: Vec<ReturnedInvoice> = billed
        .iter()
        .filter(is_returned)
        .filter_map(|i| {
            Some(ReturnedInvoice {
                invoice: i.invoice.clone(),
                period: i.pays_for?,
            })
        })
        .collect();
    returned.sort_by(|a, b| a.invoice.cmp(&b.invoice));
    returned
}

/// The periods of the plan that paid invoices begin, by the indexes of their facts.
fn begins(billed: &[BilledInvoice], ordered: &[&Fact]) -> BTreeMap<usize, Period> {
    let begun = billed.iter().filter(|i| i.begins_period());
    let periods: BTreeMap<&str, Period> = begun.filter_map(|i| Some((i.invoice.as_str(), i.pays_for?))).collect();
    let paid = ordered.iter().enumerate().filter_map(|(index, fact)| match &fact.body {
        FactBody::Invoice(i) if i.step == InvoiceStep::Paid => Some((index, *periods.get(i.invoice.as_str())?)),
        _ => None,
    });
    paid.collect()
}

/// All changes of the price or the quantity. The old plan is that of the change's own
/// `previous_attributes`, else that of the snapshot before it.
fn changes<'a>(ordered: &[&'a Fact]) -> Vec<PlanChange<'a>> {
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
        if let Some(old) = old.filter(|old| !same_plan(old, new)) {
            changes.push(PlanChange {
                index,
                at: fact.created,
                earliest: if s.phase == Phase::Read {
                    previous_at
                } else {
                    fact.created
                },
                is_upgrade: old.rank < new.rank,
                may_cost: may_cost(old, new),
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
