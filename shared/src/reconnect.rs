//! How long to wait before the next try at a server that does not answer. Only this
//! module names the `backoff` crate.

use backoff::{ExponentialBackoff, ExponentialBackoffBuilder, backoff::Backoff};
use std::time::Duration;

/// Growing, jittered pauses: from 100 ms to at most 2.4 s, so that work goes on
/// within 5 s of a server's return.
#[derive(Debug)]
pub struct Reconnect(ExponentialBackoff);

impl Reconnect {
    /// Pauses until `deadline` has passed since the start or the last
    /// [`reset`](Self::reset). Without a deadline they never end.
    #[must_use]
    pub fn new(deadline: Option<Duration>) -> Self {
        Self(
            ExponentialBackoffBuilder::new()
                .with_initial_interval(Duration::from_millis(100))
                .with_multiplier(2.0)
                .with_randomization_factor(0.2)
                .with_max_interval(Duration::from_secs(2))
                .with_max_elapsed_time(deadline)
                .build(),
        )
    }

    /// The pause before the next try, or `None` when the deadline has passed.
    pub fn next_pause(&mut self) -> Option<Duration> {
        self.0.next_backoff()
    }

    /// Starts again from the shortest pause, after the server has answered.
    pub fn reset(&mut self) {
        self.0.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_stay_short_enough_to_resume_within_five_seconds() {
        let mut reconnect = Reconnect::new(None);
        let pauses: Vec<_> = (0..20).filter_map(|_| reconnect.next_pause()).collect();
        assert_eq!(pauses.len(), 20, "without a deadline the pauses never end");
        assert!(pauses[0] < Duration::from_millis(150));
        assert!(pauses.iter().all(|p| *p <= Duration::from_millis(2_400)));
        assert!(pauses[10] >= Duration::from_millis(1_600));
    }

    #[test]
    fn a_passed_deadline_ends_the_pauses() {
        assert_eq!(Reconnect::new(Some(Duration::ZERO)).next_pause(), None);
    }
}
