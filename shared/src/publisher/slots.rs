//! How many publishes may wait for a confirm at the same time.

use super::error::PublishError;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Most publishes that wait for a confirm. Bounds the memory while the broker does not answer.
const IN_FLIGHT_MAX: usize = 2_048;
/// Most of them that are messages of batches. Large batches must leave room for single messages.
const OF_BATCHES_MAX: usize = 1_024;

/// Slots for publishes that wait for a confirm. A publish keeps its permit until it ends.
#[derive(Debug)]
pub(super) struct PublishSlots {
    all: Semaphore,
    of_batches: Semaphore,
}

impl PublishSlots {
    pub(super) fn new() -> Self {
        Self {
            all: Semaphore::new(IN_FLIGHT_MAX),
            of_batches: Semaphore::new(OF_BATCHES_MAX),
        }
    }

    /// Takes a slot for a single message.
    ///
    /// # Errors
    /// [`PublishError::Overloaded`] if none is free.
    pub(super) fn take(&self) -> Result<SemaphorePermit<'_>, PublishError> {
        self.all.try_acquire().map_err(|_| PublishError::Overloaded)
    }

    /// Waits for a slot for a message of a batch.
    ///
    /// # Errors
    /// [`PublishError::Overloaded`] if single messages take all slots.
    pub(super) async fn take_for_batch(&self) -> Result<[SemaphorePermit<'_>; 2], PublishError> {
        let of_batches = self.of_batches.acquire().await;
        let of_batches = of_batches.map_err(|_| PublishError::Overloaded)?;
        Ok([of_batches, self.take()?])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[test]
    fn batches_leave_slots_for_single_messages_and_wait_for_their_turn() {
        let slots = PublishSlots::new();
        let for_batch = || slots.take_for_batch().now_or_never();
        let mut batches: Vec<_> = (0..OF_BATCHES_MAX).map_while(|_| for_batch()).collect();
        assert!(batches.len() == OF_BATCHES_MAX && batches.iter().all(Result::is_ok));
        assert!(for_batch().is_none(), "one more waits");
        let singles: Vec<_> = (0..).map_while(|_| slots.take().ok()).collect();
        assert_eq!(singles.len(), IN_FLIGHT_MAX - OF_BATCHES_MAX);
        assert_eq!(slots.take().err(), Some(PublishError::Overloaded));
        batches.pop();
        assert!(for_batch().is_some_and(|taken| taken.is_ok()), "its turn has come");
    }
}
