//! Grace: after a downgrade, what was paid for stays until its period ends.

use crate::domain::fact::{Period, Plan, Seconds, Snapshot};
use serde::{Deserialize, Serialize};

/// The higher tier that is still paid for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grace {
    /// The plan that was paid for.
    pub plan: Plan,
    /// The end of the period that was paid; access ends then.
    pub until: Seconds,
    /// When the downgrade happened that began it.
    pub since: Seconds,
}

/// What is known when a subscription changes from one plan to another.
#[derive(Debug, Clone, Copy)]
pub struct TierChange<'a> {
    /// The status before.
    pub old_status: &'a str,
    /// The plan before.
    pub old_plan: &'a Plan,
    /// The period before: the one that was paid.
    pub old_period: Period,
    /// The subscription after.
    pub new: &'a Snapshot,
    /// The plan after.
    pub new_plan: &'a Plan,
    /// When it happened.
    pub at: Seconds,
    /// An invoice of the period before has failed and was not paid since.
    pub unpaid: bool,
    /// The customer got money back for it.
    pub credited: bool,
}

/// The grace after a change, given the one that ran before it.
#[must_use]
pub fn after_change(running: Option<Grace>, change: TierChange<'_>) -> Option<Grace> {
    let running = running.filter(|g| g.until > change.moment() && g.plan.rank > change.new_plan.rank);
    if !change.begins() {
        return running;
    }
    // A running grace of a higher tier stays as it is, with its own end.
    running.filter(|g| g.plan.rank >= change.old_plan.rank).or_else(|| {
        Some(Grace {
            plan: change.old_plan.clone(),
            until: change.old_period.end,
            since: change.at,
        })
    })
}

impl TierChange<'_> {
    /// Whether it is a downgrade within a period that was paid and not given back.
    fn begins(&self) -> bool {
        let falls = self.new_plan.rank < self.old_plan.rank;
        // A snapshot that tells no period is within the latest known one.
        let start = self.new.period.map_or(self.at, |p| p.start);
        let within = start < self.old_period.end;
        falls && within && self.old_status == "active" && !self.unpaid && !self.credited
    }

    /// When it happened by the subscription's own clock: its event's time, but
    /// never outside the period that it shows (a test clock runs apart from the
    /// time at which events are made).
    fn moment(&self) -> Seconds {
        let period = self.new.period.unwrap_or(self.old_period);
        self.at.min(period.end - 1).max(period.start)
    }
}

/// A paid renewal ends every grace that ran until the new period's start or before.
#[must_use]
pub fn after_renewal(running: Option<Grace>, new_period_start: Seconds) -> Option<Grace> {
    running.filter(|g| g.until > new_period_start)
}

#[cfg(test)]
#[path = "grace_tests.rs"]
mod tests;
