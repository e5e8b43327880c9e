//! Waits for the database. The worker keeps its deliveries meanwhile. No attempt is
//! counted and no event becomes a dead letter, because no event is the cause.

use crate::{consume::delivery::Interrupted, metrics::DATABASE_DOWN, store::pool};
use shared::{reconnect::Reconnect, shutdown::CancellationToken};
use sqlx::PgPool;
use std::time::Duration;
use tokio::time::Instant;

/// The longest wait with unacknowledged deliveries; after it they go back to the queue. RabbitMQ
/// closes a channel with a delivery that was not acknowledged for 30 minutes (its page
/// "Consumers", "Delivery Acknowledgement Timeout").
pub(crate) const WAIT_MAX: Duration = Duration::from_mins(20);

/// Waits until the database answers and has the schema of this version.
///
/// # Errors
/// [`Interrupted`] on `stop`, or after `wait_max`.
pub(crate) async fn wait(
    pool: &PgPool,
    stop: &CancellationToken,
    wait_max: Option<Duration>,
) -> Result<(), Interrupted> {
    let started = Instant::now();
    let mut reconnect = Reconnect::new(None);
    loop {
        let Err(error) = pool::ready(pool).await else {
            if DATABASE_DOWN.get() != 0 {
                DATABASE_DOWN.set(0);
                tracing::info!(
                    waited_ms = started.elapsed().as_millis(),
                    "the database can be used again"
                );
            }
            return Ok(());
        };
        if DATABASE_DOWN.get() == 0 {
            DATABASE_DOWN.set(1);
            tracing::warn!(%error, "the database cannot be used; consumption waits, no attempt is counted");
        }
        if wait_max.is_some_and(|max| started.elapsed() >= max) {
            return Err(Interrupted);
        }
        let pause = reconnect.next_pause().unwrap_or(Duration::from_secs(2));
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => return Err(Interrupted),
        }
    }
}
