//! Why a replay or a discard failed.

use shared::{broker::BrokerError, publisher::PublishError};

/// Why dead letters were not moved, or not all of them.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// Some of the given ids have no open dead letter. Nothing was done.
    #[error("{}\nNothing was done; `worker dead-letters list` shows the open dead letters", .0.join("\n"))]
    NotOpen(Vec<String>),
    /// Another replay or discard is running. Nothing was done.
    #[error("another replay or discard is under way; wait for its end, then do it again (nothing was done)")]
    Busy,
    /// PostgreSQL failed.
    #[error("the database failed: {0}; messages not yet moved are where they were, so do it again")]
    Database(#[from] sqlx::Error),
    /// RabbitMQ failed while messages were taken from the dead-letter queue.
    #[error("RabbitMQ failed: {0}; messages not yet moved are where they were, so do it again")]
    Broker(#[from] BrokerError),
    /// RabbitMQ did not accept a message.
    #[error("{done} of {wanted} put back to work, then: {error}; the others are where they were, so do it again")]
    Publish {
        /// Messages put back to work before that.
        done: usize,
        /// Dead letters that were selected.
        wanted: usize,
        /// The publisher's error.
        error: PublishError,
    },
}

impl From<lapin::Error> for MoveError {
    fn from(error: lapin::Error) -> Self {
        Self::Broker(error.into())
    }
}
