//! Puts messages on the work queue, confirmed: what was fetched from Stripe goes
//! the way of any event.

use crate::{
    broker::Broker,
    message::{Meta, Source, now_ms, properties},
    publisher::{PublishError, Publisher},
    shutdown::CancellationToken,
    topology::Topology,
};
use futures_util::{StreamExt, stream::FuturesUnordered};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// A message of a command's that is not confirmed by then is taken for not stored.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a command waits for RabbitMQ.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A command found no broker to publish to.
#[derive(Debug, thiserror::Error)]
#[error("{0}; nothing was done")]
pub struct NoBroker(PublishError);

/// Runs a command's `work` with a publisher, once that is connected.
///
/// # Errors
/// [`NoBroker`], and those of `work`.
pub async fn with_publisher<T, E: From<NoBroker>>(
    broker: Broker,
    topology: Topology,
    work: impl AsyncFnOnce(Publisher) -> Result<T, E>,
) -> Result<T, E> {
    let stop = CancellationToken::new();
    let (publisher, publishing) = Publisher::start(broker, topology, PUBLISH_TIMEOUT, stop.clone());
    let publishing = tokio::spawn(publishing);
    let began = Instant::now();
    while let Err(error) = publisher.readiness() {
        if began.elapsed() > CONNECT_TIMEOUT {
            return Err(NoBroker(error).into());
        }
        sleep(Duration::from_millis(20)).await;
    }
    let done = work(publisher).await;
    stop.cancel();
    let _ = timeout(Duration::from_secs(1), publishing).await;
    done
}

/// Messages that wait for their confirms at once.
const AT_ONCE: usize = 32;

/// A message for the work queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The event's id.
    pub id: String,
    /// Its type.
    pub kind: String,
    /// Its body.
    pub body: Vec<u8>,
}

/// The work queue, to publish to.
#[derive(Debug, Clone)]
pub struct WorkQueue {
    publisher: Publisher,
    work: String,
}

impl WorkQueue {
    /// To the work queue of this topology.
    #[must_use]
    pub fn new(publisher: Publisher, topology: &Topology) -> Self {
        Self {
            publisher,
            work: topology.work(),
        }
    }

    /// Puts all of them on the queue, in no order. `Ok` only after the broker has
    /// confirmed each.
    ///
    /// # Errors
    /// When one was not confirmed; others may have been.
    pub async fn put(&self, messages: &[Message], source: Source) -> Result<(), PublishError> {
        let began = Instant::now();
        let mut puts = FuturesUnordered::new();
        for message in messages {
            if puts.len() == AT_ONCE {
                puts.next().await.transpose()?;
            }
            puts.push(self.put_one(message, source, began));
        }
        while puts.next().await.transpose()?.is_some() {}
        Ok(())
    }

    async fn put_one(&self, message: &Message, source: Source, began: Instant) -> Result<(), PublishError> {
        let headers = Meta::new(source, now_ms()).headers();
        let properties = properties(&message.id, &message.kind, headers);
        self.publisher
            .publish_of_batch(began, &self.work, properties, &message.body)
            .await
    }

    /// Whether it can be reached right now.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.publisher.readiness().is_ok()
    }

    /// How many messages wait on the work queue.
    ///
    /// # Errors
    /// When the broker does not say.
    pub async fn waiting(&self) -> Result<u32, PublishError> {
        let depths = self.publisher.depths().await?;
        Ok(depths.get(&self.work).copied().unwrap_or_default())
    }
}
