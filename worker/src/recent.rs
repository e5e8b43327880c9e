//! The last failures of this worker, for the console. They are lost when the process ends;
//! everything that must be kept is in the database.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

/// Most failures that are kept.
const FAILURES_MAX: usize = 20;

static FAILURES: Mutex<VecDeque<RecentFailure>> = Mutex::new(VecDeque::new());

/// A delivery that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecentFailure {
    /// When it failed, in milliseconds since 1970.
    pub(crate) at_ms: i64,
    /// The event's id.
    pub(crate) event: String,
    /// Its type.
    pub(crate) kind: String,
    /// `dead` or `retry`.
    pub(crate) outcome: &'static str,
    /// Why it failed. Never the payload.
    pub(crate) detail: String,
}

/// Adds a failure, and drops the oldest if there are too many.
pub(crate) fn add(failure: RecentFailure) {
    let mut failures = FAILURES.lock().unwrap_or_else(PoisonError::into_inner);
    failures.truncate(FAILURES_MAX - 1);
    failures.push_front(failure);
}

/// The failures, the latest first.
pub(crate) fn latest() -> Vec<RecentFailure> {
    let failures = FAILURES.lock().unwrap_or_else(PoisonError::into_inner);
    failures.iter().cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_failures_are_kept_and_older_ones_forgotten() {
        for number in 0..=FAILURES_MAX {
            add(RecentFailure {
                at_ms: 0,
                event: format!("evt_{number}"),
                kind: String::new(),
                outcome: "dead",
                detail: String::new(),
            });
        }
        let events: Vec<String> = latest().into_iter().map(|f| f.event).collect();
        assert_eq!(events.len(), FAILURES_MAX);
        assert_eq!(
            (events[0].as_str(), events[FAILURES_MAX - 1].as_str()),
            ("evt_20", "evt_1")
        );
    }
}
