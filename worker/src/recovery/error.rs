//! Why a recovery could not finish.

use shared::publisher::PublishError;
use stripe_api::ApiError;

/// Why a recovery could not finish. Running it again does the rest, whatever the
/// reason was. An inner error is part of the message and not a source, so that a log
/// line that prints the whole chain names it once.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// Another process does the same job.
    #[error("another one is under way, here or in a `worker run`; wait until it ends")]
    Busy,
    /// Stripe's API failed.
    #[error(transparent)]
    Stripe(#[from] ApiError),
    /// PostgreSQL failed.
    #[error("the database failed: {0}")]
    Database(sqlx::Error),
    /// RabbitMQ did not accept a message.
    #[error("the work queue did not accept a message: {0}")]
    Publish(PublishError),
    /// Stripe's answers seem to come from another account than the stored events.
    #[error("{0}")]
    OtherAccount(String),
    /// It is time to stop.
    #[error("it was stopped before its end")]
    Stopped,
    /// A message could not be written as JSON.
    #[error("a message cannot be written: {0}")]
    Message(serde_json::Error),
}

impl From<sqlx::Error> for RecoveryError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl From<PublishError> for RecoveryError {
    fn from(error: PublishError) -> Self {
        Self::Publish(error)
    }
}

impl From<serde_json::Error> for RecoveryError {
    fn from(error: serde_json::Error) -> Self {
        Self::Message(error)
    }
}
