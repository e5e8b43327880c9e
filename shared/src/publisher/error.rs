//! Why a publish was not confirmed.

/// Why a message is not known to be stored. The message may still arrive.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// There is no connection.
    #[error("no connection to RabbitMQ")]
    Unavailable,
    /// A memory or disk alarm is on, and the broker accepts no message.
    #[error("RabbitMQ blocks publishing: a resource alarm is on")]
    Blocked,
    /// Too many publishes wait already.
    #[error("too many publishes wait for RabbitMQ")]
    Overloaded,
    /// The queue does not exist. The next connection declares it again.
    #[error("RabbitMQ returned the message: its queue does not exist")]
    Returned,
    /// The queue refused the message, because it is full or has no majority.
    #[error("RabbitMQ refused the message: the queue is full or not available")]
    Nacked,
    /// No confirm came in time.
    #[error("RabbitMQ did not confirm in time")]
    TimedOut,
    /// The channel or the connection failed.
    #[error("the connection to RabbitMQ failed: {0}")]
    Failed(String),
}

impl PublishError {
    /// The value of the label `outcome` in the metrics.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::Blocked => "blocked",
            Self::Overloaded => "overloaded",
            Self::Returned => "returned",
            Self::Nacked => "nacked",
            Self::TimedOut => "timeout",
            Self::Failed(_) => "error",
        }
    }
}
