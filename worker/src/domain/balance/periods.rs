//! The billing periods of a subscription: what each of them sold, whether it was paid, and
//! how it ended.
//!
//! Example: a year of Plus, from 1 January. It sells 120M tokens. Until its invoice is known to be
//! paid, it has the 10M of a month.

use super::{
    ownership::OwnedSpan,
    period_limit::{LimitPart, PeriodLimit, counts_from, seconds_of, weighted},
    stages::Stage,
    waterfall::UnitLimit,
};
use crate::domain::{
    fact::{Period, Plan, Seconds},
    subscription::billed::BilledInvoice,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

/// A billing period of a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a separate fact about the period")]
pub struct SoldPeriod {
    /// The period, with its latest known end.
    pub period: Period,
    /// The places of its stages in the list of all stages.
    pub stages: Range<usize>,
    /// Whether it began when a period before it ended. Otherwise it is the first one, or a
    /// change began it.
    pub renews: bool,
    /// Whether the period before it was a trial at its end.
    pub follows_trial: bool,
    /// Whether any invoice of it is known.
    pub billed: bool,
    /// When its invoice was paid.
    pub paid_at: Option<Seconds>,
    /// Whether all of that money went back to the customer.
    pub returned: bool,
}

/// The periods of a subscription, in the order of their stages.
#[must_use]
pub fn of_subscription(stages: &[Stage], invoices: &[BilledInvoice]) -> Vec<SoldPeriod> {
    let mut periods: Vec<SoldPeriod> = Vec::new();
    let mut place = 0;
    for group in stages.chunk_by(|a, b| a.period.start == b.period.start) {
        let range = place..place + group.len();
        let before = place.checked_sub(1).map(|last| &stages[last]);
        place = range.end;
        let Some(last) = group.last() else { continue };
        let start = last.period.start;
        let own = || invoices.iter().filter(|i| i.pays_for.is_some_and(|p| p.start == start));
        let paid: Vec<&BilledInvoice> = own().filter(|i| i.paid_at.is_some()).collect();
        periods.push(SoldPeriod {
            period: last.period,
            stages: range,
            renews: before.is_some_and(|b| b.period.end <= start),
            follows_trial: before.is_some_and(|b| b.trial && b.entitled),
            billed: own().next().is_some(),
            paid_at: paid.iter().filter_map(|i| i.paid_at).min(),
            returned: !paid.is_empty() && paid.iter().all(|i| i.returned_at.is_some()),
        });
    }
    periods
}

impl SoldPeriod {
    /// Whether its invoice is known to be paid at a moment.
    #[must_use]
    pub fn is_paid_at(&self, at: Seconds) -> bool {
        self.paid_at.is_some_and(|paid| paid <= at)
    }

    /// Whether something of it may be left for later: it was paid and the money was kept. If
    /// no invoice of it is known, a period that began with a renewal was not paid; any
    /// other one was.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        let paid = self.paid_at.is_some() || !self.billed && !self.renews;
        paid && !self.returned
    }

    /// The moments at which its limits change: the beginnings of its stages, and its payment
    /// if that lies between `since` and `until`.
    pub(super) fn moments(&self, stages: &[Stage], until: Seconds) -> BTreeSet<Seconds> {
        let since = stages.first().map_or(until, |s| s.since);
        let paid = self.paid_at.filter(|at| (since..until).contains(at));
        stages.iter().map(|s| s.since).chain(paid).collect()
    }
}

/// The limits of a period by meter, as known at the moment `at`, for a user who had the
/// subscription in a span of time. `known` are its stages up to then; the last one lasts to
/// the period's end.
#[must_use]
pub fn limits(
    period: &SoldPeriod,
    known: &[Stage],
    at: Seconds,
    span: &OwnedSpan<'_>,
) -> BTreeMap<String, PeriodLimit> {
    let until = known.last().map_or(at, |s| s.period.end);
    PeriodParts::of(period, known, until, span).limits(period.is_paid_at(at), period.paid_at.is_some())
}

/// The units that a period sold until `until` to a user who had the subscription in a span of
/// time, by meter. Those of a trial were sold only if `trial_counts`.
#[must_use]
pub fn units_until(
    period: &SoldPeriod,
    stages: &[Stage],
    until: Seconds,
    span: &OwnedSpan<'_>,
    trial_counts: bool,
) -> BTreeMap<String, UnitLimit> {
    let (parts, paid) = (PeriodParts::of(period, stages, until, span), period.paid_at.is_some());
    let units = |meter: &String| parts.weighted(meter, paid, trial_counts).1;
    parts.meters().into_iter().map(|m| (m.clone(), units(m))).collect()
}

/// The parts of a period, and the seconds by which they are weighted.
struct PeriodParts<'a> {
    stages: &'a [Stage],
    /// The length of each stage's part.
    lengths: Vec<Seconds>,
    seconds: Seconds,
}

impl<'a> PeriodParts<'a> {
    /// The parts of these stages that lie in a span of time, the last of which lasts until
    /// `until`.
    fn of(period: &SoldPeriod, stages: &'a [Stage], until: Seconds, span: &OwnedSpan<'_>) -> Self {
        let shown = stages.last().map_or(period.period, |s| s.period);
        let begin = span.counts_from(shown);
        let until = until.max(begin);
        let from = |stage: &Stage| counts_from(stage.since, shown).clamp(begin, until);
        let ends = stages.iter().skip(1).map(from).chain([until]);
        let trial = stages.last().is_some_and(|s| s.trial);
        let interval = stages.first().and_then(|s| s.plan.interval);
        let is_first = !period.renews || period.follows_trial;
        Self {
            stages,
            lengths: stages.iter().zip(ends).map(|(s, end)| end - from(s)).collect(),
            // A trial has its limits whatever its length.
            seconds: seconds_of(shown, interval, is_first && !trial),
        }
    }

    /// The limits by meter, before or after the payment (`paid_now`). The allowance is
    /// that of a period which is paid sooner or later (`paid_ever`).
    fn limits(&self, paid_now: bool, paid_ever: bool) -> BTreeMap<String, PeriodLimit> {
        let Some(last) = self.stages.last() else {
            return BTreeMap::new();
        };
        let of_meter = |meter: &String| {
            let (parts, sold) = self.weighted(meter, paid_now, last.trial);
            let limit = if !last.entitled {
                Some(0)
            } else if last.plan.unprorated.contains(meter) {
                self.limit_in_force(last, meter, paid_now)
            } else {
                sold
            };
            PeriodLimit {
                limit,
                // Nobody paid for a trial.
                allowance: self.weighted(meter, paid_ever, false).1,
                parts,
                seconds: self.seconds,
            }
        };
        self.meters().into_iter().map(|m| (m.clone(), of_meter(m))).collect()
    }

    /// The meters that its plans name.
    fn meters(&self) -> BTreeSet<&'a String> {
        let plans = self.stages.iter().flat_map(|s| s.kept.iter().chain([&s.plan]));
        plans.flat_map(|p| p.limits.keys()).collect()
    }

    fn weighted(&self, meter: &str, paid: bool, trial_counts: bool) -> (Vec<LimitPart>, UnitLimit) {
        let mut parts: Vec<LimitPart> = Vec::new();
        let lengths = self.stages.iter().zip(&self.lengths);
        for (stage, seconds) in lengths.filter(|(_, seconds)| **seconds > 0) {
            let limit = if stage.trial && !trial_counts {
                Some(0)
            } else {
                self.limit_in_force(stage, meter, paid)
            };
            match parts.last_mut().filter(|last| last.limit == limit) {
                Some(last) => last.seconds += seconds,
                None => parts.push(LimitPart {
                    limit,
                    seconds: *seconds,
                }),
            }
        }
        // A part of no length sold nothing; but an unlimited meter only counts.
        let last = self.stages.last().filter(|_| parts.is_empty());
        let limit = if last.is_some_and(|last| self.limit_in_force(last, meter, paid).is_none()) {
            None
        } else {
            weighted(&parts, self.seconds)
        };
        (parts, limit)
    }

    /// The limit that a stage sells by itself. Until its period is paid, no more than a month's.
    fn limit_in_force(&self, stage: &Stage, meter: &str, paid: bool) -> UnitLimit {
        if !stage.entitled {
            return Some(0);
        }
        let of_plan = |plan: &Plan| {
            let plan = self.as_sold(plan);
            let of = |limits: &BTreeMap<String, UnitLimit>| limits.get(meter).copied().unwrap_or(Some(0));
            if stage.trial {
                of(plan.trial_limits())
            } else if paid {
                of(&plan.limits)
            } else {
                lower(of(&plan.limits), of(plan.month_limits()))
            }
        };
        let own = of_plan(&stage.plan);
        stage.kept.as_ref().map_or(own, |kept| higher(own, of_plan(kept)))
    }

    /// The plan with the limits of the latest catalog that raised them in this period.
    fn as_sold<'p>(&'p self, plan: &'p Plan) -> &'p Plan {
        let is_same = |p: &&Plan| p.price == plan.price && p.quantity == plan.quantity;
        let mut known = self
            .stages
            .iter()
            .rev()
            .flat_map(|s| s.raised.iter().rev().chain([&s.plan]));
        known.find(is_same).unwrap_or(plan)
    }
}

fn higher(a: UnitLimit, b: UnitLimit) -> UnitLimit {
    Some(a?.max(b?))
}

fn lower(a: UnitLimit, b: UnitLimit) -> UnitLimit {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
