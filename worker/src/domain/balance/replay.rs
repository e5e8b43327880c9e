//! The replay: a timeline and the usage of one meter, applied in the order of time.
//!
//! The result depends only on what happened and when, never on the order in which
//! events arrived. Within one second a new term comes first, then rollover,
//! purchases, refunds and disputes, and usage last.
//!
//! # What rolls over
//!
//! When a period is closed, its allowance less its usage rolls over, up to the cap.
//! The allowance is the limit weighted by time, rounded down. Time in a trial, time
//! without access and time without a limit count as zero.
//!
//! Example: a month of 30 days has 5M for 10 days, then 15M for 20 days. Its
//! allowance is (5M * 10 + 15M * 20) / 30 = 11,666,666. If 10M are used, 1,666,666
//! roll over.

use super::{
    closing::Closing,
    grants::Purchase,
    terms::{Term, Window},
    timeline::{EntryKind, MeterBalance, Timeline, TimelineEntry, UsageSum},
    waterfall::Overflow,
};
use crate::domain::fact::{Period, Seconds};
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
            Self::Close(_) => 1,
            Self::Grant(_) => 2,
            Self::TakeBack(..) => 3,
            Self::Spend(_) => 4,
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
        timeline,
        meter,
        result: ReplayedMeter::default(),
    };
    for (at, step) in steps {
        state.apply(at, step)?;
    }
    Ok(state.finish())
}

/// A replay under way.
struct MeterReplay<'a> {
    timeline: &'a Timeline,
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
            ReplayStep::Close(closing) => {
                let Some((unused, cap)) = self.unused(closing) else {
                    return Ok(());
                };
                let change = carried.roll_over(unused, cap)?;
                (EntryKind::Rollover, closing.invoice.as_str(), unused, change)
            }
            ReplayStep::Grant(purchase) => {
                let change = carried.grant(purchase.credits)?;
                (EntryKind::Grant, purchase.session.as_str(), purchase.credits, change)
            }
            ReplayStep::TakeBack(event, more) if more < 0 => (EntryKind::Returned, event, -more, carried.grant(-more)?),
            ReplayStep::TakeBack(event, more) => (EntryKind::TakenBack, event, more, carried.take_back(more)?),
        };
        self.result.balance.carried = carried.after(change)?;
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

    /// The unused units of a closed period, and the cap of rollover; none if
    /// nothing of this meter rolls over.
    fn unused(&self, closing: &Closing) -> Option<(i64, i64)> {
        let own = |t: &&Term| t.subscription == closing.subscription && t.since < closing.ended.end;
        let last_term = self.timeline.terms.iter().rev().find(own)?;
        let cap = last_term.caps.get(self.meter).copied()?;
        if !closing.paid {
            return None;
        }
        let within = |w: &Window| {
            w.subscription == closing.subscription && closing.ended.start <= w.start && w.start < closing.ended.end
        };
        let counted = self.result.used.iter().filter(|(w, _)| w.as_ref().is_some_and(within));
        let used: i128 = counted.map(|(_, used)| i128::from(*used)).sum();
        let unused = (self.allowance(closing) - used).max(0);
        (unused > 0).then(|| (i64::try_from(unused).unwrap_or(i64::MAX), cap))
    }

    /// The limit of a closed period weighted by time, rounded down.
    fn allowance(&self, closing: &Closing) -> i128 {
        let Period { start, end } = closing.ended;
        let mut weighted: i128 = 0;
        let terms = &self.timeline.terms;
        for (place, term) in terms.iter().enumerate() {
            let until = terms.get(place + 1).map_or(Seconds::MAX, |next| next.since);
            if term.subscription != closing.subscription || term.trial || !term.entitled {
                continue;
            }
            let limits = term.limits_of(self.meter);
            let lifted_until = limits.lifted.map_or(Seconds::MIN, |(_, until)| until);
            for (limit, from, to) in [
                (limits.at(Seconds::MIN), term.since, until.min(lifted_until)),
                (limits.own, term.since.max(lifted_until), until),
            ] {
                let seconds = to.clamp(start, end) - from.clamp(start, end);
                let seconds = seconds.max(0);
                weighted += i128::from(limit.unwrap_or_default()) * i128::from(seconds);
            }
        }
        weighted / i128::from(end - start)
    }

    fn finish(self) -> ReplayedMeter {
        let mut result = self.result;
        if let Some(last) = self.timeline.event_times().max() {
            result.balance.since = result.balance.since.max(last);
        }
        result
    }
}
