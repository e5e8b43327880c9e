//! One subscription's life, fact by fact: the states on the way, each a function
//! of the facts so far, and what the one has that the one before it had not.

use super::{
    changes::{gives, linked},
    explanation::{ExplainRequest, HistoryEntry},
    transition::{ChangeKind, ChangeNote, Transition},
    words::{Moment, tells},
};
use crate::domain::{
    fact::{Fact, FactBody, Seconds},
    ids::{SubscriptionId, UserId},
    subscription::{
        grace::Grace,
        link::{self, Claim},
        order::in_order,
        state::Subscription,
    },
};

/// A life that was told.
#[derive(Debug)]
pub(super) struct Life {
    /// The state at its end.
    pub(super) end: Subscription,
    /// Whose it is at its end.
    pub(super) user: Option<UserId>,
    /// Whether it ever was the asking user's.
    pub(super) ever_theirs: bool,
    /// What happened, in order.
    pub(super) entries: Vec<HistoryEntry>,
}

/// Tells the life of a subscription. `own` are the facts about it, `others` the
/// further ones of its account: of these, the first to name a user tells whose the customer is.
pub(super) fn tell<'a>(
    id: &SubscriptionId,
    own: &[&'a Fact],
    others: &[&'a Fact],
    question: &ExplainRequest<'a>,
) -> Life {
    let named = others.iter().filter_map(|f| Some((link::of_customer(f)?, *f)));
    let teller = MeterContext {
        question,
        neighbour: named.min_by(|a, b| a.0.cmp(&b.0)),
        undecided: 0,
        so_far: Vec::new(),
        second: Vec::new(),
        settled: Subscription::unknown(id.clone()),
        state: Subscription::unknown(id.clone()),
        now: Seconds::MIN,
        link: None,
        ever_theirs: false,
        grace: None,
        entries: Vec::new(),
    };
    teller.run(own)
}

struct MeterContext<'q, 'a> {
    question: &'q ExplainRequest<'a>,
    /// The best word of another fact about whose the customer is.
    neighbour: Option<(Claim, &'a Fact)>,
    /// How many seconds stay undecided, with all facts known.
    undecided: u32,
    so_far: Vec<&'a Fact>,
    /// Those of `so_far` that are of the present second.
    second: Vec<&'a Fact>,
    /// The state before the present second.
    settled: Subscription,
    /// The state after `so_far`.
    state: Subscription,
    now: Seconds,
    link: Option<Claim>,
    ever_theirs: bool,
    /// The grace that was told to run.
    grace: Option<Grace>,
    entries: Vec<HistoryEntry>,
}

impl<'a> MeterContext<'_, 'a> {
    fn run(mut self, own: &[&'a Fact]) -> Life {
        let ordered = in_order(own.iter().copied(), None);
        self.undecided = ordered.undecided;
        let twins: Vec<&Fact> = own
            .iter()
            .copied()
            .filter(|f| matches!(f.body, FactBody::Subscription(_)))
            .filter(|f| !ordered.facts.iter().any(|o| o.event_id == f.event_id))
            .collect();
        for fact in ordered.facts {
            self.time_passes(fact.created);
            self.take(fact);
            for twin in twins.iter().filter(|t| are_twins(fact, t)) {
                let words = format!("changes nothing: twin of {}", fact.event_id);
                self.entries.push(self.entry(twin, vec![ChangeKind::Nothing.is(words)]));
            }
        }
        self.time_passes(self.question.at);
        Life {
            end: self.state,
            user: self.link.map(|c| c.user),
            ever_theirs: self.ever_theirs,
            entries: self.entries,
        }
    }

    /// What happens up to `until` without a fact of the subscription: a grace is
    /// over, or the customer's user becomes known.
    fn time_passes(&mut self, until: Seconds) {
        if self.so_far.is_empty() {
            return;
        }
        let mut between = Vec::new();
        if let Some((claim, fact)) = self.neighbour.clone()
            && fact.created > self.now
            && fact.created <= until
            && self.state.claim.is_none()
            && self.link.is_none()
        {
            let told = self.link_to(Some(claim));
            between.push(self.entry(fact, told.into_iter().collect()));
        }
        if let Some(grace) = self.grace.take_if(|g| g.until <= until) {
            let old = &grace.plan.tier;
            let new = gives(&self.state, grace.until, self.question.free_tier);
            between.push(HistoryEntry {
                at: Moment(grace.until),
                event: None,
                event_type: None,
                detail: Some("the period that was paid for has ended".to_owned()),
                changes: vec![
                    ChangeKind::GraceEnded.is(format!("grace of {old} is over: its time has come")),
                    ChangeKind::Access.is(format!("gives {new} (before: {old})")),
                ],
                access_tier: Some(new.to_owned()),
            });
        }
        between.sort_by_key(|e| e.at);
        self.entries.append(&mut between);
    }

    fn take(&mut self, fact: &'a Fact) {
        if self.second.first().is_some_and(|f| f.created != fact.created) {
            self.settled = self.state.clone();
            self.second.clear();
        }
        self.second.push(fact);
        let was_known = self.so_far.iter().any(|f| repeats(f, fact));
        self.so_far.push(fact);
        self.now = self.now.max(fact.created);
        let advanced = self.settled.advance(&self.second);
        let after = advanced.unwrap_or_else(|| Subscription::refold(self.state.id.clone(), &self.so_far));
        let step = Transition {
            fact,
            before: &self.state,
            after: &after,
            free_tier: self.question.free_tier,
        };
        let (mut changes, gives) = (step.changes(), step.gives().map(str::to_owned));
        if self.undecided > 0 && after.undecided > self.state.undecided {
            let words = "no evidence orders the changes of this second: the event ids decide";
            changes.push(ChangeKind::Undecided.is(words));
        }
        let neighbour = self.neighbour.as_ref().filter(|(_, f)| f.created <= self.now);
        let claim = after
            .claim
            .clone()
            .or_else(|| neighbour.map(|(claim, _)| claim.clone()));
        changes.extend(self.link_to(claim));
        if changes.is_empty() {
            changes.push(ChangeKind::Nothing.is(self.nothing(fact, was_known)));
        }
        self.entries.push(HistoryEntry {
            access_tier: gives,
            ..self.entry(fact, changes)
        });
        self.grace = after.grace.clone().filter(|g| g.until > self.now);
        self.state = after;
    }

    fn link_to(&mut self, claim: Option<Claim>) -> Option<ChangeNote> {
        let change = linked(self.link.as_ref(), claim.as_ref());
        self.ever_theirs |= claim.as_ref().is_some_and(|c| c.user == *self.question.user);
        self.link = claim;
        change
    }

    /// Why a fact changes nothing.
    fn nothing(&self, fact: &Fact, was_known: bool) -> String {
        let shown = |state: &Subscription, said: &FactBody| match said {
            FactBody::Subscription(s) => state.latest.as_ref().is_some_and(|latest| latest.shows_same(&s.now)),
            _ => false,
        };
        let why = match &fact.body {
            FactBody::Subscription(_) if self.state.ended => ": it is told after the end",
            said if was_known || shown(&self.state, said) => ": it repeats what was known",
            _ => " by itself",
        };
        format!("changes nothing{why}")
    }

    fn entry(&self, fact: &Fact, changes: Vec<ChangeNote>) -> HistoryEntry {
        self.question.entry(fact, tells(fact), changes)
    }
}

/// Whether two facts tell the same of the same object, but for a snapshot.
fn repeats(known: &Fact, fact: &Fact) -> bool {
    match (&known.body, &fact.body) {
        (FactBody::Invoice(a), FactBody::Invoice(b)) => (&a.invoice, a.step) == (&b.invoice, b.step),
        (FactBody::InvoiceItem(a), FactBody::InvoiceItem(b)) => a.item == b.item,
        (FactBody::Session(a), FactBody::Session(b)) => (&a.session, a.step) == (&b.session, b.step),
        _ => false,
    }
}

/// Whether two snapshots are of one change, as the order of facts sees it.
fn are_twins(stands: &Fact, twin: &Fact) -> bool {
    match (&stands.body, &twin.body) {
        (FactBody::Subscription(a), FactBody::Subscription(b)) if stands.created == twin.created => match b.prints {
            Some(_) => (a.phase, a.prints, &a.request) == (b.phase, b.prints, &b.request),
            None => a == b,
        },
        _ => false,
    }
}

#[cfg(test)]
#[path = "history_tests.rs"]
mod tests;
