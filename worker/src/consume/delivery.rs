//! An unacknowledged delivery, and the next step for it.

use crate::{
    apply::transaction::ApplyOutcome,
    failure::{Permanent, Refusal},
    read::message::{EventReader, ParsedMessage},
};
use lapin::types::DeliveryTag;
use shared::{message::Meta, shutdown::CancellationToken};
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// The queue that a delivery comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SourceQueue {
    /// The work queue.
    Work,
    /// The over-limit queue. The broker moved the message here after too many deliveries
    /// without an acknowledgement. The worker only records it as a dead letter.
    OverLimit,
}

/// A delivery that is not acknowledged yet.
#[derive(Debug)]
pub(crate) struct Delivery {
    /// The message, read.
    pub(crate) message: ParsedMessage,
    /// RabbitMQ's number for it on its channel.
    pub(crate) tag: DeliveryTag,
    /// When the worker received it.
    pub(crate) delivered_at: SystemTime,
    /// Since when its account is locked by another database session, if it is.
    pub(crate) locked_since: Option<Instant>,
    /// How long batches have waited for that lock in all.
    pub(crate) lock_waited: Duration,
}

impl Delivery {
    /// Reads a delivery of RabbitMQ's.
    pub(crate) fn read(delivery: lapin::message::Delivery, from: SourceQueue, reader: &EventReader) -> Self {
        let meta = Meta::read(&delivery.properties);
        let mut message = reader.read(delivery.data, meta);
        message.redelivered = delivery.redelivered || meta.replayed || from == SourceQueue::OverLimit;
        if from == SourceQueue::OverLimit {
            message.meaning = Err(Refusal::new(
                Permanent::DeliveryLimit,
                "RabbitMQ delivered it too often without an acknowledgement: workers crashed or lost their connection before they acknowledged it, perhaps because of another message; replay it once the workers are stable",
            ));
        }
        Self {
            message,
            tag: delivery.delivery_tag,
            delivered_at: SystemTime::now(),
            locked_since: None,
            lock_waited: Duration::ZERO,
        }
    }
}

/// What the worker must do with a delivery before its acknowledgement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Disposition {
    /// It is committed. A dead letter must still be published to the dead-letter queue.
    Settled(ApplyOutcome),
    /// Publish it to a retry queue.
    Retry {
        /// The delay of that queue.
        delay: Duration,
        /// The message's new headers, with its attempts and the time of its first failure.
        meta: Meta,
        /// Why it could not be applied.
        error: String,
    },
    /// Keep it and try again soon, because another database session locks its account.
    SetAside {
        /// How long this batch waited for the lock.
        waited: Duration,
    },
    /// Record it as a dead letter with this detail, because every retry failed.
    Exhausted(String),
}

/// The work was stopped early. Nothing more is acknowledged, so the broker delivers the
/// rest again. No attempt is counted.
#[derive(Debug)]
pub(crate) struct Interrupted;

/// Pauses before another attempt.
///
/// # Errors
/// [`Interrupted`] on `stop`.
pub(crate) async fn pause(length: Duration, stop: &CancellationToken) -> Result<(), Interrupted> {
    tokio::select! {
        () = tokio::time::sleep(length) => Ok(()),
        () = stop.cancelled() => Err(Interrupted),
    }
}
