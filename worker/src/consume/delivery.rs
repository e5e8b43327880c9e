//! A delivery in the worker's hands, and what is to be done with it.

use crate::{
    apply::transaction::Verdict,
    failure::{Permanent, Refusal},
    read::prepared::{EventReader, Prepared},
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
    /// The broker moved the message here, because it was delivered too often
    /// without an acknowledgement. It is only recorded, one by one.
    OverLimit,
}

/// A delivery that is not acknowledged yet.
#[derive(Debug)]
pub(crate) struct Delivery {
    /// What it means.
    pub(crate) item: Prepared,
    /// RabbitMQ's number for it on its channel.
    pub(crate) tag: DeliveryTag,
    /// When it came.
    pub(crate) delivered_at: SystemTime,
    /// Since when another session locks its account, if one does.
    pub(crate) locked_since: Option<Instant>,
    /// How long batches have waited for that lock in all.
    pub(crate) waited: Duration,
}

impl Delivery {
    /// Reads what RabbitMQ delivered.
    pub(crate) fn read(delivery: lapin::message::Delivery, from: SourceQueue, reader: &EventReader) -> Self {
        let meta = Meta::read(&delivery.properties);
        let mut item = reader.read(delivery.data, meta);
        item.again = delivery.redelivered || meta.replayed || from == SourceQueue::OverLimit;
        if from == SourceQueue::OverLimit {
            item.meaning = Err(Refusal::new(
                Permanent::DeliveryLimit,
                "RabbitMQ delivered it too often without an acknowledgement: workers crashed or were cut off while they held it, perhaps because of another message; replay it once they are stable",
            ));
        }
        Self {
            item,
            tag: delivery.delivery_tag,
            delivered_at: SystemTime::now(),
            locked_since: None,
            waited: Duration::ZERO,
        }
    }
}

/// What is to be done with a delivery before its acknowledgement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Disposition {
    /// Nothing more, or for a dead letter its publish: it is committed.
    Settled(Verdict),
    /// Put it on a retry queue.
    Retry {
        /// The delay of that queue.
        delay: Duration,
        /// The headers it gets: its attempts and times of failure.
        meta: Meta,
        /// Why it could not be applied.
        error: String,
    },
    /// Keep it and try again soon: another session locks its account.
    Aside {
        /// How long this batch waited for the lock; zero if it did not.
        waited: Duration,
    },
    /// Record it as dead, for this reason: every retry failed.
    Exhausted(String),
}

/// The work was broken off. Nothing more is acknowledged, so the broker delivers
/// the rest again; no attempt is counted.
#[derive(Debug)]
pub(crate) struct Interrupted;

/// Pauses before another attempt.
///
/// # Errors
/// [`Interrupted`] if the process is to stop meanwhile.
pub(crate) async fn pause(length: Duration, stop: &CancellationToken) -> Result<(), Interrupted> {
    tokio::select! {
        () = tokio::time::sleep(length) => Ok(()),
        () = stop.cancelled() => Err(Interrupted),
    }
}
