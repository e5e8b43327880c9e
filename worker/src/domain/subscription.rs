//! One subscription's state, and the step that a fact makes it take.

use super::{
    fact::{Fact, InvoiceFact, InvoiceStep, Period, Phase, Plan, Said, Seconds, Snapshot, SubscriptionFact},
    grace::{self, Change, Grace},
    ids::{SubscriptionId, UserId},
};
use serde::{Deserialize, Serialize};

/// What is known of a subscription after its facts so far. Grown by
/// [`Subscription::step`], one fact after the other, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// Which subscription.
    pub id: SubscriptionId,
    /// Whose it is, once a link is known.
    pub user: Option<UserId>,
    /// The latest snapshot; none while only its invoices or session are known.
    pub latest: Option<Snapshot>,
    /// The latest plan that was known; it outlives the entitlement.
    pub plan: Option<Plan>,
    /// The latest period that was known; it outlives the entitlement.
    pub period: Option<Period>,
    /// The grace that a downgrade left.
    pub grace: Option<Grace>,
    /// A paid invoice with a total above zero, once, for ever.
    pub ever_paid: bool,
    /// The highest plan it ever had, trials included, `incomplete` not.
    pub highest: Option<Plan>,
    /// The invoices that failed and were not paid since.
    pub unpaid_invoices: Vec<UnpaidInvoice>,
    /// When prorations gave money back.
    pub credits: Vec<Seconds>,
    /// It was canceled: nothing revives it.
    pub ended: bool,
}

/// An invoice that failed, and the period it was for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnpaidInvoice {
    /// Which invoice.
    pub invoice: String,
    /// What it bills, if it says so.
    pub period: Option<Period>,
}

impl Subscription {
    /// A subscription of which nothing is known yet.
    #[must_use]
    pub fn unknown(id: SubscriptionId) -> Self {
        Self {
            id,
            user: None,
            latest: None,
            plan: None,
            period: None,
            grace: None,
            ever_paid: false,
            highest: None,
            unpaid_invoices: Vec::new(),
            credits: Vec::new(),
            ended: false,
        }
    }

    /// Whether it gives access.
    #[must_use]
    pub fn entitled(&self) -> bool {
        !self.ended && self.latest.as_ref().is_some_and(Snapshot::entitled)
    }

    /// Takes in the next fact.
    pub fn step(&mut self, fact: &Fact) {
        match &fact.said {
            Said::Subscription(s) => self.snapshot(s, fact.created),
            Said::Invoice(invoice) => self.invoice(invoice, fact.created),
            Said::InvoiceItem(item) if item.proration && item.amount < 0 => self.credited(fact.created),
            Said::InvoiceItem(_)
            | Said::Session(_)
            | Said::ChargeRefunded(_)
            | Said::RefundFailed(_)
            | Said::Dispute(_) => {}
        }
    }

    fn snapshot(&mut self, fact: &SubscriptionFact, at: Seconds) {
        if self.ended {
            return;
        }
        let new = &fact.now;
        self.grace = if new.entitled() {
            self.grace_after(new, at)
        } else {
            None
        };
        if let Some(plan) = &new.plan {
            if !self.stayed_incomplete(new) && self.highest.as_ref().is_none_or(|h| h.rank < plan.rank) {
                self.highest = Some(plan.clone());
            }
            self.plan = Some(plan.clone());
        }
        self.period = new.period.or(self.period);
        self.ended = fact.phase == Phase::Deleted || new.status == "canceled";
        self.latest = Some(new.clone());
    }

    /// Whether its first payment never came: then it was given up, or canceled.
    fn stayed_incomplete(&self, new: &Snapshot) -> bool {
        let incomplete = |s: &Snapshot| matches!(s.status.as_str(), "incomplete" | "incomplete_expired");
        incomplete(new) || (new.status == "canceled" && self.latest.as_ref().is_some_and(incomplete))
    }

    fn grace_after(&mut self, new: &Snapshot, at: Seconds) -> Option<Grace> {
        let running = self.grace.take();
        match (&self.latest, &self.plan, self.period, &new.plan) {
            (Some(old), Some(old_plan), Some(old_period), Some(new_plan)) => grace::after_change(
                running,
                Change {
                    old_status: &old.status,
                    old_plan,
                    old_period,
                    new,
                    new_plan,
                    at,
                    unpaid: self.unpaid(old_period),
                    credits: &self.credits,
                },
            ),
            _ => running,
        }
    }

    /// Whether an invoice of `period` is known to have failed and not been paid since.
    fn unpaid(&self, period: Period) -> bool {
        self.unpaid_invoices
            .iter()
            .any(|u| u.period.is_none_or(|p| p.start < period.end && period.start < p.end))
    }

    fn invoice(&mut self, invoice: &InvoiceFact, at: Seconds) {
        let cycle = invoice.billing_reason.as_deref() == Some("subscription_cycle");
        match invoice.step {
            InvoiceStep::Paid => {
                self.ever_paid |= invoice.total > 0;
                self.unpaid_invoices.retain(|u| u.invoice != invoice.invoice);
                if let Some(paid) = invoice.pays_for().filter(|_| cycle) {
                    // Who pays for a period has settled those before it.
                    self.unpaid_invoices
                        .retain(|u| u.period.is_some_and(|p| p.start > paid.start));
                    self.grace = grace::after_renewal(self.grace.take(), paid.start);
                }
            }
            InvoiceStep::Failed | InvoiceStep::ActionRequired => {
                self.unpaid_invoices.retain(|u| u.invoice != invoice.invoice);
                self.unpaid_invoices.push(UnpaidInvoice {
                    invoice: invoice.invoice.clone(),
                    period: invoice.pays_for(),
                });
            }
        }
        if invoice.lines.iter().any(|l| l.proration && l.amount < 0) {
            self.credited(at);
        }
    }

    fn credited(&mut self, at: Seconds) {
        self.credits.push(at);
        self.grace = grace::after_credit(self.grace.take(), at);
    }
}

#[cfg(test)]
#[path = "subscription_tests.rs"]
mod tests;
