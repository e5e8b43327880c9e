//! One subscription's history, fact by fact: it is folded up to each fact, and
//! each state is compared with the state before it.

use super::{
    changes::{gives, linked},
    explanation::{ExplainRequest, HistoryEntry},
    transition::{ChangeKind, ChangeNote, Transition},
    words::detail,
};
use crate::domain::{
    fact::{Fact, FactBody, Seconds},
    ids::{SubscriptionId, UserId},
    moment::Moment,
    subscription::{
        grace::Grace,
        link::{self, OwnerClaim},
        order::in_order,
        state::Subscription,
    },
};

/// A subscription's history, and the state at its end.
#[derive(Debug)]
pub(super) struct FoldedHistory {
    /// The state at the end.
    pub(super) end: Subscription,
    /// The user that it is linked to at the end.
    pub(super) user: Option<UserId>,
    /// Whether it was linked to the explained user at any time.
    pub(super) was_theirs: bool,
    /// What happened, in order.
    pub(super) entries: Vec<HistoryEntry>,
}

/// The history of a subscription. `own` are the facts about it, `others` are the
/// other facts of its account. The best claim among `others` names the customer's user.
pub(super) fn of_subscription<'a>(
    id: &SubscriptionId,
    own: &[&'a Fact],
    others: &[&'a Fact],
    request: &ExplainRequest<'a>,
) -> FoldedHistory {
    let named_by = |claim: OwnerClaim| {
        let fact = others.iter().find(|f| f.event_id == claim.event_id)?;
        Some((claim, *fact))
    };
    let builder = HistoryBuilder {
        request,
        customer_claim: link::customer_owner(others).and_then(named_by),
        undecided: 0,
        so_far: Vec::new(),
        second: Vec::new(),
        before_second: Subscription::unknown(id.clone()),
        state: Subscription::unknown(id.clone()),
        now: Seconds::MIN,
        link: None,
        was_theirs: false,
        grace: None,
        untold_end: None,
        entries: Vec::new(),
    };
    builder.run(own)
}

struct HistoryBuilder<'q, 'a> {
    request: &'q ExplainRequest<'a>,
    /// The best claim of another fact that names the customer's user.
    customer_claim: Option<(OwnerClaim, &'a Fact)>,
    /// How many seconds have changes of unknown order, once all facts are known.
    undecided: u32,
    so_far: Vec<&'a Fact>,
    /// The facts of `so_far` that are of the latest second.
    second: Vec<&'a Fact>,
    /// The state before the latest second.
    before_second: Subscription,
    /// The state after `so_far`.
    state: Subscription,
    now: Seconds,
    link: Option<OwnerClaim>,
    was_theirs: bool,
    /// The grace that runs, and whose end is not in `entries` yet.
    grace: Option<Grace>,
    /// A scheduled end that counts by its time if no event tells of it, and that is not in
    /// `entries` yet.
    untold_end: Option<Seconds>,
    entries: Vec<HistoryEntry>,
}

impl<'a> HistoryBuilder<'_, 'a> {
    fn run(mut self, own: &[&'a Fact]) -> FoldedHistory {
        let ordered = in_order(own.iter().copied(), None);
        self.undecided = ordered.undecided;
        let repeated: Vec<&Fact> = own
            .iter()
            .copied()
            .filter(|f| matches!(f.body, FactBody::Subscription(_)))
            .filter(|f| !ordered.facts.iter().any(|o| o.event_id == f.event_id))
            .collect();
        for fact in ordered.facts {
            self.time_passes(fact.created);
            self.take(fact);
            for twin in repeated.iter().filter(|t| are_twins(fact, t)) {
                let words = format!("changes nothing: repeats event {}", fact.event_id);
                self.entries
                    .push(self.entry(twin, vec![ChangeKind::Nothing.note(words)]));
            }
        }
        self.time_passes(self.request.at);
        FoldedHistory {
            end: self.state,
            user: self.link.map(|c| c.user),
            was_theirs: self.was_theirs,
            entries: self.entries,
        }
    }

    /// What happens up to `until` without a fact of the subscription: a grace
    /// ends, or another fact names the customer's user.
    fn time_passes(&mut self, until: Seconds) {
        if self.so_far.is_empty() {
            return;
        }
        let mut between = Vec::new();
        if let Some((claim, fact)) = self.customer_claim.clone()
            && fact.created > self.now
            && fact.created <= until
            && self.state.claim.is_none()
            && self.link.is_none()
        {
            let change = self.link_to(Some(claim));
            between.push(self.entry(fact, change.into_iter().collect()));
        }
        if let Some(end) = self.untold_end.take_if(|end| *end <= until) {
            between.push(self.untold_end(end));
            // A grace ends with the access.
            self.grace.take_if(|g| g.until >= end);
        }
        if let Some(grace) = self.grace.take_if(|g| g.until <= until) {
            let old = &grace.plan.tier;
            let new = gives(&self.state, grace.until, self.request.free_tier);
            between.push(HistoryEntry {
                at: Moment(grace.until),
                event: None,
                event_type: None,
                detail: Some("no event: the paid period has ended".to_owned()),
                changes: vec![
                    ChangeKind::GraceEnded.note(format!("grace of {old} is over")),
                    ChangeKind::Access.note(format!("gives {new} (before: {old})")),
                ],
                access_tier: Some(new.to_owned()),
            });
        }
        between.sort_by_key(|e| e.at);
        self.entries.append(&mut between);
    }

    /// The entry of a scheduled end that no event told of.
    fn untold_end(&self, at: Seconds) -> HistoryEntry {
        let (free, old) = (
            self.request.free_tier,
            gives(&self.state, at - 1, self.request.free_tier),
        );
        let access = (old != free).then(|| ChangeKind::Access.note(format!("gives {free} (before: {old})")));
        HistoryEntry {
            at: Moment(at),
            event: None,
            event_type: None,
            detail: Some("no event: its scheduled end has passed by an hour".to_owned()),
            changes: vec![ChangeKind::UntoldEnd.note("it counts as ended, although no event says so")]
                .into_iter()
                .chain(access)
                .collect(),
            access_tier: Some(free.to_owned()),
        }
    }

    fn take(&mut self, fact: &'a Fact) {
        if self.second.first().is_some_and(|f| f.created != fact.created) {
            self.before_second = self.state.clone();
            self.second.clear();
        }
        self.second.push(fact);
        let was_known = self.so_far.iter().any(|f| repeats(f, fact));
        self.so_far.push(fact);
        self.now = self.now.max(fact.created);
        // Once money of a payment was returned, only all facts together say what is paid.
        let may_advance = !self.so_far.iter().any(|f| f.body.returns_money());
        let advanced = self.before_second.advance(&self.second).filter(|_| may_advance);
        let after = advanced.unwrap_or_else(|| Subscription::refold(self.state.id.clone(), &self.so_far));
        let transition = Transition {
            fact,
            before: &self.state,
            after: &after,
            free_tier: self.request.free_tier,
        };
        let (mut changes, access_tier) = (transition.changes(), transition.gives().map(str::to_owned));
        if self.undecided > 0 && after.undecided > self.state.undecided {
            let words = "the order of the changes in this second is unknown: the event ids decide";
            changes.push(ChangeKind::Undecided.note(words));
        }
        let customer_claim = self.customer_claim.as_ref().filter(|(_, f)| f.created <= self.now);
        let claim = after
            .claim
            .clone()
            .or_else(|| customer_claim.map(|(claim, _)| claim.clone()));
        changes.extend(self.link_to(claim));
        if changes.is_empty() {
            changes.push(ChangeKind::Nothing.note(self.no_change(fact, was_known)));
        }
        self.entries.push(HistoryEntry {
            access_tier,
            ..self.entry(fact, changes)
        });
        self.grace = after.grace.clone().filter(|g| g.until > self.now);
        self.untold_end = after.ends_untold_at().filter(|end| *end > self.now);
        self.state = after;
    }

    fn link_to(&mut self, claim: Option<OwnerClaim>) -> Option<ChangeNote> {
        let change = linked(self.link.as_ref(), claim.as_ref());
        self.was_theirs |= claim.as_ref().is_some_and(|c| c.user == *self.request.user);
        self.link = claim;
        change
    }

    /// Why a fact changes nothing.
    fn no_change(&self, fact: &Fact, was_known: bool) -> String {
        let shows_same = match &fact.body {
            FactBody::Subscription(s) => self
                .state
                .latest
                .as_ref()
                .is_some_and(|latest| latest.shows_same(&s.now)),
            _ => false,
        };
        let why = match &fact.body {
            FactBody::Subscription(_) if self.state.ended => ": the subscription had ended before",
            _ if was_known || shows_same => ": this was known already",
            _ => " by itself",
        };
        format!("changes nothing{why}")
    }

    fn entry(&self, fact: &Fact, changes: Vec<ChangeNote>) -> HistoryEntry {
        self.request.entry(fact, detail(fact), changes)
    }
}

/// Whether two facts report the same step of the same object. Snapshots of
/// subscriptions are left out: [`are_twins`] compares them.
fn repeats(known: &Fact, fact: &Fact) -> bool {
    match (&known.body, &fact.body) {
        (FactBody::Invoice(a), FactBody::Invoice(b)) => (&a.invoice, a.step) == (&b.invoice, b.step),
        (FactBody::InvoiceItem(a), FactBody::InvoiceItem(b)) => a.item == b.item,
        (FactBody::Session(a), FactBody::Session(b)) => (&a.session, a.step) == (&b.session, b.step),
        _ => false,
    }
}

/// Whether two snapshots are of one change, by the same rule as the order of facts.
fn are_twins(known: &Fact, fact: &Fact) -> bool {
    match (&known.body, &fact.body) {
        (FactBody::Subscription(a), FactBody::Subscription(b)) if known.created == fact.created => match b.digests {
            Some(_) => (a.phase, a.digests, &a.request) == (b.phase, b.digests, &b.request),
            None => a == b,
        },
        _ => false,
    }
}

#[cfg(test)]
#[path = "history_tests.rs"]
mod tests;
