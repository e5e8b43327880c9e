//! The step from one state of a subscription to the next: the effect of one fact,
//! given the evidence of the invoices.

use super::{
    grace::{self, Grace, TierChange},
    invoices::{self, ChangeEvidence, FailedInvoice, same_plan, worth},
    link,
    order::digest_after,
    state::{BaseState, Subscription, SuspendedChange},
};
use crate::domain::fact::{
    Fact, FactBody, InvoiceFact, InvoiceStep, Period, Phase, Seconds, Snapshot, SubscriptionFact, ended,
};

impl Subscription {
    /// Applies one fact; the fact comes after all that were applied before.
    pub(super) fn apply(&mut self, fact: &Fact, evidence: ChangeEvidence<'_>) {
        let at = fact.created;
        match &fact.body {
            FactBody::Subscription(s) => self.apply_subscription(s, at, evidence),
            FactBody::Invoice(invoice) => self.apply_invoice(invoice, at, evidence),
            FactBody::InvoiceItem(item) if item.credits() => self.last_credit = self.last_credit.max(Some(at)),
            FactBody::InvoiceItem(_)
            | FactBody::Session(_)
            | FactBody::ChargeRefunded(_)
            | FactBody::RefundFailed(_)
            | FactBody::Dispute(_)
            | FactBody::Customer(_)
            | FactBody::InvoicePayment(_) => {}
        }
        if let FactBody::Subscription(s) = &fact.body {
            self.keep_own_claim(s, fact);
        }
        if is_in_order(&fact.body) {
            self.newest = self.newest.max(Some(at));
        }
    }

    /// Of the subscription's own words about its user, the latest that is not empty counts;
    /// also after its end.
    fn keep_own_claim(&mut self, snapshots: &SubscriptionFact, fact: &Fact) {
        if let Some(user) = &snapshots.now.user {
            let before = snapshots.before.as_ref().and_then(|s| s.user.as_ref());
            self.claim = Some(link::own_metadata(self.claim.take(), fact, before, user));
        }
    }

    fn apply_subscription(&mut self, fact: &SubscriptionFact, at: Seconds, evidence: ChangeEvidence<'_>) {
        let is_final = fact.phase == Phase::Deleted && ended(&fact.now.status);
        if self.ended && !is_final {
            return;
        }
        // If the event before this one is missing, `previous_attributes` of this one
        // shows the state that it made. It is applied first.
        if let Some(before) = &fact.before
            && (before.plan.is_some() || !before.entitled())
            && self.latest.as_ref().is_none_or(|latest| !latest.shows_same(before))
        {
            self.apply_snapshot(before, at, ChangeEvidence::default());
        }
        self.digest = digest_after(fact, self.last_seen());
        self.apply_snapshot(&fact.now, at, evidence);
        self.ended |= fact.phase == Phase::Deleted || ended(&fact.now.status);
        if self.ended {
            (self.grace, self.renewed_in) = (None, None);
        }
    }

    fn apply_snapshot(&mut self, new: &Snapshot, at: Seconds, evidence: ChangeEvidence<'_>) {
        let old_base = self.base_state();
        self.suspended = self.suspended_after(new, old_base.as_ref(), evidence);
        self.grace = self.grace_after(new, old_base, at, evidence);
        if let Some(plan) = &new.plan {
            if !self.stayed_incomplete(new) && self.highest.as_ref().is_none_or(|h| h.rank < plan.rank) {
                self.highest = Some(plan.clone());
            }
            if self.plan.as_ref().is_some_and(|p| !same_plan(p, plan)) {
                self.last_change = self.last_change.max(Some(at));
            }
            self.plan = Some(plan.clone());
        }
        self.period = new.period.or(self.period);
        self.latest = Some(new.clone());
    }

    /// The suspended change after a snapshot: this change, or the known one. The
    /// known one stays while its price and quantity stay, or after a change to less that
    /// still is more than the paid plan and was not paid itself.
    fn suspended_after(
        &self,
        new: &Snapshot,
        old_base: Option<&BaseState>,
        evidence: ChangeEvidence<'_>,
    ) -> Option<SuspendedChange> {
        if let (Some(invoice), Some(base)) = (evidence.suspended_by, old_base) {
            return Some(SuspendedChange {
                invoice: invoice.to_owned(),
                base: base.clone(),
            });
        }
        let mut suspended = self.suspended.clone()?;
        let shown = self.plan.as_ref();
        let stays = new.plan.as_ref().is_none_or(|new| {
            let is_between = worth(new) > worth(&suspended.base.plan) && shown.is_some_and(|s| worth(new) <= worth(s));
            shown.is_some_and(|s| same_plan(s, new)) || is_between && !evidence.paid
        });
        if !stays {
            return None;
        }
        // The failed change itself made the subscription past due. Any other status
        // concerns the paid plan too.
        if new.status != "past_due" {
            suspended.base.status.clone_from(&new.status);
        }
        if let Some(period) = new.period.filter(|p| p.start >= suspended.base.period.end) {
            suspended.base.period = period;
        }
        Some(suspended)
    }

    fn grace_after(
        &mut self,
        new: &Snapshot,
        old_base: Option<BaseState>,
        at: Seconds,
        evidence: ChangeEvidence<'_>,
    ) -> Option<Grace> {
        let running = self.grace.take();
        if !new.entitled() {
            self.renewed_in = None;
            return None;
        }
        let (Some(old), Some(new_plan)) = (old_base, &new.plan) else {
            return running;
        };
        let change = TierChange {
            old_status: &old.status,
            old_plan: &old.plan,
            old_period: old.period,
            new,
            // A suspended change changes nothing.
            new_plan: if self.suspended.is_some() { &old.plan } else { new_plan },
            at,
            unpaid: invoices::unpaid(self.failed.iter().chain(&self.settled), &self.returned, old.period),
            credited: evidence.credited,
        };
        self.renewed_in = self.renewed_in.take().filter(|g| change.leaves(g));
        grace::after_change(running, change)
    }

    /// Whether the first payment has not come, or never came before the end.
    fn stayed_incomplete(&self, new: &Snapshot) -> bool {
        let incomplete = |s: &Snapshot| matches!(s.status.as_str(), "incomplete" | "incomplete_expired");
        incomplete(new) || (new.status == "canceled" && self.latest.as_ref().is_some_and(incomplete))
    }

    fn apply_invoice(&mut self, invoice: &InvoiceFact, at: Seconds, evidence: ChangeEvidence<'_>) {
        if invoice.step == InvoiceStep::Paid {
            self.ever_paid |= invoice.total > 0;
            if invoice.billing_reason.renews() && self.grace.is_some() {
                self.renewed_in.clone_from(&self.grace);
                if let Some(begins) = evidence.begins {
                    self.grace = grace::after_renewal(self.grace.take(), begins.start);
                }
            }
            self.settle_failed(evidence.begins, at);
        }
        self.lines_cut |= invoice.lines_cut;
        if invoice.credits() {
            self.last_credit = self.last_credit.max(Some(at));
        }
    }

    /// Settles the failed invoices that a paid invoice settles: one that `begins` this
    /// period. A suspended change counts from now on if its failed invoice is settled.
    fn settle_failed(&mut self, begins: Option<Period>, at: Seconds) {
        let (settled, failed) = std::mem::take(&mut self.failed)
            .into_iter()
            .partition::<Vec<_>, _>(|f| f.settled_by(begins, at));
        self.failed = failed;
        // An invoice of the same period pays for it. A later one leaves it unpaid.
        self.settled.extend(settled.into_iter().map(|f| FailedInvoice {
            period: f.period.filter(|p| begins.is_none_or(|paid| paid.start != p.start)),
            ..f
        }));
        let is_unsettled = |suspended: &SuspendedChange| self.failed.iter().any(|f| f.invoice == suspended.invoice);
        if self.suspended.as_ref().is_some_and(|s| !is_unsettled(s)) {
            self.suspended = None;
            let rank = self.plan.as_ref().map(|p| p.rank);
            self.grace = self.grace.take().filter(|g| Some(g.plan.rank) > rank);
        }
    }
}

/// Whether the order of a fact among the others matters.
pub(super) fn is_in_order(body: &FactBody) -> bool {
    matches!(
        body,
        FactBody::Subscription(_) | FactBody::Invoice(_) | FactBody::InvoiceItem(_)
    )
}
