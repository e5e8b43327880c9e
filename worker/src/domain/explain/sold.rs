//! What each period of a user's subscriptions sold, for the words about limits.

use super::words::units;
use crate::domain::{
    balance::{
        periods::{self, SoldPeriod},
        stages::{self, Stage},
        terms::Term,
        timeline::Timeline,
        waterfall::UnitLimit,
    },
    fact::{Fact, Period, Plan},
    ids::SubscriptionId,
    moment::Moment,
    subscription::{account, billed},
};
use std::collections::{BTreeMap, BTreeSet};

/// The stages and periods of each subscription in a user's timeline.
#[derive(Debug, Default)]
pub(super) struct SoldHistory {
    subscriptions: BTreeMap<SubscriptionId, SoldSubscription>,
}

#[derive(Debug)]
struct SoldSubscription {
    stages: Vec<Stage>,
    periods: Vec<SoldPeriod>,
}

impl SoldHistory {
    /// The history of the subscriptions in a timeline, from the facts of that timeline.
    pub(super) fn of(timeline: &Timeline, facts: &[&Fact]) -> Self {
        let ids: BTreeSet<&SubscriptionId> = timeline.terms.iter().map(|t| &t.subscription).collect();
        let mut subscriptions = BTreeMap::new();
        for own in account::by_account(facts.iter().copied()).values() {
            let known = account::by_subscription(own).into_iter();
            for (id, own) in known.filter(|(id, _)| ids.contains(id)) {
                let stages = stages::of_subscription(id, &own);
                let periods = periods::of_subscription(&stages, &billed::of_subscription(id, &own));
                subscriptions.insert(id.clone(), SoldSubscription { stages, periods });
            }
        }
        Self { subscriptions }
    }

    /// A period of a subscription, or a part of it.
    pub(super) fn period(&self, subscription: &SubscriptionId, period: Period) -> Option<&SoldPeriod> {
        let mut periods = self.subscriptions.get(subscription)?.periods.iter().rev();
        // After a hand-over it may be only a part.
        periods.find(|p| (p.period.start..p.period.end).contains(&period.start))
    }

    /// Whether a period was a trial at its end.
    pub(super) fn was_trial(&self, subscription: &SubscriptionId, period: &SoldPeriod) -> bool {
        let stages = self
            .subscriptions
            .get(subscription)
            .map(|s| &s.stages[period.stages.clone()]);
        stages.and_then(<[Stage]>::last).is_some_and(|stage| stage.trial)
    }

    /// The stage with which a term begins.
    fn stage(&self, term: &Term, period: &SoldPeriod) -> Option<&Stage> {
        let stages = &self.subscriptions.get(&term.subscription)?.stages[period.stages.clone()];
        stages[..stages.partition_point(|s| s.since <= term.since)].last()
    }

    /// The rules that make the limit of a term, beyond the time at each limit. `is_new`: the
    /// term begins a period.
    pub(super) fn why(&self, term: &Term, meter: &str, is_new: bool) -> Vec<String> {
        let Some(period) = self.period(&term.subscription, term.period) else {
            return Vec::new();
        };
        let Some(stage) = self.stage(term, period) else {
            return Vec::new();
        };
        if term.handed_over {
            return vec!["the subscription was handed over".to_owned()];
        }
        if !stage.entitled {
            return vec!["the subscription gives no access".to_owned()];
        }
        let plan = &stage.plan;
        let mut why = Vec::new();
        if is_new && term.counted_from > term.period.start {
            let since = Moment(term.counted_from);
            why.push(format!("the subscription was handed over to this user at {since}"));
        }
        if stage.trial {
            why.extend(of_trial(plan, meter));
        } else if !period.is_paid_at(term.since) {
            why.extend(until_paid(term, period, plan, meter));
        } else if !is_new && period.paid_at == Some(term.since) {
            why.push("its invoice is paid".to_owned());
        }
        if let Some(kept) = &stage.kept
            && limit(&kept.limits, meter) != limit(&plan.limits, meter)
        {
            why.push(format!("the grace keeps the limit of {} in this period", kept.tier));
        }
        let parts = term.limits.get(meter).filter(|l| l.parts.len() > 1);
        if let Some(allowance) = parts
            .filter(|_| plan.unprorated.contains(meter))
            .and_then(|l| l.allowance)
        {
            let allowance = units(allowance);
            why.push(format!(
                "prorate = false: the limit in force counts in full; for rollover it is {allowance}"
            ));
        }
        if period.returned {
            why.push("the money of its invoice went back, so nothing of it rolls over".to_owned());
        }
        why
    }
}

fn limit(limits: &BTreeMap<String, UnitLimit>, meter: &str) -> UnitLimit {
    limits.get(meter).copied().unwrap_or(Some(0))
}

fn of_trial(plan: &Plan, meter: &str) -> Option<String> {
    let [trial, month, paid] = [plan.trial_limits(), plan.month_limits(), &plan.limits].map(|l| limit(l, meter));
    let words = if trial != month {
        "a trial has limits of its own"
    } else if month != paid {
        "a trial has the limits of a month"
    } else {
        return None;
    };
    Some(words.to_owned())
}

fn until_paid(term: &Term, period: &SoldPeriod, plan: &Plan, meter: &str) -> Option<String> {
    let words = if period.follows_trial && term.counted_from >= term.period.start {
        "the first invoice after the trial is not paid yet, and the trial was another user's"
    } else if period.follows_trial {
        "the first invoice after the trial is not paid yet, so what the trial left counts"
    } else if limit(plan.month_limits(), meter) != limit(&plan.limits, meter) {
        "its invoice is not paid yet, so it has no more than a month's"
    } else {
        return None;
    };
    Some(words.to_owned())
}
