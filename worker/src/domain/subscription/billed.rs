//! The invoices of a subscription, each as all facts together show it: what it bills of the
//! plan, and whether it was paid, failed or returned.
//!
//! An invoice is about the plan only if it bills the plan item, without proration. A
//! subscription may have other items, with intervals of their own: their invoices close no
//! period and settle nothing.
//!
//! Example: a subscription has the plan item `si_1` (yearly) and the add-on `si_2` (monthly).
//! The invoice of the second month has a line of `si_2` alone. It is not about the plan:
//! [`BilledInvoice::pays_for`] is `None`.

use super::returned::{Payment, returned_at};
use crate::domain::{
    fact::{BillingReason, Fact, FactBody, InvoiceFact, InvoiceLine, InvoiceStep, Period, Plan, Seconds},
    ids::SubscriptionId,
};
use std::collections::{BTreeMap, BTreeSet};

/// An invoice of a subscription, from all facts about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BilledInvoice {
    /// The invoice's id.
    pub invoice: String,
    /// `billing_reason`
    pub billing_reason: BillingReason,
    /// The period of the plan that it pays for; `None` if it is not about the plan.
    pub pays_for: Option<Period>,
    /// The invoice's own `period_start` and `period_end`: for a renewal, the period that
    /// ended.
    pub ended: Option<Period>,
    /// The start of the time that it bills: of [`pays_for`](Self::pays_for), else of its
    /// latest line; `None` if no line names one.
    pub bills_from: Option<Seconds>,
    /// The total, in minor units.
    pub total: i64,
    /// The time of the first failed payment, or of the first request to confirm one.
    pub first_failed_at: Option<Seconds>,
    /// The time of the first event that shows it paid.
    pub paid_at: Option<Seconds>,
    /// When its money was refunded in full or lost to a dispute; `None` if the money came
    /// back since.
    pub returned_at: Option<Seconds>,
    /// Whether it gives money back for a change: a proration below zero.
    pub credits: bool,
}

impl BilledInvoice {
    /// Whether it begins a period of the plan: a renewal, or a change that began a new
    /// period.
    #[must_use]
    pub fn begins_period(&self) -> bool {
        self.pays_for.is_some() && (self.billing_reason.renews() || self.billing_reason.settles_change())
    }

    /// Whether it was paid, and the money was not returned.
    #[must_use]
    pub fn is_paid(&self) -> bool {
        self.paid_at.is_some() && self.returned_at.is_none()
    }
}

/// What is known of a subscription's plan item: the ids under which invoice lines name it,
/// and its periods.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlanItem<'a> {
    items: BTreeSet<&'a str>,
    prices: BTreeSet<&'a str>,
    /// Start and end of each known period.
    periods: BTreeSet<(Seconds, Seconds)>,
}

impl<'a> PlanItem<'a> {
    /// The plan item by all snapshots of a subscription in `facts`, in any order.
    #[must_use]
    pub fn of(id: &SubscriptionId, facts: &[&'a Fact]) -> Self {
        let mut known = Self::default();
        for fact in facts {
            let FactBody::Subscription(s) = &fact.body else {
                continue;
            };
            if s.subscription != *id {
                continue;
            }
            for snapshot in [Some(&s.now), s.before.as_ref()].into_iter().flatten() {
                known.periods.extend(snapshot.period.map(|p| (p.start, p.end)));
                let plan: Option<&'a Plan> = snapshot.plan.as_ref();
                known.prices.extend(plan.map(|p| p.price.as_str()));
                known.items.extend(plan.and_then(|p| p.item.as_deref()));
            }
        }
        known
    }

    /// The period of the plan that an invoice pays for; `None` if it is not about the plan.
    /// Of several periods the latest.
    #[must_use]
    pub fn paid_by(&self, invoice: &InvoiceFact) -> Option<Period> {
        let lines = invoice.lines.iter().filter(|l| !l.proration && self.is_billed_by(l));
        let billed = lines.filter_map(|l| l.period).max_by_key(|p| (p.end, p.start));
        billed.or_else(|| if invoice.lines_cut { self.met_by(invoice) } else { None })
    }

    /// Whether a line bills the plan item: by its item, or by its price where it names no
    /// item. A line that names neither, and any line before a plan is known, may bill it.
    fn is_billed_by(&self, line: &InvoiceLine) -> bool {
        match (&line.item, &line.price) {
            (Some(item), _) if !self.items.is_empty() => self.items.contains(item.as_str()),
            (_, Some(price)) if !self.prices.is_empty() => self.prices.contains(price.as_str()),
            _ => true,
        }
    }

    /// The known period of the plan that begins when the invoice's own period ends. It stands
    /// for a plan line beyond the first page.
    fn met_by(&self, invoice: &InvoiceFact) -> Option<Period> {
        let at = invoice.period?.end;
        let from_here = self.periods.range((at, Seconds::MIN)..=(at, Seconds::MAX));
        from_here.last().map(|(start, end)| Period {
            start: *start,
            end: *end,
        })
    }
}

/// The invoices of a subscription, sorted by the time of their first event, then by id.
/// `facts` are all facts of its account, with those about the account's payments, in any
/// order.
#[must_use]
pub fn of_subscription(id: &SubscriptionId, facts: &[&Fact]) -> Vec<BilledInvoice> {
    let plan_item = PlanItem::of(id, facts);
    let mut by_invoice: BTreeMap<&str, Vec<(&Fact, &InvoiceFact)>> = BTreeMap::new();
    for fact in facts {
        if let FactBody::Invoice(invoice) = &fact.body
            && invoice.subscription.as_ref() == Some(id)
        {
            by_invoice.entry(&invoice.invoice).or_default().push((fact, invoice));
        }
    }
    let mut billed: Vec<(Seconds, BilledInvoice)> = by_invoice
        .into_values()
        .filter_map(|events| one_invoice(events, &plan_item, facts))
        .collect();
    billed.sort_by(|a, b| (a.0, &a.1.invoice).cmp(&(b.0, &b.1.invoice)));
    billed.into_iter().map(|(_, invoice)| invoice).collect()
}

/// One invoice, and the time of its first event.
fn one_invoice(
    mut events: Vec<(&Fact, &InvoiceFact)>,
    plan_item: &PlanItem<'_>,
    facts: &[&Fact],
) -> Option<(Seconds, BilledInvoice)> {
    // The last event shows the final lines.
    events.sort_by_key(|(fact, i)| (fact.created, i.step == InvoiceStep::Paid, &fact.event_id));
    let first_at = events.first()?.0.created;
    let latest = events.last()?.1;
    let first = |paid: bool| {
        let mut steps = events.iter().filter(|(_, i)| (i.step == InvoiceStep::Paid) == paid);
        steps.next().map(|(fact, _)| fact.created)
    };
    let pays_for = events.iter().rev().find_map(|(_, i)| plan_item.paid_by(i));
    let line_starts = latest.lines.iter().filter_map(|l| l.period).map(|p| p.start);
    let invoice = BilledInvoice {
        invoice: latest.invoice.clone(),
        billing_reason: latest.billing_reason.clone(),
        pays_for,
        bills_from: pays_for.map(|p| p.start).or(line_starts.max()),
        ended: latest.period,
        total: latest.total,
        first_failed_at: first(false),
        paid_at: first(true),
        returned_at: returned_at(&payments(&latest.invoice, &events, facts), facts),
        credits: events.iter().any(|(_, i)| i.credits()),
    };
    Some((first_at, invoice))
}

/// The payments of an invoice: by the invoice itself, by `invoice_payment.paid`, or by a
/// refund that names the invoice; each once.
fn payments<'a>(invoice: &str, events: &[(&'a Fact, &'a InvoiceFact)], facts: &[&'a Fact]) -> Vec<Payment<'a>> {
    // A try that failed may name another charge.
    let own = events.iter().filter(|(_, i)| i.step == InvoiceStep::Paid);
    let own = own.map(|(_, i)| (i.payment_intent.as_deref(), i.charge.as_deref()));
    let others = facts.iter().filter_map(|fact| match &fact.body {
        FactBody::InvoicePayment(p) if p.invoice == invoice => Some((p.payment_intent.as_deref(), p.charge.as_deref())),
        FactBody::ChargeRefunded(c) if c.invoice.as_deref() == Some(invoice) => {
            Some((c.payment_intent.as_deref(), Some(c.charge.as_str())))
        }
        _ => None,
    });
    Payment::all(own.chain(others))
}

#[cfg(test)]
#[path = "billed_tests.rs"]
mod tests;
