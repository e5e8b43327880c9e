//! Grace: after a downgrade, the user keeps the tier that was paid for until the
//! paid period ends.
//!
//! Example: Max is paid from day 0 to day 30 and changes to Basic on day 10. The
//! user keeps Max until day 30. There is no grace if the period was a trial, its
//! invoice failed, or the downgrade gave money back.

use crate::domain::fact::{Period, Plan, Seconds, Snapshot, entitled};
use serde::{Deserialize, Serialize};

/// A higher tier that is still paid for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grace {
    /// The plan that was paid for.
    pub plan: Plan,
    /// The end of the paid period, and of the grace.
    pub until: Seconds,
    /// The time of the downgrade.
    pub since: Seconds,
}

/// A change of the subscription, as far as the grace depends on it.
#[derive(Debug, Clone, Copy)]
pub struct TierChange<'a> {
    /// The status before.
    pub old_status: &'a str,
    /// The plan before.
    pub old_plan: &'a Plan,
    /// The period before.
    pub old_period: Period,
    /// The snapshot after.
    pub new: &'a Snapshot,
    /// The plan after; the old one if the change is suspended.
    pub new_plan: &'a Plan,
    /// The event's time.
    pub at: Seconds,
    /// Whether an invoice of the period before failed and was not paid since, or its money
    /// was returned.
    pub unpaid: bool,
    /// Whether the change gave money back.
    pub credited: bool,
}

/// The grace after a change, given the grace before it.
#[must_use]
pub fn after_change(running: Option<Grace>, change: TierChange<'_>) -> Option<Grace> {
    let running = running.filter(|g| change.leaves(g));
    if !change.begins_grace() {
        return running;
    }
    // A running grace of the same or a higher tier stays, with its own end.
    running.filter(|g| g.plan.rank >= change.old_plan.rank).or_else(|| {
        Some(Grace {
            plan: change.old_plan.clone(),
            until: change.old_period.end,
            since: change.at,
        })
    })
}

impl TierChange<'_> {
    /// Whether a running grace goes on after it.
    pub(super) fn leaves(&self, running: &Grace) -> bool {
        running.until > self.subscription_time() && running.plan.rank > self.new_plan.rank
    }

    /// Whether it is a downgrade within a period that was paid and not credited.
    fn begins_grace(&self) -> bool {
        let is_downgrade = self.new_plan.rank < self.old_plan.rank;
        // A snapshot without a period lies in the latest known one.
        let start = self.new.period.map_or(self.at, |p| p.start);
        let is_within = start < self.old_period.end;
        let was_paid_for = entitled(self.old_status) && self.old_status != "trialing" && !self.unpaid;
        is_downgrade && is_within && was_paid_for && !self.credited
    }

    /// The time of the change by the subscription's own clock: the event's time, but
    /// never outside the period that the snapshot shows. With a test clock of Stripe,
    /// periods lie at other times than the events.
    fn subscription_time(&self) -> Seconds {
        let period = self.new.period.unwrap_or(self.old_period);
        self.at.min(period.end - 1).max(period.start)
    }
}

/// The grace after a paid renewal. A grace that ends at the start of the new period
/// or before it is over.
#[must_use]
pub fn after_renewal(running: Option<Grace>, new_period_start: Seconds) -> Option<Grace> {
    running.filter(|g| g.until > new_period_start)
}

#[cfg(test)]
#[path = "grace_tests.rs"]
mod tests;
