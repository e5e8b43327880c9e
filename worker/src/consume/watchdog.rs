//! Finds a transaction that does not end. Its connection is half open: no error will come, and
//! PostgreSQL's time limits do not reach the worker. The transaction must not be dropped in the
//! middle. So the process ends, and its service manager starts it again.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

/// Far longer than `STATEMENT_TIMEOUT` lets the statements of a batch take.
const TRANSACTION_MAX: Duration = Duration::from_mins(3);
const CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// The transactions under way. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Watchdog(Arc<Transactions>);

#[derive(Debug, Default)]
struct Transactions {
    next: AtomicU64,
    begun: Mutex<BTreeMap<u64, Instant>>,
}

/// A transaction is under way until this is dropped.
#[derive(Debug)]
#[must_use]
pub struct WatchedTransaction {
    transactions: Arc<Transactions>,
    key: u64,
}

impl Watchdog {
    /// Watches a transaction that begins now.
    pub fn watch(&self) -> WatchedTransaction {
        let key = self.0.next.fetch_add(1, Ordering::Relaxed);
        self.0.with(|begun| begun.insert(key, Instant::now()));
        WatchedTransaction {
            transactions: Arc::clone(&self.0),
            key,
        }
    }

    /// Returns when a transaction has been under way for three minutes.
    pub async fn transaction_overdue(&self) {
        self.overdue_after(TRANSACTION_MAX, CHECK_INTERVAL).await;
    }

    async fn overdue_after(&self, max: Duration, interval: Duration) {
        let mut checks = tokio::time::interval(interval);
        loop {
            checks.tick().await;
            if self.0.with(|begun| begun.values().any(|at| at.elapsed() > max)) {
                return;
            }
        }
    }
}

impl Transactions {
    fn with<T>(&self, use_them: impl FnOnce(&mut BTreeMap<u64, Instant>) -> T) -> T {
        use_them(&mut self.begun.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for WatchedTransaction {
    fn drop(&mut self) {
        self.transactions.with(|begun| begun.remove(&self.key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_a_transaction_that_does_not_end_is_overdue() {
        let watchdog = Watchdog::default();
        let (max, interval) = (Duration::from_millis(20), Duration::from_millis(5));
        drop(watchdog.watch());
        let quiet = tokio::time::timeout(max * 5, watchdog.overdue_after(max, interval)).await;
        assert!(quiet.is_err(), "nothing is under way");
        let hanging = watchdog.watch();
        watchdog.overdue_after(max, interval).await;
        drop(hanging);
    }
}
