//! The replay: a timeline and the usage of one meter, applied in the order of time.
//!
//! The result depends only on what happened and when, never on the order in which
//! events arrived. Within one second a new term comes first, then rollover,
//! purchases, refunds and disputes, and usage last.
//!
//! # What rolls over
//!
//! When a period is closed, its allowance less its usage rolls over, up to the cap. The
//! allowance is the limit of the period ([`period_limit`](super::period_limit)). Time in a
//! trial and time without access count as zero in it; a meter without a limit never rolls over.
//!
//! Example: a month of 30 days has 5M for 10 days, then 15M for 20 days. Its
//! allowance is (5M * 10 + 15M * 20) / 30 = 11,666,666. If 10M are used, 1,666,666
//! roll over.

use super::{
    closing::Closing,
    cuts::{Cut, CutReason},
    grants::Purchase,
    terms::{Term, Window},
    timeline::{EntryKind, MeterBalance, Timeline, TimelineEntry, UsageSum},
    waterfall::{BalanceChange, Overflow, UnitLimit},
};
use crate::domain::{
    fact::{Period, Seconds},
    ids::SubscriptionId,
};
use std::collections::BTreeMap;

/// What a replay of one meter results in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReplayedMeter {
    /// The balance at the end.
    pub balance: MeterBalance,
    /// The usage of each counting period; `None` is the time without a period.
    pub used: BTreeMap<Option<Window>, i64>,
    /// All changes in order, other than usage.
    pub entries: Vec<TimelineEntry>,
}

/// One step of a replay.
#[derive(Debug, Clone, Copy)]
enum ReplayStep<'a> {
    Term(&'a Term),
    Cut(&'a Cut),
    Close(&'a Closing),
    Grant(&'a Purchase),
    /// An event, and how many more credits it takes back than the event before it.
    TakeBack(&'a str, i64),
    Spend(i64),
}

impl ReplayStep<'_> {
    /// The order within one second.
    fn rank(&self) -> u8 {
        match self {
            Self::Term(_) => 0,
            Self::Cut(_) => 1,
            Self::Close(_) => 2,
            Self::Grant(_) => 3,
            Self::TakeBack(..) => 4,
            Self::Spend(_) => 5,
        }
    }
}

/// Replays a timeline with the usage of one meter, in any order. Usage may be
/// summed up, but not across the timeline's [`boundaries`](Timeline::boundaries).
///
/// # Errors
/// [`Overflow`]
pub fn replay(timeline: &Timeline, meter: &str, usage: &[UsageSum]) -> Result<ReplayedMeter, Overflow> {
    let mut steps: Vec<(Seconds, ReplayStep<'_>)> = Vec::new();
    steps.extend(timeline.terms.iter().map(|t| (t.since, ReplayStep::Term(t))));
    steps.extend(timeline.cuts.iter().map(|c| (c.at, ReplayStep::Cut(c))));
    steps.extend(timeline.closings.iter().map(|c| (c.at, ReplayStep::Close(c))));
    for purchase in timeline.purchases.iter().filter(|p| p.meter == meter) {
        steps.push((purchase.at, ReplayStep::Grant(purchase)));
        let mut before = 0;
        for total in &purchase.taken_back {
            let step = ReplayStep::TakeBack(total.event.as_str(), total.credits - before);
            // A refund may carry an earlier time than its purchase; it still comes after it.
            steps.push((total.at.max(purchase.at), step));
            before = total.credits;
        }
    }
    steps.extend(usage.iter().map(|u| (u.at, ReplayStep::Spend(u.amount))));
    steps.sort_by_key(|(at, step)| (*at, step.rank()));
    let mut state = MeterReplay {
        meter,
        result: ReplayedMeter::default(),
    };
    for (at, step) in steps {
        state.apply(at, step)?;
    }
    let mut result = state.result;
    if let Some(last) = timeline.event_times().max() {
        result.balance.since = result.balance.since.max(last);
    }
    Ok(result)
}

/// A replay under way.
struct MeterReplay<'a> {
    meter: &'a str,
    result: ReplayedMeter,
}

impl MeterReplay<'_> {
    fn apply(&mut self, at: Seconds, step: ReplayStep<'_>) -> Result<(), Overflow> {
        let carried = self.result.balance.carried;
        let (kind, cause, amount, change) = match step {
            ReplayStep::Term(term) => {
                self.begin(term);
                return Ok(());
            }
            ReplayStep::Spend(amount) => {
                let change = self.result.balance.spend(at, amount)?;
                *self.result.used.entry(self.result.balance.window.clone()).or_default() += change.used;
                return Ok(());
            }
            ReplayStep::Cut(cut) => {
                let Some((kind, amount, change)) = self.cut_short(cut)? else {
                    return Ok(());
                };
                (kind, cut.event.as_str(), amount, change)
            }
            ReplayStep::Close(closing) => {
                let Some((unused, cap)) = self.unused(closing) else {
                    return Ok(());
                };
                let change = carried.roll_over(unused, cap)?;
                (EntryKind::Rollover, closing.invoice.as_str(), unused, change)
            }
            ReplayStep::Grant(purchase) => {
                let change = carried.grant(purchase.credits)?;
                (EntryKind::Grant, purchase.sale.as_str(), purchase.credits, change)
            }
            ReplayStep::TakeBack(event, more) if more < 0 => (EntryKind::Returned, event, -more, carried.grant(-more)?),
            ReplayStep::TakeBack(event, more) => (EntryKind::TakenBack, event, more, carried.take_back(more)?),
        };
        self.result.balance.carried = carried.after(change)?;
        let same = |e: &&mut TimelineEntry| (e.kind, e.cause.as_str()) == (kind, cause);
        // One event may hand over several subscriptions.
        if let Some(same) = self.result.entries.iter_mut().find(same) {
            same.amount = same.amount.checked_add(amount).ok_or(Overflow)?;
            same.change = same.change.plus(change)?;
            return Ok(());
        }
        self.result.entries.push(TimelineEntry {
            at,
            kind,
            cause: cause.to_owned(),
            amount,
            change,
        });
        Ok(())
    }

    fn begin(&mut self, term: &Term) {
        let window = Some(term.window());
        let balance = &mut self.result.balance;
        balance.used = self.result.used.get(&window).copied().unwrap_or_default();
        balance.window = window;
        balance.limits = term.limits_of(self.meter);
    }

    /// The units less the usage of a period; below zero if more was used. None without a limit.
    fn left(&self, subscription: &SubscriptionId, period: Period, units: UnitLimit) -> Option<i64> {
        let window = Window {
            subscription: subscription.clone(),
            start: period.start,
        };
        let used = self.result.used.get(&Some(window)).copied().unwrap_or_default();
        Some(units?.saturating_sub(used))
    }

    /// The unused units of a closed period, and the cap of rollover; none if
    /// nothing of this meter rolls over.
    fn unused(&self, closing: &Closing) -> Option<(i64, i64)> {
        let cap = closing.caps.get(self.meter).copied()?;
        let allowance = closing.limits.get(self.meter)?.allowance;
        let unused = self.left(&closing.subscription, closing.ended, allowance)?;
        (closing.paid && unused > 0).then_some((unused, cap))
    }

    /// What a period that ended early leaves: units, or debt; none if neither.
    fn cut_short(&self, cut: &Cut) -> Result<Option<(EntryKind, i64, BalanceChange)>, Overflow> {
        let carried = self.result.balance.carried;
        let units = cut.units.get(self.meter).copied().unwrap_or(Some(0));
        let keeps = cut.reason == CutReason::Uncredited;
        Ok(match self.left(&cut.subscription, cut.ended, units) {
            Some(left) if left > 0 && keeps => Some((EntryKind::Carried, left, carried.carry_over(left)?)),
            Some(left) if left < 0 && !keeps => Some((EntryKind::Overused, -left, carried.owe(-left)?)),
            _ => None,
        })
    }
}
