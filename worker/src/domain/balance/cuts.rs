//! Periods that a change cut short: a new period begins before their end.
//!
//! Example: a year of Max (180M tokens) is left for a month of Max on day 73. If the
//! change gave money back, the year sold 180M * 73 / 365 = 36M: what was used beyond that is
//! debt. If it gave nothing back, what is left of the 180M is carried over.

use super::{
    periods::{self, SoldPeriod},
    stages::Stage,
    waterfall::UnitLimit,
};
use crate::domain::{
    fact::{Period, Seconds},
    ids::{EventId, SubscriptionId},
};
use std::collections::BTreeMap;

/// A period that a change cut short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// When the next period begins.
    pub at: Seconds,
    /// The event of the change.
    pub event: EventId,
    /// The subscription.
    pub subscription: SubscriptionId,
    /// The period, as long as it would have been.
    pub ended: Period,
    /// Whether the change gave money back. Then what was used beyond `units` is debt; else
    /// what is left of them is carried over.
    pub credited: bool,
    /// The units that the period sold, by meter; `None` is unlimited.
    pub units: BTreeMap<String, UnitLimit>,
}

/// The periods of a subscription that a change cut short and that leave units or debt, in
/// order of time. A trial leaves neither: nobody paid for it. A period that was not paid
/// leaves no units.
#[must_use]
pub fn of_subscription(id: &SubscriptionId, stages: &[Stage], periods: &[SoldPeriod]) -> Vec<Cut> {
    let cut = periods.windows(2).filter_map(|pair| {
        let (ended, next) = (&pair[0], stages.get(pair[1].stages.start)?);
        let own = &stages[ended.stages.clone()];
        let change = next.beginning.as_ref()?;
        let is_cut = (ended.period.start..ended.period.end).contains(&next.period.start);
        let leaves = change.credited || ended.is_kept();
        if !is_cut || !leaves || own.last()?.trial {
            return None;
        }
        Some(Cut {
            at: next.since,
            event: change.event.clone(),
            subscription: id.clone(),
            ended: ended.period,
            credited: change.credited,
            units: if change.credited {
                periods::units_until(ended, own, next.period.start)
            } else {
                periods::units_until(ended, own, ended.period.end)
            },
        })
    });
    cut.collect()
}
