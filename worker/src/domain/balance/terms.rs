//! What a user was included in over time: the limits of the subscription that
//! counted, second by second.

use super::waterfall::{Limit, Limits};
use crate::domain::{
    fact::{Fact, FactBody, Period, Seconds},
    ids::SubscriptionId,
    subscription::{
        order::in_order,
        state::{BaseState, Subscription},
    },
};
use std::collections::BTreeMap;

/// The period of a subscription in which use is counted from zero.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Window {
    /// Of which subscription.
    pub subscription: SubscriptionId,
    /// Its first second.
    pub start: Seconds,
}

/// What one subscription gives from a moment on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// Its first second.
    pub since: Seconds,
    /// Of which subscription.
    pub subscription: SubscriptionId,
    /// The billing period that it lies in.
    pub period: Period,
    /// Whether the subscription gives access.
    pub entitled: bool,
    /// Whether it is a trial, which nobody pays for.
    pub trial: bool,
    /// The rank of the plan that counts.
    pub rank: i32,
    /// The subscription's own `created`.
    pub subscribed_at: Seconds,
    /// By meter; a meter that is not there is not included.
    pub limits: BTreeMap<String, Limits>,
    /// The most that rollover may hold, by meter.
    pub caps: BTreeMap<String, i64>,
}

impl Term {
    /// The period in which use is counted.
    #[must_use]
    pub fn window(&self) -> Window {
        Window {
            subscription: self.subscription.clone(),
            start: self.period.start,
        }
    }

    /// What it includes of a meter.
    #[must_use]
    pub fn of(&self, meter: &str) -> Limits {
        self.limits.get(meter).copied().unwrap_or(Limits::NONE)
    }

    /// As a subscription stands; none before its plan and period are known.
    /// `grace_began_in`: the first second of the period in which its grace began.
    fn of_state(state: &Subscription, at: Seconds, grace_began_in: Option<Seconds>) -> Option<Self> {
        // Not what a failed upgrade shows: neither its plan nor its period.
        let (BaseState { plan, period, status }, latest) = (state.base_state()?, state.latest.as_ref()?);
        let entitled = state.entitled();
        // A period that begins during a grace has its own tier's limits.
        let grace = state.grace.as_ref().filter(|_| grace_began_in == Some(period.start));
        let limits = |(meter, own): (&String, &Limit)| {
            let lent = grace.and_then(|g| Some((*g.plan.limits.get(meter)?, g.until)));
            let limits = Limits {
                own: *own,
                lifted: lent.filter(|(lent, _)| is_higher(*lent, *own)),
            };
            (meter.clone(), if entitled { limits } else { Limits::NONE })
        };
        Some(Self {
            // What changes lies in the period it shows; what ends may be told after it.
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

    /// Which of two subscriptions counts: an entitled one before any other,
    /// then the higher plan, then the one created last.
    fn precedence(&self) -> (bool, i32, Seconds, &SubscriptionId) {
        (self.entitled, self.rank, self.subscribed_at, &self.subscription)
    }

    fn gives_the_same(&self, other: &Self) -> bool {
        let since = self.since;
        *self == Self { since, ..other.clone() }
    }
}

/// The state that an event says it changed.
fn before(id: &SubscriptionId, fact: &Fact) -> Option<Subscription> {
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

fn is_higher(a: Limit, b: Limit) -> bool {
    b.is_some_and(|b| a.is_none_or(|a| a > b))
}

/// What a subscription gave over its life, given all its facts.
#[must_use]
pub fn of_subscription(id: &SubscriptionId, facts: &[&Fact]) -> Vec<Term> {
    let mut terms: Vec<Term> = Vec::new();
    let mut grace_began_in = None;
    let mut last = Subscription::unknown(id.clone());
    let ordered = in_order(facts.iter().copied(), None);
    let mut told = ordered.facts.iter();
    Subscription::fold_with(id.clone(), &ordered, |at, state| {
        let before = told.next().and_then(|fact| before(id, fact));
        let since = |state: &Subscription| state.grace.as_ref().map(|g| g.since);
        if since(state) != since(&last) {
            let changed = before.as_ref().filter(|_| last.suspended.is_none()).unwrap_or(&last);
            grace_began_in = since(state).and(changed.base_state()).map(|c| c.period.start);
        }
        let unpaid = last.latest.as_ref().is_some_and(|l| l.status == "incomplete");
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
        if let Some(last) = terms.last() {
            // A new period begins when it says; what changes within one, when it is told.
            // The first payment is for all of its period.
            if term.period.start != last.period.start || unpaid && term.entitled {
                term.since = term.period.start;
            }
            term.since = term.since.max(last.since);
            if term.gives_the_same(last) {
                return;
            }
            if term.since == last.since {
                terms.pop();
            }
        } else {
            term.since = term.period.start;
        }
        terms.push(term);
    });
    terms
}

/// What a user had over time, of all their subscriptions: at each moment the
/// one that counts. Sorted by `since`.
#[must_use]
pub fn of_user(subscriptions: &[Vec<Term>]) -> Vec<Term> {
    let mut cuts: Vec<Seconds> = subscriptions.iter().flatten().map(|t| t.since).collect();
    cuts.sort_unstable();
    cuts.dedup();
    let mut terms: Vec<Term> = Vec::new();
    for cut in cuts {
        let at = |terms: &'_ Vec<Term>| terms.iter().rev().find(|t| t.since <= cut).cloned();
        let known: Vec<Term> = subscriptions.iter().filter_map(at).collect();
        let Some(counts) = known.into_iter().max_by(|a, b| a.precedence().cmp(&b.precedence())) else {
            continue;
        };
        if terms.last().is_none_or(|last| !counts.gives_the_same(last)) {
            terms.push(Term { since: cut, ..counts });
        }
    }
    terms
}

#[cfg(test)]
#[path = "terms_tests.rs"]
mod tests;
