//! A transaction that never ends: its connection is half open, so that no
//! error will come, and none of PostgreSQL's own limits reaches us. It must not
//! be cut off half-way, so the process ends, and its supervisor starts it anew.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

/// Far longer than `STATEMENT_TIMEOUT` lets a batch of statements take.
const LONGEST: Duration = Duration::from_mins(3);
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Knows the transactions under way; clones share what they know.
#[derive(Debug, Clone, Default)]
pub struct Watchdog(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    next: AtomicU64,
    begun: Mutex<BTreeMap<u64, Instant>>,
}

/// A transaction under way, until it is dropped.
#[derive(Debug)]
#[must_use]
pub struct UnderWay {
    shared: Arc<Shared>,
    key: u64,
}

impl Watchdog {
    /// A transaction begins.
    pub fn watch(&self) -> UnderWay {
        let key = self.0.next.fetch_add(1, Ordering::Relaxed);
        self.0.with(|begun| begun.insert(key, Instant::now()));
        UnderWay {
            shared: Arc::clone(&self.0),
            key,
        }
    }

    /// Ends when a transaction has been under way for too long.
    pub async fn barks(&self) {
        self.barks_after(LONGEST, LOOK_EVERY).await;
    }

    async fn barks_after(&self, longest: Duration, look_every: Duration) {
        let mut looks = tokio::time::interval(look_every);
        loop {
            looks.tick().await;
            if self.0.with(|begun| begun.values().any(|at| at.elapsed() > longest)) {
                return;
            }
        }
    }
}

impl Shared {
    fn with<T>(&self, look: impl FnOnce(&mut BTreeMap<u64, Instant>) -> T) -> T {
        look(&mut self.begun.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.shared.with(|begun| begun.remove(&self.key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_a_transaction_that_does_not_end_makes_it_bark() {
        let watchdog = Watchdog::default();
        let (longest, look_every) = (Duration::from_millis(20), Duration::from_millis(5));
        drop(watchdog.watch());
        let quiet = tokio::time::timeout(longest * 5, watchdog.barks_after(longest, look_every)).await;
        assert!(quiet.is_err(), "nothing is under way");
        let hanging = watchdog.watch();
        watchdog.barks_after(longest, look_every).await;
        drop(hanging);
    }
}
