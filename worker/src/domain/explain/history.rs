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
    ids::{EventId, SubscriptionId, UserId},
    moment::Moment,
    subscription::{
        grace::Grace,
        link::{self, NamedUser, OwnerClaim},
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
    /// The users that owned it one after the other; empty if it was never handed over.
    pub(super) owners: Vec<NamedUser>,
    /// Whether it was linked to the explained user at any time.
    pub(super) was_theirs: bool,
    /// What happened, in order; up to the hand-over, if it is another user's now.
    pub(super) entries: Vec<HistoryEntry>,
}

/// The history of a subscription. `own` are the facts about it, `others` are the
/// other facts of its account. The best claims among `others` name the customer's users.
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
    let customer_claims = link::customer_owner(others).map_or_else(Vec::new, OwnerClaim::over_time);
    let builder = HistoryBuilder {
        request,
        customer_claims: customer_claims.into_iter().filter_map(named_by).collect(),
        undecided: 0,
        so_far: Vec::new(),
        second: Vec::new(),
        before_second: Subscription::unknown(id.clone()),
        state: Subscription::unknown(id.clone()),
        now: Seconds::MIN,
        link: None,
        was_theirs: false,
        left_with: None,
        grace: None,
        untold_end: None,
        entries: Vec::new(),
    };
    builder.run(own)
}

struct HistoryBuilder<'q, 'a> {
    request: &'q ExplainRequest<'a>,
    /// The claims of other facts that name the customer's users, in order of time.
    customer_claims: Vec<(OwnerClaim, &'a Fact)>,
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
    /// The event that gave it from the explained user to another one.
    left_with: Option<EventId>,
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
        let is_last = |e: &HistoryEntry| e.event.is_some() && e.event == self.left_with;
        if let Some(last) = self.entries.iter().position(is_last) {
            self.entries.truncate(last + 1);
        }
        let (user, owners) = self.link.map(|c| (c.user, c.handed)).unzip();
        FoldedHistory {
            end: self.state,
            user,
            owners: owners.unwrap_or_default(),
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
        let is_between = |fact: &Fact| fact.created > self.now && fact.created <= until;
        let counts = self.state.claim.is_none();
        let claims = self.customer_claims.iter().filter(|(_, f)| counts && is_between(f));
        let claims: Vec<_> = claims.cloned().collect();
        for (claim, fact) in claims {
            if let Some(change) = self.link_to(Some(claim)) {
                between.push(self.entry(fact, vec![change]));
            }
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
        let of_customer = || {
            let mut known = self.customer_claims.iter().rev();
            known
                .find(|(_, f)| f.created <= self.now)
                .map(|(claim, _)| claim.clone())
        };
        let claim = after.claim.clone().or_else(of_customer);
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
        let user = self.request.user;
        let is_theirs = |c: &OwnerClaim| c.user == *user;
        let was_theirs = |c: &OwnerClaim| is_theirs(c) || c.handed.iter().any(|named| named.user == *user);
        if let Some(claim) = &claim {
            self.was_theirs |= was_theirs(claim);
            let had_it = self.link.as_ref().map_or_else(|| was_theirs(claim), is_theirs);
            if is_theirs(claim) {
                self.left_with = None;
            } else if had_it {
                self.left_with = Some(claim.event_id.clone());
            }
        }
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
