//! Terms: which limits a user had over time, and from which subscription.
//!
//! Example: Basic (5M tokens a month) begins on 1 March and becomes Max (15M) on
//! 11 March. That is two terms with one counting period: 5M from 1 March, 15M from
//! 11 March; earlier usage counts against the 15M too. On 21 March the plan
//! falls back to Basic. The third term has a limit of 5M of its own, and the grace
//! lifts it to 15M until the period ends. On 1 April a new counting period begins
//! with the limit of 5M.
//!
//! If a user has several subscriptions, one of them counts at each moment: an
//! entitled one first, then the highest plan, then the newest.

use super::waterfall::{MeterLimits, UnitLimit};
use crate::domain::{
    fact::{Fact, FactBody, Period, Seconds},
    ids::SubscriptionId,
    subscription::{
        order::in_order,
        state::{BaseState, Subscription},
    },
};
use std::collections::BTreeMap;

/// The period of a subscription in which usage is counted from zero.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Window {
    /// The subscription.
    pub subscription: SubscriptionId,
    /// The first second of the period.
    pub start: Seconds,
}

/// What one subscription gives from a moment on, until the next term begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// The first second of the term.
    pub since: Seconds,
    /// The subscription.
    pub subscription: SubscriptionId,
    /// The billing period that the term is part of.
    pub period: Period,
    /// Whether the subscription gives access.
    pub entitled: bool,
    /// Whether it is a trial. Nothing of a trial rolls over, as nobody paid for it.
    pub trial: bool,
    /// The rank of the plan that counts.
    pub rank: i32,
    /// The subscription's own `created`.
    pub subscribed_at: Seconds,
    /// The limits by meter. A meter that is missing here is not included.
    pub limits: BTreeMap<String, MeterLimits>,
    /// The caps of rollover by meter, in units. A meter that is missing here never rolls over.
    pub caps: BTreeMap<String, i64>,
}

impl Term {
    /// The period in which usage is counted.
    #[must_use]
    pub fn window(&self) -> Window {
        Window {
            subscription: self.subscription.clone(),
            start: self.period.start,
        }
    }

    /// The limits of a meter.
    #[must_use]
    pub fn limits_of(&self, meter: &str) -> MeterLimits {
        self.limits.get(meter).copied().unwrap_or(MeterLimits::NONE)
    }

    /// The term that a state of a subscription gives from `at` on; none before its
    /// plan and period are known. `grace_began_in` is the first second of the
    /// period in which the grace began.
    fn of_state(state: &Subscription, at: Seconds, grace_began_in: Option<Seconds>) -> Option<Self> {
        // `counts` leaves out a failed upgrade: neither its plan nor its period counts.
        let (BaseState { plan, period, status }, latest) = (state.base_state()?, state.latest.as_ref()?);
        let entitled = state.entitled();
        // A period that begins during a grace has the limits of its own tier.
        let grace = if grace_began_in == Some(period.start) {
            state.grace.as_ref()
        } else {
            None
        };
        let limits = |(meter, own): (&String, &UnitLimit)| {
            let lifted = grace.and_then(|g| Some((*g.plan.limits.get(meter)?, g.until)));
            let limits = MeterLimits {
                own: *own,
                lifted: lifted.filter(|(lifted, _)| is_higher(*lifted, *own)),
            };
            (meter.clone(), if entitled { limits } else { MeterLimits::NONE })
        };
        Some(Self {
            // A change lies within the period that it shows; an end may come after the period.
            since: if entitled { at.min(period.end - 1) } else { at }.max(period.start),
            subscription: state.id.clone(),
            period,
            entitled,
            trial: status == "trialing",
            rank: plan.rank,
            subscribed_at: latest.subscribed_at,
            limits: plan.limits.iter().map(limits).collect(),
            caps: plan.caps.clone(),
        })
    }

    /// The order in which subscriptions count; the greatest one does.
    fn precedence(&self) -> (bool, i32, Seconds, &SubscriptionId) {
        (self.entitled, self.rank, self.subscribed_at, &self.subscription)
    }

    /// Whether both terms differ at most in their first second.
    fn gives_the_same(&self, other: &Self) -> bool {
        let since = self.since;
        *self == Self { since, ..other.clone() }
    }
}

/// The state before an event, by the event's own `previous_attributes`.
fn state_before(id: &SubscriptionId, fact: &Fact) -> Option<Subscription> {
    let FactBody::Subscription(fact) = &fact.body else {
        return None;
    };
    let before = fact.before.as_ref()?;
    Some(Subscription {
        latest: Some(before.clone()),
        plan: before.plan.clone(),
        period: before.period,
        ..Subscription::unknown(id.clone())
    })
}

fn is_higher(a: UnitLimit, b: UnitLimit) -> bool {
    b.is_some_and(|b| a.is_none_or(|a| a > b))
}

/// The terms of one subscription, from all of its facts in any order; sorted by `since`.
#[must_use]
pub fn of_subscription(id: &SubscriptionId, facts: &[&Fact]) -> Vec<Term> {
    let mut terms: Vec<Term> = Vec::new();
    let mut grace_began_in = None;
    let mut last = Subscription::unknown(id.clone());
    let ordered = in_order(facts.iter().copied(), None);
    let mut folded_facts = ordered.facts.iter();
    Subscription::fold_with(id.clone(), &ordered, |at, state| {
        let before = folded_facts.next().and_then(|fact| state_before(id, fact));
        let grace_since = |state: &Subscription| state.grace.as_ref().map(|g| g.since);
        if grace_since(state) != grace_since(&last) {
            // A failed upgrade in between does not show what counted; the known state does.
            let changed = match &before {
                Some(before) if last.suspended.is_none() => before,
                _ => &last,
            };
            grace_began_in = grace_since(state).and(changed.base_state()).map(|c| c.period.start);
        }
        let was_incomplete = last.latest.as_ref().is_some_and(|l| l.status == "incomplete");
        last = state.clone();
        let Some(mut term) = Term::of_state(state, at, grace_began_in) else {
            return;
        };
        if terms.is_empty()
            && let Some(first) = before.and_then(|before| Term::of_state(&before, at, None))
        {
            let since = first.period.start;
            terms.push(Term { since, ..first });
        }
        let Some(previous) = terms.last() else {
            term.since = term.period.start;
            terms.push(term);
            return;
        };
        // A new period counts from its first second. A change within a period counts
        // from its event. The first payment covers the whole period.
        if term.period.start != previous.period.start || was_incomplete && term.entitled {
            term.since = term.period.start;
        }
        term.since = term.since.max(previous.since);
        if term.gives_the_same(previous) {
            return;
        }
        if term.since == previous.since {
            terms.pop();
        }
        terms.push(term);
    });
    terms
}

/// The terms of a user, from those of each of their subscriptions: at each moment
/// the term that counts. Sorted by `since`.
#[must_use]
pub fn of_user(subscriptions: &[Vec<Term>]) -> Vec<Term> {
    let mut starts: Vec<Seconds> = subscriptions.iter().flatten().map(|t| t.since).collect();
    starts.sort_unstable();
    starts.dedup();
    let mut terms: Vec<Term> = Vec::new();
    for start in starts {
        let at_start = |terms: &'_ Vec<Term>| terms.iter().rev().find(|t| t.since <= start).cloned();
        let running: Vec<Term> = subscriptions.iter().filter_map(at_start).collect();
        let Some(counts) = running.into_iter().max_by(|a, b| a.precedence().cmp(&b.precedence())) else {
            continue;
        };
        if terms.last().is_none_or(|last| !counts.gives_the_same(last)) {
            terms.push(Term { since: start, ..counts });
        }
    }
    terms
}

#[cfg(test)]
#[path = "terms_tests.rs"]
mod tests;
