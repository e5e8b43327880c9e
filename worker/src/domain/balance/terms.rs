//! Terms: which limits a user had over time, and from which subscription.
//!
//! Example: Basic (5M tokens a month) begins on 1 April and becomes Max (15M) on 11
//! April. That is two terms with one counting period: 5M from 1 April, and from 11 April
//! (5M * 10 + 15M * 20) / 30 = 11,666,666; earlier usage counts against that too. On 1 May
//! a new counting period begins with the limit of 15M.
//!
//! If a user has several subscriptions, one of them counts at each moment: an
//! entitled one first, then the highest plan, then one that is not canceled at its end,
//! then the newest.

use super::{
    ownership::OwnedSpan,
    period_limit::PeriodLimit,
    periods::{self, SoldPeriod},
    stages::Stage,
    waterfall::MeterLimits,
};
use crate::domain::{
    fact::{Period, Seconds},
    ids::SubscriptionId,
};
use std::collections::{BTreeMap, BTreeSet};

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
#[expect(clippy::struct_excessive_bools, reason = "each is a separate fact about the term")]
pub struct Term {
    /// The first second of the term.
    pub since: Seconds,
    /// The subscription.
    pub subscription: SubscriptionId,
    /// The billing period that the term is part of.
    pub period: Period,
    /// The first second that the counter counts usage from. It is that of the trial while the
    /// first period after a trial is not paid, else the period's own, or that of a hand-over
    /// to the user within the period.
    pub counted_from: Seconds,
    /// Whether the subscription gives access.
    pub entitled: bool,
    /// Whether it is a trial. Nothing of a trial rolls over, as nobody paid for it.
    pub trial: bool,
    /// Whether a cancellation is scheduled.
    pub canceling: bool,
    /// The rank of the plan that counts.
    pub rank: i32,
    /// The subscription's own `created`.
    pub subscribed_at: Seconds,
    /// The first second after an end of which no event told. From then on nothing is included.
    pub ends_at: Option<Seconds>,
    /// Whether it begins when the user hands the subscription over. From then on it gives them
    /// nothing, and any other subscription of theirs counts.
    pub handed_over: bool,
    /// The limits by meter. A meter that is missing here is not included.
    pub limits: BTreeMap<String, PeriodLimit>,
    /// The caps of rollover by meter, in units. A meter that is missing here never rolls over.
    pub caps: BTreeMap<String, i64>,
}

impl Term {
    /// The period in which usage is counted.
    #[must_use]
    pub fn window(&self) -> Window {
        Window {
            subscription: self.subscription.clone(),
            start: self.counted_from,
        }
    }

    /// The limit of a meter.
    #[must_use]
    pub fn limits_of(&self, meter: &str) -> MeterLimits {
        MeterLimits {
            own: self.limits.get(meter).map_or(Some(0), |l| l.limit),
            ends_at: self.ends_at,
        }
    }

    /// The order in which subscriptions count at a moment; the greatest one does.
    fn precedence(&self, at: Seconds) -> (bool, bool, i32, bool, Seconds, &SubscriptionId) {
        let entitled = self.entitled && self.ends_at.is_none_or(|end| at < end);
        // Without access no plan is better than another.
        let rank = if entitled { self.rank } else { i32::MIN };
        let stays = entitled && !self.canceling;
        let is_theirs = !self.handed_over;
        (is_theirs, entitled, rank, stays, self.subscribed_at, &self.subscription)
    }

    /// Whether both terms differ at most in their first second.
    pub(super) fn gives_the_same(&self, other: &Self) -> bool {
        let since = self.since;
        *self == Self { since, ..other.clone() }
    }
}

/// The terms of one subscription for a user who had it in a span of time, from its stages and
/// periods; sorted by `since`.
#[must_use]
pub fn of_subscription(
    id: &SubscriptionId,
    stages: &[Stage],
    periods: &[SoldPeriod],
    span: &OwnedSpan<'_>,
) -> Vec<Term> {
    let mut terms: Vec<Term> = Vec::new();
    for period in periods {
        let until = stages.get(period.stages.end).map_or(Seconds::MAX, |next| next.since);
        if until <= span.since {
            continue;
        }
        let stages = &stages[period.stages.clone()];
        // The terms of a trial before this period are already there.
        let before = terms.last().filter(|_| period.follows_trial).cloned();
        let moments = period.moments(stages, until).into_iter();
        let moments: BTreeSet<Seconds> = moments
            .map(|at| at.max(span.since))
            .filter(|at| *at < span.end())
            .collect();
        for at in moments {
            let known = &stages[..stages.partition_point(|s| s.since <= at)];
            let Some(stage) = known.last() else { continue };
            let mut counted_from = period.period.start.max(span.since);
            let mut limits = periods::limits(period, known, at, span);
            if period.follows_trial && !period.is_paid_at(at) {
                let trial = before.as_ref();
                counted_from = trial.map_or(counted_from, |t| t.counted_from);
                match trial {
                    Some(trial) if stage.entitled => limits.clone_from(&trial.limits),
                    Some(_) => {}
                    None => limits = with_nothing_left(limits),
                }
            }
            let term = Term {
                since: at,
                subscription: id.clone(),
                period: stage.period,
                counted_from,
                entitled: stage.entitled,
                trial: stage.trial,
                canceling: stage.canceling,
                rank: stage.plan.rank,
                subscribed_at: stage.subscribed_at,
                ends_at: stage.ends_at,
                handed_over: false,
                limits,
                caps: stage.plan.caps.clone(),
            };
            if terms.last().is_none_or(|last| !term.gives_the_same(last)) {
                terms.push(term);
            }
        }
    }
    if let Some(last) = terms.last().filter(|_| span.handed_over.is_some()) {
        let nothing = Term {
            since: span.end(),
            entitled: false,
            canceling: false,
            ends_at: None,
            handed_over: true,
            limits: BTreeMap::new(),
            ..last.clone()
        };
        terms.push(nothing);
    }
    terms
}

/// The limits of the first period after a trial, until it is paid, for a user who did not have
/// the trial: nothing of it is left for them.
fn with_nothing_left(mut limits: BTreeMap<String, PeriodLimit>) -> BTreeMap<String, PeriodLimit> {
    for limit in limits.values_mut() {
        limit.limit = limit.limit.map(|_| 0);
    }
    limits
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
        let best = running
            .into_iter()
            .max_by(|a, b| a.precedence(start).cmp(&b.precedence(start)));
        let Some(counts) = best else { continue };
        if terms.last().is_none_or(|last| !counts.gives_the_same(last)) {
            terms.push(Term { since: start, ..counts });
        }
    }
    terms
}

#[cfg(test)]
#[path = "terms_tests.rs"]
mod tests;
