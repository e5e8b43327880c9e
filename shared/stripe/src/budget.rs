//! The limit of requests per second. Stripe answers 429 to more requests, and it counts
//! the requests of the application on the same account too (Stripe's page "Rate limits").

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Gives each request a turn, evenly spread over time. Clones share their turns.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    pause: Duration,
    /// The time of the next turn.
    next: Arc<Mutex<Instant>>,
}

impl Budget {
    /// A budget of `per_second` turns a second, at most.
    #[must_use]
    pub(crate) fn new(per_second: u32) -> Self {
        Self {
            pause: Duration::from_secs(1) / per_second.max(1),
            next: Arc::new(Mutex::new(Instant::now())),
        }
    }

    /// Waits for a turn.
    pub(crate) async fn turn(&self) {
        let at = self.take(Instant::now());
        tokio::time::sleep_until(at).await;
    }

    /// Takes the next turn, and returns its time.
    fn take(&self, now: Instant) -> Instant {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let at = (*next).max(now);
        *next = at + self.pause;
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_spread_and_unused_turns_are_lost() {
        let now = Instant::now() + Duration::from_mins(1);
        let (budget, ms) = (Budget::new(10), Duration::from_millis);
        assert_eq!(budget.take(now), now);
        assert_eq!(budget.take(now), now + ms(100));
        assert_eq!(budget.clone().take(now + ms(50)), now + ms(200));
        assert_eq!(budget.take(now + ms(900)), now + ms(900));
        assert_eq!(budget.take(now + ms(900)), now + ms(1_000));
    }
}
