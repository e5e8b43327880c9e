//! The handle that messages are published with.

use super::{
    channels::Channels,
    error::PublishError,
    session::{self, ConnectionHealth, LinkState},
    slots::PublishSlots,
};
use crate::{
    broker::{Broker, BrokerError},
    metrics::{BROKER_BLOCKED, CONFIRM_SECONDS, PUBLISHES},
    shutdown::CancellationToken,
    topology::Topology,
};
use lapin::{BasicProperties, Confirmation, options::BasicPublishOptions};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{sync::watch, time::Instant};

/// A connection is replaced if only refusals came for this long. On RabbitMQ 3.10, a
/// channel that met a full quorum queue goes on refusing, even after the limit of the
/// queue is gone.
const REFUSALS_MAX: Duration = Duration::from_secs(2);
/// How long reading the lengths of the queues may take.
const DEPTHS_TIMEOUT: Duration = Duration::from_secs(2);

/// A handle to publish with. Clones share one supervised connection.
#[derive(Debug, Clone)]
pub struct Publisher {
    link: watch::Receiver<LinkState>,
    slots: Arc<PublishSlots>,
    health: Arc<ConnectionHealth>,
    timeout: Duration,
}

impl Publisher {
    /// Starts a publisher and the future that keeps its connection. Run that future
    /// for as long as the publisher is used. `timeout` limits each publish.
    pub fn start(
        broker: Broker,
        topology: Topology,
        timeout: Duration,
        stop: CancellationToken,
    ) -> (Self, impl Future<Output = Result<(), BrokerError>>) {
        let (link_sender, link) = watch::channel(LinkState::Down);
        let health = Arc::new(ConnectionHealth::new());
        let publisher = Self {
            link,
            slots: Arc::new(PublishSlots::new()),
            health: Arc::clone(&health),
            timeout,
        };
        let run = async move {
            let (topology, health, link, stop) = (&topology, &*health, &link_sender, &stop);
            let session = |connection, status| async move {
                let ended = session::serve(connection, status, topology, health, link, stop).await;
                link.send_replace(LinkState::Down);
                BROKER_BLOCKED.set(0);
                ended
            };
            broker.supervise("publish", stop, session).await
        };
        (publisher, run)
    }

    /// Publishes one message. Returns `Ok` only after the broker has confirmed that the
    /// message is stored in the queue named `queue`.
    pub async fn publish(&self, queue: &str, properties: BasicProperties, body: &[u8]) -> Result<(), PublishError> {
        let publish = async {
            let _slot = self.slots.take()?;
            self.try_publish(Instant::now(), queue, properties, body).await
        };
        counted(publish.await)
    }

    /// Like [`publish`](Self::publish), for a message of a batch: waits for a free slot.
    /// All messages of a batch share one time limit, counted from `began`.
    pub async fn publish_of_batch(
        &self,
        began: Instant,
        queue: &str,
        properties: BasicProperties,
        body: &[u8],
    ) -> Result<(), PublishError> {
        let publish = async {
            let slot = tokio::time::timeout_at(began + self.timeout, self.slots.take_for_batch());
            let _slot = slot.await.map_err(|_| PublishError::Overloaded)??;
            self.try_publish(began, queue, properties, body).await
        };
        counted(publish.await)
    }

    /// Whether messages can be published now; `Err` has the reason why not.
    pub fn readiness(&self) -> Result<(), PublishError> {
        self.channels().map(drop)
    }

    /// The number of messages that wait in each queue, by the queue's name. Messages
    /// that workers have not acknowledged are not counted. Declares nothing and touches no message.
    ///
    /// # Errors
    /// If the broker does not answer in time, or a queue does not exist.
    pub async fn depths(&self) -> Result<BTreeMap<String, u32>, PublishError> {
        let channels = self.channels()?;
        tokio::time::timeout(DEPTHS_TIMEOUT, channels.depths())
            .await
            .unwrap_or(Err(PublishError::TimedOut))
    }

    fn channels(&self) -> Result<Arc<Channels>, PublishError> {
        match &*self.link.borrow() {
            LinkState::Open(channels) => Ok(Arc::clone(channels)),
            LinkState::Blocked => Err(PublishError::Blocked),
            LinkState::Down => Err(PublishError::Unavailable),
        }
    }

    async fn try_publish(
        &self,
        began: Instant,
        queue: &str,
        properties: BasicProperties,
        body: &[u8],
    ) -> Result<(), PublishError> {
        let channel = self.channels()?.next(queue)?.clone();
        let started = Instant::now();
        let confirmed = tokio::time::timeout_at(began + self.timeout, async {
            let options = BasicPublishOptions {
                mandatory: true,
                immediate: false,
            };
            channel
                .basic_publish("".into(), queue.into(), options, body, properties)
                .await?
                .await
        })
        .await;
        let outcome = match confirmed {
            Ok(Ok(Confirmation::Ack(None))) => Ok(()),
            Ok(Ok(Confirmation::Ack(Some(_)))) => Err(PublishError::Returned),
            Ok(Ok(Confirmation::Nack(_))) => Err(PublishError::Nacked),
            Ok(Ok(Confirmation::NotRequested)) => Err(PublishError::Failed("the channel does not confirm".to_owned())),
            Ok(Err(error)) => Err(PublishError::Failed(error.to_string())),
            Err(_) => Err(PublishError::TimedOut),
        };
        self.after(began, started, &outcome);
        outcome
    }

    /// Notes a confirm, or asks for a new connection if this one looks broken.
    fn after(&self, began: Instant, started: Instant, outcome: &Result<(), PublishError>) {
        match outcome {
            Ok(()) => {
                CONFIRM_SECONDS.observe(started.elapsed().as_secs_f64());
                self.health.confirmed();
            }
            Err(PublishError::Returned | PublishError::Failed(_)) => self.health.suspect(),
            // One slow message is no reason to drop the others. A connection that
            // confirmed nothing in the whole time is half open or hangs.
            Err(PublishError::TimedOut) if self.health.last_confirm() < began => self.health.suspect(),
            Err(PublishError::Nacked) if self.health.last_confirm().elapsed() > REFUSALS_MAX => self.health.suspect(),
            Err(_) => {}
        }
    }
}

fn counted(outcome: Result<(), PublishError>) -> Result<(), PublishError> {
    PUBLISHES
        .with_label_values(&[outcome.as_ref().err().map_or("confirmed", PublishError::label)])
        .inc();
    outcome
}
