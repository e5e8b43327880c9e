//! Puts messages on the work queue. Events and subscriptions that were fetched from
//! Stripe go through the same queue as webhooks.

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

/// A command counts a message as not stored if no confirm comes within this time.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a command waits for RabbitMQ.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A command could not connect to RabbitMQ.
#[derive(Debug, thiserror::Error)]
#[error("{0}; nothing was done")]
pub struct NoBroker(PublishError);

/// Connects a publisher for a command, runs `work` with it, and disconnects.
///
/// # Errors
/// [`NoBroker`] after 10 s without a connection, and the errors of `work`.
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

/// Most messages that wait for their confirms at the same time.
const UNCONFIRMED_MAX: usize = 32;

/// A message for the work queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The event's id, such as `evt_…`. It becomes the property `message_id`.
    pub id: String,
    /// The event's type, such as `invoice.paid`. It becomes the property `type`.
    pub kind: String,
    /// The event as JSON.
    pub body: Vec<u8>,
}

/// A handle to put messages on the work queue.
#[derive(Debug, Clone)]
pub struct WorkQueue {
    publisher: Publisher,
    work: String,
}

impl WorkQueue {
    /// A handle for the work queue of `topology`.
    #[must_use]
    pub fn new(publisher: Publisher, topology: &Topology) -> Self {
        Self {
            publisher,
            work: topology.work(),
        }
    }

    /// Puts all messages on the queue, in any order. Returns `Ok` only after the broker
    /// has confirmed each of them, all within the timeout of one publish.
    ///
    /// # Errors
    /// If one message was not confirmed. Others may be stored.
    pub async fn put(&self, messages: &[Message], source: Source) -> Result<(), PublishError> {
        let began = Instant::now();
        let mut puts = FuturesUnordered::new();
        for message in messages {
            if puts.len() == UNCONFIRMED_MAX {
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

    /// Whether messages can be published now.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.publisher.readiness().is_ok()
    }

    /// The number of messages that wait on the work queue.
    ///
    /// # Errors
    /// If the broker does not answer.
    pub async fn waiting(&self) -> Result<u32, PublishError> {
        let depths = self.publisher.depths().await?;
        Ok(depths.get(&self.work).copied().unwrap_or_default())
    }
}
