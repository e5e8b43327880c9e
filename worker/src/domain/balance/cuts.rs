//! Periods that ended early for a user: a change began a new period before their end, or the
//! subscription was handed over.
//!
//! Example: a year of Max (180M tokens) is left for a month of Max on day 73. If the
//! change gave money back, the year sold 180M * 73 / 365 = 36M: what was used beyond that is
//! debt. If it gave nothing back, what is left of the 180M is carried over.

use super::{
    ownership::OwnedSpan,
    period_limit::counts_from,
    periods::{self, SoldPeriod},
    stages::Stage,
    waterfall::UnitLimit,
};
use crate::domain::{
    fact::{Period, Seconds},
    ids::{EventId, SubscriptionId, UserId},
};
use std::collections::BTreeMap;

/// A period that ended early for a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// When the next period begins, or the next user has it.
    pub at: Seconds,
    /// The event of the change.
    pub event: EventId,
    /// The subscription.
    pub subscription: SubscriptionId,
    /// The period, as long as it would have been; from the hand-over on, if it was handed over
    /// to the user.
    pub ended: Period,
    /// Why it ended.
    pub reason: CutReason,
    /// The units that the period sold to the user, by meter; `None` is unlimited.
    pub units: BTreeMap<String, UnitLimit>,
}

impl Cut {
    /// The user to whom the subscription was handed over.
    #[must_use]
    pub fn handed_to(&self) -> Option<&UserId> {
        match &self.reason {
            CutReason::HandedOver(next) => Some(next),
            CutReason::Credited | CutReason::Uncredited => None,
        }
    }
}

/// Why a period ended early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CutReason {
    /// A change gave money back. What was used beyond `units` is debt, nothing else is kept.
    Credited,
    /// A change gave nothing back. What is left of `units` is carried over.
    Uncredited,
    /// The subscription was handed over to this user. What was used beyond `units` is debt,
    /// nothing else is kept.
    HandedOver(UserId),
}

/// The periods of a subscription that ended early, and that leave units or debt, for a user
/// who had it in a span of time; in order of time. A change of a trial leaves neither: nobody
/// paid for it. A period that was not paid leaves no units.
#[must_use]
pub fn of_subscription(
    id: &SubscriptionId,
    stages: &[Stage],
    periods: &[SoldPeriod],
    span: &OwnedSpan<'_>,
) -> Vec<Cut> {
    let changed = periods.windows(2).filter_map(|pair| by_change(id, stages, pair, span));
    changed.chain(by_hand_over(id, stages, periods, span)).collect()
}

/// The cut between two neighbouring periods, if there is one.
fn by_change(id: &SubscriptionId, stages: &[Stage], pair: &[SoldPeriod], span: &OwnedSpan<'_>) -> Option<Cut> {
    let (ended, next) = (&pair[0], stages.get(pair[1].stages.start)?);
    let own = &stages[ended.stages.clone()];
    let change = next.beginning.as_ref()?;
    let part = span.part_of(ended.period)?;
    let is_cut = (part.start..part.end).contains(&next.period.start) && span.contains(next.since);
    let leaves = change.credited || ended.is_kept();
    if !is_cut || !leaves || own.last()?.trial {
        return None;
    }
    let (reason, until) = if change.credited {
        (CutReason::Credited, next.period.start)
    } else {
        (CutReason::Uncredited, ended.period.end)
    };
    Some(Cut {
        at: next.since,
        event: change.event.clone(),
        subscription: id.clone(),
        ended: part,
        reason,
        units: periods::units_until(ended, own, until, span, false),
    })
}

/// The period in which the user handed the subscription over, if it gave access then.
fn by_hand_over(id: &SubscriptionId, stages: &[Stage], periods: &[SoldPeriod], span: &OwnedSpan<'_>) -> Option<Cut> {
    let next = span.handed_over?;
    let at = next.since;
    let running = stages.partition_point(|s| s.since < at).checked_sub(1)?;
    let stage = &stages[running];
    let period = periods.iter().find(|p| p.stages.contains(&running))?;
    if !stage.entitled || stage.ends_at.is_some_and(|end| end <= at) {
        return None;
    }
    let until = counts_from(at, stage.period).min(stage.period.end);
    let known = &stages[period.stages.start..=running];
    Some(Cut {
        at,
        event: next.event_id.clone(),
        subscription: id.clone(),
        ended: span.part_of(stage.period).unwrap_or(stage.period),
        reason: CutReason::HandedOver(next.user.clone()),
        units: periods::units_until(period, known, until, span, stage.trial),
    })
}
