//! How many publishes may wait at once.

use super::PublishError;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Publishes that may wait for a confirm at once. Bounds the memory in use while
/// the broker does not answer.
const IN_FLIGHT_MAX: usize = 2_048;
/// How many of them may be messages of batches: large batches must not keep out
/// single messages.
const OF_BATCHES_MAX: usize = 1_024;

/// How many publishes may wait for a confirm.
#[derive(Debug)]
pub(super) struct Room {
    all: Semaphore,
    of_batches: Semaphore,
}

impl Room {
    pub(super) fn new() -> Self {
        Self {
            all: Semaphore::new(IN_FLIGHT_MAX),
            of_batches: Semaphore::new(OF_BATCHES_MAX),
        }
    }

    /// Room for one more, if there is any.
    pub(super) fn enter(&self) -> Result<SemaphorePermit<'_>, PublishError> {
        self.all.try_acquire().map_err(|_| PublishError::Overloaded)
    }

    /// Room for a message of a batch, once it is its turn.
    pub(super) async fn enter_in_turn(&self) -> Result<[SemaphorePermit<'_>; 2], PublishError> {
        let turn = self.of_batches.acquire().await;
        let turn = turn.map_err(|_| PublishError::Overloaded)?;
        Ok([turn, self.enter()?])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[test]
    fn batches_leave_room_for_single_messages_and_wait_for_their_turn() {
        let room = Room::new();
        let in_turn = || room.enter_in_turn().now_or_never();
        let mut batches: Vec<_> = (0..OF_BATCHES_MAX).map_while(|_| in_turn()).collect();
        assert!(batches.len() == OF_BATCHES_MAX && batches.iter().all(Result::is_ok));
        assert!(in_turn().is_none(), "one more waits");
        let others: Vec<_> = (0..).map_while(|_| room.enter().ok()).collect();
        assert_eq!(others.len(), IN_FLIGHT_MAX - OF_BATCHES_MAX);
        assert_eq!(room.enter().err(), Some(PublishError::Overloaded));
        batches.pop();
        assert!(in_turn().is_some_and(|turn| turn.is_ok()), "its turn has come");
    }
}
