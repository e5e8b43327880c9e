//! One subscription's state: the fold of its facts, and the step that a fact
//! makes it take.

use super::{
    grace::{self, Grace, TierChange},
    invoices::{self, ChangeEvidence, FailedInvoice, InvoiceEvidence, OWN},
    link::{self, Claim},
    order::{LastSeen, Ordered, in_order, print_after},
};
use crate::domain::{
    fact::{Fact, FactBody, InvoiceFact, InvoiceStep, Period, Phase, Plan, Seconds, Snapshot, SubscriptionFact, ended},
    ids::{SubscriptionId, UserId},
};
use serde::{Deserialize, Serialize};

/// The version of what [`Subscription`] holds and of the rules that make it.
/// Whoever changes either raises it: states of another version are refolded.
pub const VERSION: i32 = 2;

/// What is known of a subscription after its facts so far: a function of the
/// set of them, however they came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// [`VERSION`] when it was folded.
    #[serde(default)]
    pub version: i32,
    /// Which subscription.
    pub id: SubscriptionId,
    /// The best word of its own about whose it is.
    #[serde(default)]
    pub claim: Option<Claim>,
    /// Whose it is, once a link is known.
    pub user: Option<UserId>,
    /// The latest snapshot; none while only its invoices or session are known.
    pub latest: Option<Snapshot>,
    /// The digest of the whole object in it, where it was noted.
    #[serde(default)]
    pub print: Option<i64>,
    /// The latest plan that was known; it outlives the entitlement.
    pub plan: Option<Plan>,
    /// The latest period that was known; it outlives the entitlement.
    pub period: Option<Period>,
    /// The upgrade that is as if it had not happened, since its payment failed.
    #[serde(default)]
    pub held: Option<SuspendedChange>,
    /// The grace that a downgrade left.
    pub grace: Option<Grace>,
    /// A paid invoice with a total above zero, once, for ever.
    pub ever_paid: bool,
    /// The highest plan it ever had, trials included, `incomplete` not.
    pub highest: Option<Plan>,
    /// The invoices that failed and were not paid since.
    #[serde(default)]
    pub failed: Vec<FailedInvoice>,
    /// The invoices that failed and were settled with a later cycle.
    #[serde(default)]
    pub settled: Vec<String>,
    /// When the price last changed.
    #[serde(default)]
    pub last_change: Option<Seconds>,
    /// When a proration last gave money back.
    #[serde(default)]
    pub last_credit: Option<Seconds>,
    /// The `created` of the newest fact that was folded; sessions do not count.
    #[serde(default)]
    pub newest: Option<Seconds>,
    /// How many seconds held changes whose order no evidence tells.
    #[serde(default)]
    pub undecided: u32,
    /// It was canceled: nothing revives it.
    pub ended: bool,
}

/// An upgrade whose payment failed, and what counts instead until it, or a
/// later cycle, is paid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuspendedChange {
    /// The invoice that failed.
    pub invoice: String,
    /// What stood before the upgrade.
    pub counts: Counts,
}

/// What decides about tier and grace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// The plan.
    pub plan: Plan,
    /// The period that is paid for.
    pub period: Period,
    /// Stripe's word for it.
    pub status: String,
}

impl Subscription {
    /// A subscription of which nothing is known yet.
    #[must_use]
    pub fn unknown(id: SubscriptionId) -> Self {
        Self {
            version: VERSION,
            id,
            claim: None,
            user: None,
            latest: None,
            print: None,
            plan: None,
            period: None,
            held: None,
            grace: None,
            ever_paid: false,
            highest: None,
            failed: Vec::new(),
            settled: Vec::new(),
            last_change: None,
            last_credit: None,
            newest: None,
            undecided: 0,
            ended: false,
        }
    }

    /// The slow path: all facts of the subscription, in any order.
    #[must_use]
    pub fn refold(id: SubscriptionId, facts: &[&Fact]) -> Self {
        let mut folded = Self::fold(id, &in_order(facts.iter().copied(), None));
        folded.hear(facts);
        folded
    }

    /// The fold of facts that are in order; whose it is, is not its business.
    pub(super) fn fold(id: SubscriptionId, ordered: &Ordered<'_>) -> Self {
        Self::tell(id, ordered, |_, _| {})
    }

    /// The fold of facts that are in order; `see` is shown the state after each
    /// of them, with the time at which it was told.
    pub(in crate::domain) fn tell(
        id: SubscriptionId,
        ordered: &Ordered<'_>,
        mut see: impl FnMut(Seconds, &Self),
    ) -> Self {
        let books = InvoiceEvidence::of(&ordered.facts);
        let mut folded = Self::unknown(id);
        // A failure counts until its payment, and for what came before it too.
        folded.failed.clone_from(&books.failed);
        for (place, fact) in ordered.facts.iter().enumerate() {
            folded.step(fact, books.evidence(place));
            see(fact.created, &folded);
        }
        folded.undecided = ordered.undecided;
        folded
    }

    /// The fast path: takes in `new` facts, in any order, on top of what is
    /// folded. None if one of them is late, ties with what is known, or may
    /// change what was decided before: then the subscription must be refolded.
    #[must_use]
    pub fn advance(&self, new: &[&Fact]) -> Option<Self> {
        let floor = self.newest;
        let Ordered { facts, undecided } = in_order(new.iter().copied(), self.standing());
        let mut next = self.clone();
        for fact in facts {
            if !next.follows(fact, floor) {
                return None;
            }
            next.step(fact, ChangeEvidence::default());
        }
        next.undecided += undecided;
        next.hear(new);
        Some(next)
    }

    /// Believes the best word about whose it is.
    fn hear(&mut self, facts: &[&Fact]) {
        for fact in facts {
            link::improve(&mut self.claim, link::of_subscription(fact));
        }
    }

    fn standing(&self) -> Option<LastSeen<'_>> {
        self.latest.as_ref().map(|now| LastSeen {
            now,
            print: self.print,
            ended: self.ended,
        })
    }

    /// Whether a fact only adds to what is decided.
    fn follows(&self, fact: &Fact, floor: Option<Seconds>) -> bool {
        let at = fact.created;
        let newer = floor.is_none_or(|f| at > f);
        let apart = |last: Option<Seconds>| last.is_none_or(|l| (at - l).abs() > OWN);
        match &fact.body {
            FactBody::Subscription(s) => {
                let first = s.phase != Phase::Created || self.latest.is_none();
                let known = self.plan.as_ref().map(|p| p.price.as_str());
                let changes = [Some(&s.now), s.before.as_ref()]
                    .into_iter()
                    .flatten()
                    .any(|s| s.price() != known);
                // What was read shows a change that may have been long ago, with its credit.
                let uncredited = apart(self.last_credit) && (s.phase != Phase::Read || self.last_credit.is_none());
                newer && first && self.failed.is_empty() && (!changes || uncredited)
            }
            // A payment that ends no grace and settles no failure is true whenever it is told.
            FactBody::Invoice(i) if i.step == InvoiceStep::Paid => {
                let uncredited = !i.credits() || newer && apart(self.last_change);
                let adds = newer || !i.renews() || self.grace.is_none() && floor == Some(at);
                // The payment of what a cycle settled, or of a change, tells more of the time before.
                let known = self.settled.is_empty() || newer && i.renews() && !self.settled.contains(&i.invoice);
                self.failed.is_empty() && known && uncredited && adds
            }
            FactBody::Invoice(_) => false,
            FactBody::InvoiceItem(i) => !i.credits() || newer && apart(self.last_change),
            FactBody::Session(_) | FactBody::ChargeRefunded(_) | FactBody::RefundFailed(_) | FactBody::Dispute(_) => {
                true
            }
        }
    }

    /// Whether it gives access.
    #[must_use]
    pub fn entitled(&self) -> bool {
        !self.ended && self.latest.as_ref().is_some_and(Snapshot::entitled)
    }

    /// The plan that decides about the tier: not one whose upgrade is held.
    #[must_use]
    pub fn counting_plan(&self) -> Option<&Plan> {
        self.held.as_ref().map(|h| &h.counts.plan).or(self.plan.as_ref())
    }

    fn step(&mut self, fact: &Fact, evidence: ChangeEvidence<'_>) {
        let at = fact.created;
        match &fact.body {
            FactBody::Subscription(s) => self.snapshot(s, at, evidence),
            FactBody::Invoice(invoice) => self.invoice(invoice, at),
            FactBody::InvoiceItem(item) if item.credits() => self.last_credit = self.last_credit.max(Some(at)),
            FactBody::InvoiceItem(_)
            | FactBody::Session(_)
            | FactBody::ChargeRefunded(_)
            | FactBody::RefundFailed(_)
            | FactBody::Dispute(_) => {}
        }
        if !matches!(fact.body, FactBody::Session(_)) {
            self.newest = self.newest.max(Some(at));
        }
    }

    fn snapshot(&mut self, fact: &SubscriptionFact, at: Seconds, evidence: ChangeEvidence<'_>) {
        let last_word = fact.phase == Phase::Deleted && ended(&fact.now.status);
        if self.ended && !last_word {
            return;
        }
        // Where an event before this one is missing, the change itself says what it started from.
        if let Some(before) = &fact.before
            && (before.plan.is_some() || !before.entitled())
            && self.latest.as_ref().is_none_or(|latest| !latest.shows_same(before))
        {
            self.take(before, at, ChangeEvidence::default());
        }
        self.print = print_after(fact, self.standing());
        self.take(&fact.now, at, evidence);
        self.ended |= fact.phase == Phase::Deleted || ended(&fact.now.status);
        if self.ended {
            self.grace = None;
        }
    }

    /// Shows a new snapshot.
    fn take(&mut self, new: &Snapshot, at: Seconds, evidence: ChangeEvidence<'_>) {
        let old = self.counts();
        self.held = self.held_after(new, old.as_ref(), evidence);
        self.grace = self.grace_after(new, old, at, evidence);
        if let Some(plan) = &new.plan {
            if !self.stayed_incomplete(new) && self.highest.as_ref().is_none_or(|h| h.rank < plan.rank) {
                self.highest = Some(plan.clone());
            }
            if self.plan.as_ref().is_some_and(|p| p.price != plan.price) {
                self.last_change = self.last_change.max(Some(at));
            }
            self.plan = Some(plan.clone());
        }
        self.period = new.period.or(self.period);
        self.latest = Some(new.clone());
    }

    /// What counts now: what is shown, or what stood before a held upgrade.
    pub(in crate::domain) fn counts(&self) -> Option<Counts> {
        if let Some(held) = &self.held {
            return Some(held.counts.clone());
        }
        Some(Counts {
            plan: self.plan.clone()?,
            period: self.period?,
            status: self.latest.as_ref()?.status.clone(),
        })
    }

    /// The upgrade that is held after a snapshot: this one, or the one before
    /// while its price stands, or what is left of it does.
    fn held_after(
        &self,
        new: &Snapshot,
        old: Option<&Counts>,
        evidence: ChangeEvidence<'_>,
    ) -> Option<SuspendedChange> {
        if let (Some(invoice), Some(counts)) = (evidence.held_by, old) {
            return Some(SuspendedChange {
                invoice: invoice.to_owned(),
                counts: counts.clone(),
            });
        }
        let mut held = self.held.clone()?;
        let shown = self.plan.as_ref();
        let stays = new.plan.as_ref().is_none_or(|new| {
            let part = new.rank > held.counts.plan.rank && shown.is_some_and(|s| new.rank <= s.rank);
            shown.is_some_and(|s| s.price == new.price) || part && !evidence.paid
        });
        if !stays {
            return None;
        }
        // Its own failure made it past due; any other word is about all of it.
        if new.status != "past_due" {
            held.counts.status.clone_from(&new.status);
        }
        if let Some(period) = new.period.filter(|p| p.start >= held.counts.period.end) {
            held.counts.period = period;
        }
        Some(held)
    }

    fn grace_after(
        &mut self,
        new: &Snapshot,
        old: Option<Counts>,
        at: Seconds,
        evidence: ChangeEvidence<'_>,
    ) -> Option<Grace> {
        let running = self.grace.take();
        if !new.entitled() {
            return None;
        }
        match (old, &new.plan) {
            (Some(old), Some(new_plan)) => grace::after_change(
                running,
                TierChange {
                    old_status: &old.status,
                    old_plan: &old.plan,
                    old_period: old.period,
                    new,
                    // A held upgrade changes nothing.
                    new_plan: if self.held.is_some() { &old.plan } else { new_plan },
                    at,
                    unpaid: invoices::unpaid(&self.failed, old.period),
                    credited: evidence.credited,
                },
            ),
            _ => running,
        }
    }

    /// Whether its first payment never came: then it was given up, or canceled.
    fn stayed_incomplete(&self, new: &Snapshot) -> bool {
        let incomplete = |s: &Snapshot| matches!(s.status.as_str(), "incomplete" | "incomplete_expired");
        incomplete(new) || (new.status == "canceled" && self.latest.as_ref().is_some_and(incomplete))
    }

    fn invoice(&mut self, invoice: &InvoiceFact, at: Seconds) {
        if invoice.step == InvoiceStep::Paid {
            self.ever_paid |= invoice.total > 0;
            if let Some(paid) = invoice.pays_for().filter(|_| invoice.renews()) {
                self.grace = grace::after_renewal(self.grace.take(), paid.start);
            }
            self.settle(invoice, at);
        }
        if invoice.credits() {
            self.last_credit = self.last_credit.max(Some(at));
        }
    }

    /// A paid cycle settles what failed before it; what waited for that counts from now on.
    fn settle(&mut self, invoice: &InvoiceFact, at: Seconds) {
        let (settled, failed) = std::mem::take(&mut self.failed)
            .into_iter()
            .partition::<Vec<_>, _>(|f| f.settled_by(invoice, at));
        self.failed = failed;
        self.settled.extend(settled.into_iter().map(|f| f.invoice));
        let waits = |held: &SuspendedChange| self.failed.iter().any(|f| f.invoice == held.invoice);
        if self.held.as_ref().is_some_and(|held| !waits(held)) {
            self.held = None;
            let rank = self.plan.as_ref().map(|p| p.rank);
            self.grace = self.grace.take().filter(|g| Some(g.plan.rank) > rank);
        }
    }
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod read_tests;
#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
