//! Removes the messages of resolved dead letters from the dead-letter queue, so that its
//! length shows what waits for an operator. An event that Stripe sends again resolves its
//! dead letter, and leaves the old message behind.

use super::{error::MoveError, lock::MoveLock, queue::DeadLetterQueue, tools::MoveTools};
use crate::store::dead_letter_queries;
use shared::shutdown::CancellationToken;
use std::time::Duration;

/// How often a worker looks for such messages. It touches the queue only if there are some.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Removes such messages until it is time to stop.
pub async fn run(tools: MoveTools, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = stop.cancelled() => return,
        }
        match sweep(&tools).await {
            Ok(0) | Err(MoveError::Busy) => {}
            Ok(removed) => tracing::info!(removed, "messages of resolved dead letters were removed"),
            Err(error) => tracing::debug!(%error, "messages of resolved dead letters cannot be removed now"),
        }
    }
}

/// Removes the messages, and returns how many.
async fn sweep(tools: &MoveTools) -> Result<usize, MoveError> {
    if dead_letter_queries::left_over(&mut *tools.pool.acquire().await?)
        .await?
        .is_empty()
    {
        return Ok(0);
    }
    let mut lock = MoveLock::take_for_sweep(tools).await?;
    // Read under the lock, and before the queue is opened: their messages are in it, unless
    // somebody has moved them with another tool.
    let left = dead_letter_queries::left_over(&mut lock.session).await?;
    let mut queue = DeadLetterQueue::open(&tools.broker, &tools.topology).await?;
    let swept = remove_resolved(&mut queue, &mut lock).await;
    let closed = queue.close().await;
    let removed = swept?;
    dead_letter_queries::unqueue(&mut lock.session, &left).await?;
    closed.map(|()| removed)
}

async fn remove_resolved(queue: &mut DeadLetterQueue, lock: &mut MoveLock) -> Result<usize, MoveError> {
    while let Some((id, delivery)) = queue.next().await? {
        queue.keep(id, delivery);
    }
    queue.remove_resolved(&mut lock.session).await
}
