//! Grace: after a downgrade, what was paid for stays until its period ends.

use super::fact::{Period, Plan, Seconds, Snapshot};
use serde::{Deserialize, Serialize};

/// A credit this near to a downgrade, in seconds either way, belongs to it.
const CREDIT_WITHIN: Seconds = 60;

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
pub struct Change<'a> {
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
    /// When the customer got money back for a change, if ever.
    pub credits: &'a [Seconds],
}

/// The grace after a change, given the one that ran before it.
#[must_use]
pub fn after_change(running: Option<Grace>, change: Change<'_>) -> Option<Grace> {
    let running = running.filter(|g| g.until > change.at && g.plan.rank > change.new_plan.rank);
    if !begins(change) {
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

/// Whether a change is a downgrade within a period that was paid and not given back.
fn begins(change: Change<'_>) -> bool {
    let falls = change.new_plan.rank < change.old_plan.rank;
    // A snapshot that tells no period is within the latest known one.
    let within = change.new.period.is_none_or(|p| p.start < change.old_period.end) && change.at < change.old_period.end;
    falls && within && change.old_status == "active" && !change.unpaid && !credited(change.credits, change.at)
}

fn credited(credits: &[Seconds], at: Seconds) -> bool {
    credits.iter().any(|credit| (credit - at).abs() <= CREDIT_WITHIN)
}

/// A credit that becomes known after the downgrade it belongs to: the customer
/// gets the money, and not the access beside it.
#[must_use]
pub fn after_credit(running: Option<Grace>, credit_at: Seconds) -> Option<Grace> {
    running.filter(|g| !credited(&[credit_at], g.since))
}

/// A paid renewal ends every grace that ran until the new period's start or before.
#[must_use]
pub fn after_renewal(running: Option<Grace>, new_period_start: Seconds) -> Option<Grace> {
    running.filter(|g| g.until > new_period_start)
}

#[cfg(test)]
#[path = "grace_tests.rs"]
mod tests;
