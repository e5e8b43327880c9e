//! What Stripe knows and we missed: events that never came (`backfill`),
//! subscriptions that are not what we show (`reconcile`), changes whose order no
//! event tells (`ask`). All of it goes to the work queue, and is folded like any
//! event: nothing here writes state.

pub mod ask;
pub mod backfill;
mod candidates;
pub mod jobs;
pub mod page;
pub mod reconcile;
pub mod schedule;

use crate::read::message::EventReader;
use shared::work_queue::WorkQueue;
use shared::{publisher::PublishError, shutdown::CancellationToken};
use sqlx::PgPool;
use stripe_api::{Api, ApiError};

/// What recovery works with.
#[derive(Debug, Clone)]
pub struct Tools {
    /// Stripe.
    pub api: Api,
    /// What we know.
    pub pool: PgPool,
    /// What a subscription is read with.
    pub reader: EventReader,
    /// Where what we missed goes; none: it is only looked for.
    pub work_queue: Option<WorkQueue>,
    /// Tells when to stop.
    pub stop: CancellationToken,
}

/// Why recovery did not come to its end. Whatever the reason, doing it again does
/// the rest.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// Another process is at it.
    #[error("another one is under way, here or in a `worker run`; wait for its end")]
    Busy,
    /// Stripe.
    #[error(transparent)]
    Stripe(#[from] ApiError),
    /// PostgreSQL.
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    /// RabbitMQ.
    #[error("the work queue did not take a message: {0}")]
    Publish(#[from] PublishError),
    /// What Stripe says cannot be of the account whose events we have.
    #[error("{0}")]
    OtherAccount(String),
    /// It is time to stop.
    #[error("it was told to stop")]
    Stopped,
    /// JSON that cannot be written.
    #[error("a message cannot be written: {0}")]
    Message(#[from] serde_json::Error),
}

impl Tools {
    fn go_on(&self) -> Result<(), RecoveryError> {
        if self.stop.is_cancelled() {
            return Err(RecoveryError::Stopped);
        }
        Ok(())
    }
}
