//! The fold of a subscription's facts into its state, in two ways with the same
//! result: from all facts, or from new facts on top of a stored state.
//!
//! Example: the stored state is of second 100. A change of second 200 is folded on
//! top of it. A change of second 50 is late: it may alter every state since then,
//! so [`Subscription::advance`] declines and all facts are folded again.

use super::{
    invoices::{ChangeEvidence, InvoiceEvidence, OWN_INVOICE_S_MAX, same_plan},
    link,
    order::{Ordered, in_order},
    state::Subscription,
};
use crate::domain::{
    fact::{Fact, FactBody, InvoiceFact, InvoiceStep, Phase, Plan, Seconds, SubscriptionFact},
    ids::SubscriptionId,
};

impl Subscription {
    /// The slow path: folds all facts of the subscription, given in any order.
    #[must_use]
    pub fn refold(id: SubscriptionId, facts: &[&Fact]) -> Self {
        let mut folded = Self::fold(id, &in_order(facts.iter().copied(), None));
        link::keep_best_session(&mut folded.claim, facts);
        folded
    }

    /// Folds facts that are in order. It does not link the subscription to a user by its
    /// sessions or its customer.
    pub(super) fn fold(id: SubscriptionId, ordered: &Ordered<'_>) -> Self {
        Self::fold_with(id, ordered, |_, _| {})
    }

    /// Folds facts that are in order, and calls `visit` after each of them with the
    /// time of the fact and the state after it.
    pub(in crate::domain) fn fold_with(
        id: SubscriptionId,
        ordered: &Ordered<'_>,
        mut visit: impl FnMut(Seconds, &Self),
    ) -> Self {
        let evidence = InvoiceEvidence::from_facts(&id, &ordered.facts);
        let mut folded = Self::unknown(id);
        // A failure or a return counts from the beginning, also for a downgrade before its
        // event.
        folded.failed.clone_from(&evidence.failed);
        folded.returned.clone_from(&evidence.returned);
        for (index, fact) in ordered.facts.iter().enumerate() {
            folded.apply(fact, evidence.for_fact(index));
            visit(fact.created, &folded);
        }
        folded.undecided = ordered.undecided;
        folded
    }

    /// The fast path: folds `new` facts, given in any order, on top of this state.
    /// Returns `None` if a fact is late, has the same second as a known one, or may
    /// alter the effect of a known one. Then all facts must be folded again.
    #[must_use]
    pub fn advance(&self, new: &[&Fact]) -> Option<Self> {
        let newest = self.newest;
        let Ordered { facts, undecided } = in_order(new.iter().copied(), self.last_seen());
        let mut next = self.clone();
        for fact in facts {
            if !next.only_adds(fact, newest) {
                return None;
            }
            next.apply(fact, ChangeEvidence::default());
        }
        next.undecided += undecided;
        link::keep_best_session(&mut next.claim, new);
        Some(next)
    }

    /// Whether a fact leaves the effect of all known facts as it is. `newest` is the
    /// newest time before the new facts.
    fn only_adds(&self, fact: &Fact, newest: Option<Seconds>) -> bool {
        let is_newer = newest.is_none_or(|newest| fact.created > newest);
        match &fact.body {
            FactBody::Subscription(s) => is_newer && self.snapshot_only_adds(s, fact.created),
            FactBody::Invoice(i) => self.invoice_only_adds(i, fact.created, newest),
            FactBody::InvoiceItem(i) => !i.credits() || is_newer && is_apart(fact.created, self.last_change),
            // Without a refund or a dispute, a payment says nothing.
            FactBody::Session(_) | FactBody::Customer(_) | FactBody::InvoicePayment(_) => true,
            FactBody::ChargeRefunded(_) | FactBody::RefundFailed(_) | FactBody::Dispute(_) => false,
        }
    }

    fn snapshot_only_adds(&self, fact: &SubscriptionFact, at: Seconds) -> bool {
        // `created` is always the first snapshot.
        let keeps_order = fact.phase != Phase::Created || self.latest.is_none();
        let snapshots = [Some(&fact.now), fact.before.as_ref()];
        let plans = snapshots.into_iter().flatten().map(|s| s.plan.as_ref());
        let is_known = |plan: Option<&Plan>| match (plan, &self.plan) {
            (Some(new), Some(known)) => same_plan(new, known) && new.item == known.item,
            (new, known) => new.is_none() && known.is_none(),
        };
        let changes_plan = !plans.into_iter().all(is_known);
        // A known credit may belong to this change. The change that an answer of
        // Stripe's API shows may have happened long ago.
        let credit_is_of_another =
            is_apart(at, self.last_credit) && (fact.phase != Phase::Read || self.last_credit.is_none());
        // A new plan item, or a new period where a page was cut, may show that a known invoice
        // was about the plan or was not.
        let had_effect = self.renewed_in.is_some() || !self.settled.is_empty();
        let shows_no_invoice = !had_effect || !changes_plan && !self.lines_cut;
        let all_paid = self.failed.is_empty() && self.returned.is_empty();
        keeps_order && all_paid && shows_no_invoice && (!changes_plan || credit_is_of_another)
    }

    fn invoice_only_adds(&self, invoice: &InvoiceFact, at: Seconds, newest: Option<Seconds>) -> bool {
        let is_newer = newest.is_none_or(|newest| at > newest);
        if invoice.step != InvoiceStep::Paid || !self.failed.is_empty() {
            return false;
        }
        // A known change may have caused the credit.
        let no_known_change = !invoice.credits() || is_newer && is_apart(at, self.last_change);
        // A paid renewal that is late may have ended a grace. Whether it is about the plan is
        // known only from all facts.
        let ends_no_grace =
            !invoice.billing_reason.renews() || self.grace.is_none() && newest.is_none_or(|newest| at >= newest);
        // Where an invoice was settled by a later one, another payment may alter what counted
        // before: also one that shows only now that a known payment was for the plan.
        no_known_change && ends_no_grace && self.settled.is_empty()
    }
}

/// Whether a fact is too far from the last change or credit to belong to it.
fn is_apart(at: Seconds, last: Option<Seconds>) -> bool {
    last.is_none_or(|last| (at - last).abs() > OWN_INVOICE_S_MAX)
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod answer_tests;
