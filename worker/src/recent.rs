//! The last failures of this worker, for people to look at. Bounded, and gone
//! when the process ends: what must be kept is in the database.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

/// So many are kept.
const FAILURES_MOST: usize = 20;

static FAILURES: Mutex<VecDeque<Failure>> = Mutex::new(VecDeque::new());

/// A delivery that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// When, in milliseconds.
    pub(crate) at_ms: i64,
    /// The event's id.
    pub(crate) event: String,
    /// Its type.
    pub(crate) kind: String,
    /// What becomes of it.
    pub(crate) outcome: &'static str,
    /// Why; never the payload.
    pub(crate) detail: String,
}

/// Keeps a failure, and forgets the oldest.
pub(crate) fn note(failure: Failure) {
    let mut failures = FAILURES.lock().unwrap_or_else(PoisonError::into_inner);
    failures.truncate(FAILURES_MOST - 1);
    failures.push_front(failure);
}

/// The failures that are kept, the latest first.
pub(crate) fn latest() -> Vec<Failure> {
    let failures = FAILURES.lock().unwrap_or_else(PoisonError::into_inner);
    failures.iter().cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_failures_are_kept_and_older_ones_forgotten() {
        for number in 0..=FAILURES_MOST {
            note(Failure {
                at_ms: 0,
                event: format!("evt_{number}"),
                kind: String::new(),
                outcome: "dead",
                detail: String::new(),
            });
        }
        let events: Vec<String> = latest().into_iter().map(|f| f.event).collect();
        assert_eq!(events.len(), FAILURES_MOST);
        assert_eq!(
            (events[0].as_str(), events[FAILURES_MOST - 1].as_str()),
            ("evt_20", "evt_1")
        );
    }
}
