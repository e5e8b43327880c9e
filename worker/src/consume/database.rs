//! Waiting for a database that is away. The deliveries are held meanwhile: no
//! attempt is counted and nothing is dead-lettered, because no event is at fault.

use crate::{metrics::DATABASE_DOWN, store::pool};
use shared::{reconnect::Reconnect, shutdown::CancellationToken};
use sqlx::PgPool;
use std::time::Duration;
use tokio::time::Instant;

/// RabbitMQ takes back what was not acknowledged for 30 minutes and closes the
/// channel; deliveries are given back before that.
pub const HOLD_MAX: Duration = Duration::from_mins(20);

/// How a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waited {
    /// The database can be used.
    Ready,
    /// The process is to stop, or the wait took too long.
    Interrupted,
}

/// Waits until the database answers and its schema is up to date.
pub async fn wait(pool: &PgPool, stop: &CancellationToken, longest: Option<Duration>) -> Waited {
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
            return Waited::Ready;
        };
        if DATABASE_DOWN.get() == 0 {
            DATABASE_DOWN.set(1);
            tracing::warn!(%error, "the database cannot be used; consumption waits, no attempt is counted");
        }
        if longest.is_some_and(|most| started.elapsed() >= most) {
            return Waited::Interrupted;
        }
        let pause = reconnect.next_pause().unwrap_or(Duration::from_secs(2));
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => return Waited::Interrupted,
        }
    }
}
