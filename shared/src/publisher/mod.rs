//! Publishes persistent messages, and reports success only after the broker has
//! routed, stored and confirmed them, within a time limit.

mod room;

use crate::{
    broker::{self, Broker, BrokerError, Up},
    metrics::{BROKER_BLOCKED, CONFIRM_SECONDS, PUBLISHES},
    shutdown::CancellationToken,
    topology::Topology,
};
use futures_util::StreamExt;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, Event,
    options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions},
    types::FieldTable,
};
use room::Room;
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

/// Channels to the work queue, used in turn: a channel handles its publishes one by one.
const WORK_CHANNELS: usize = 4;
/// A connection on which only refusals came for this long is built anew. RabbitMQ
/// 3.10 with quorum queues goes on refusing on a channel that met a full queue,
/// even after the queue's limit is gone.
const REFUSALS_MAX: Duration = Duration::from_secs(2);
/// How long reading the queues' lengths may take.
const DEPTHS_TIMEOUT: Duration = Duration::from_secs(2);

/// Why a message is not known to be stored. The message may still arrive.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// There is no connection.
    #[error("no connection to RabbitMQ")]
    Unavailable,
    /// A memory or disk alarm: the broker takes nothing.
    #[error("RabbitMQ blocks publishing: a resource alarm is on")]
    Blocked,
    /// Too many publishes wait already.
    #[error("too many publishes wait for RabbitMQ")]
    Overloaded,
    /// No queue took it. The queues are declared anew.
    #[error("RabbitMQ returned the message: its queue does not exist")]
    Returned,
    /// The queue refused it, since it is full or has no majority.
    #[error("RabbitMQ refused the message: the queue is full or not available")]
    Nacked,
    /// No confirm in time.
    #[error("RabbitMQ did not confirm in time")]
    TimedOut,
    /// The channel or connection failed.
    #[error("the connection to RabbitMQ failed: {0}")]
    Failed(String),
}

impl PublishError {
    fn label(&self) -> &'static str {
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

#[derive(Debug, Clone)]
enum Link {
    Down,
    Blocked,
    Up(Arc<Channels>),
}

/// The channels of a connection, by the queue that they publish to. No channel
/// serves two queues: when a queue is gone, lapin may give the returned message to
/// another publish of the same channel, and the `Ack(None)` of that publish to the
/// returned one.
#[derive(Debug)]
struct Channels {
    by_queue: BTreeMap<String, Vec<Channel>>,
    /// To read the queues' lengths. Weak, so that only the session keeps it open.
    connection: Weak<Connection>,
}

impl Channels {
    fn of(&self, queue: &str, turn: &AtomicUsize) -> Result<Channel, PublishError> {
        let channels = self.by_queue.get(queue).filter(|c| !c.is_empty());
        let channels = channels.ok_or_else(|| PublishError::Failed(format!("{queue} is not in the topology")))?;
        Ok(channels[turn.fetch_add(1, Ordering::Relaxed) % channels.len()].clone())
    }

    async fn depths(&self) -> Result<BTreeMap<String, u32>, PublishError> {
        let failed = |error: lapin::Error| PublishError::Failed(error.to_string());
        let connection = self.connection.upgrade().ok_or(PublishError::Unavailable)?;
        // A channel of its own: asking for a queue that is gone closes the channel.
        let channel = connection.create_channel().await.map_err(failed)?;
        drop(connection);
        let passive = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::default()
        };
        let mut depths = BTreeMap::new();
        for queue in self.by_queue.keys() {
            let found = channel.queue_declare(queue.as_str().into(), passive, FieldTable::default());
            depths.insert(queue.clone(), found.await.map_err(failed)?.message_count());
        }
        channel.close(200, "looked".into()).await.map_err(failed)?;
        Ok(depths)
    }
}

/// A handle to publish with; clones share one supervised connection.
#[derive(Debug, Clone)]
pub struct Publisher {
    link: watch::Receiver<Link>,
    shared: Arc<Shared>,
    timeout: Duration,
}

#[derive(Debug)]
struct Shared {
    turn: AtomicUsize,
    room: Room,
    /// Asks the session to build its connection anew.
    suspect: Notify,
    /// When the last confirm came, or when the connection was made.
    last_good: watch::Sender<Instant>,
}

impl Shared {
    /// Drops a request to build the connection anew that no session has acted on.
    async fn forget_suspicion(&self) {
        let _ = tokio::time::timeout(Duration::ZERO, self.suspect.notified()).await;
    }
}

impl Publisher {
    /// Starts a publisher and the future that keeps its connection, which must
    /// be run for as long as the publisher is used.
    pub fn start(
        broker: Broker,
        topology: Topology,
        timeout: Duration,
        stop: CancellationToken,
    ) -> (Self, impl Future<Output = Result<(), BrokerError>>) {
        let (link_sender, link) = watch::channel(Link::Down);
        let shared = Arc::new(Shared {
            turn: AtomicUsize::new(0),
            room: Room::new(),
            suspect: Notify::new(),
            last_good: watch::Sender::new(Instant::now()),
        });
        let publisher = Self {
            link,
            shared: Arc::clone(&shared),
            timeout,
        };
        let run = async move {
            let (topology, shared, link, stop) = (&topology, &*shared, &link_sender, &stop);
            let session = |connection, up| async move {
                let ended = session(connection, up, topology, shared, link, stop).await;
                link.send_replace(Link::Down);
                BROKER_BLOCKED.set(0);
                ended
            };
            broker.supervise("publish", stop, session).await
        };
        (publisher, run)
    }

    /// `Ok` only after the broker has confirmed that the message is stored in
    /// the queue named `queue`.
    pub async fn publish(&self, queue: &str, properties: BasicProperties, body: &[u8]) -> Result<(), PublishError> {
        let publish = async {
            let _room = self.shared.room.enter()?;
            self.try_publish(Instant::now(), queue, properties, body).await
        };
        counted(publish.await)
    }

    /// Like [`publish`](Self::publish), for a message of a batch: waits until there
    /// is room. All messages of a batch share one time limit, counted from `began`.
    pub async fn publish_of_batch(
        &self,
        began: Instant,
        queue: &str,
        properties: BasicProperties,
        body: &[u8],
    ) -> Result<(), PublishError> {
        let publish = async {
            let turn = tokio::time::timeout_at(began + self.timeout, self.shared.room.enter_in_turn());
            let _room = turn.await.map_err(|_| PublishError::Overloaded)??;
            self.try_publish(began, queue, properties, body).await
        };
        counted(publish.await)
    }

    /// `Err` with the reason while no message can be published.
    pub fn readiness(&self) -> Result<(), PublishError> {
        self.channels().map(drop)
    }

    /// How many messages wait in each queue, by the queue's name, without those
    /// that workers have in hand. Declares nothing and touches no message.
    ///
    /// # Errors
    /// When the broker does not answer in time, or a queue is gone.
    pub async fn depths(&self) -> Result<BTreeMap<String, u32>, PublishError> {
        let channels = self.channels()?;
        tokio::time::timeout(DEPTHS_TIMEOUT, channels.depths())
            .await
            .unwrap_or(Err(PublishError::TimedOut))
    }

    fn channels(&self) -> Result<Arc<Channels>, PublishError> {
        match &*self.link.borrow() {
            Link::Up(channels) => Ok(Arc::clone(channels)),
            Link::Blocked => Err(PublishError::Blocked),
            Link::Down => Err(PublishError::Unavailable),
        }
    }

    async fn try_publish(
        &self,
        began: Instant,
        queue: &str,
        properties: BasicProperties,
        body: &[u8],
    ) -> Result<(), PublishError> {
        let channel = self.channels()?.of(queue, &self.shared.turn)?;
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

    /// Records the time of a confirm, or asks for a new connection if this one looks broken.
    fn after(&self, began: Instant, started: Instant, outcome: &Result<(), PublishError>) {
        match outcome {
            Ok(()) => {
                CONFIRM_SECONDS.observe(started.elapsed().as_secs_f64());
                self.shared.last_good.send_replace(Instant::now());
            }
            Err(PublishError::Returned | PublishError::Failed(_)) => self.shared.suspect.notify_one(),
            // One slow message is no reason to drop the others. A connection that
            // confirmed nothing in the whole time is half open or hangs.
            Err(PublishError::TimedOut) if *self.shared.last_good.borrow() < began => {
                self.shared.suspect.notify_one();
            }
            Err(PublishError::Nacked) if self.shared.last_good.borrow().elapsed() > REFUSALS_MAX => {
                self.shared.suspect.notify_one();
            }
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

/// Serves one connection: declares the queues, opens the channels, and watches its
/// events until it fails or `stop` is cancelled.
async fn session(
    connection: Connection,
    up: Up,
    topology: &Topology,
    shared: &Shared,
    link: &watch::Sender<Link>,
    stop: &CancellationToken,
) -> Result<(), BrokerError> {
    let mut events = Box::pin(connection.events_listener());
    let connection = Arc::new(connection);
    let channels = tokio::select! {
        channels = open(&connection, topology) => channels?,
        error = broker::lost(&mut events) => return Err(error),
    };
    shared.last_good.send_replace(Instant::now());
    link.send_replace(Link::Up(Arc::clone(&channels)));
    up.established();
    // A request that is left from the last connection is not about this one.
    shared.forget_suspicion().await;
    let mut blocked = false;
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = shared.suspect.notified(), if !blocked => {
                return Err(BrokerError::Unusable("publishes failed, were refused, or were not confirmed in time".to_owned()));
            }
            event = events.next() => match event {
                Some(Event::ConnectionBlocked(reason)) => {
                    tracing::warn!(reason, "RabbitMQ blocks publishing");
                    blocked = true;
                    BROKER_BLOCKED.set(1);
                    link.send_replace(Link::Blocked);
                }
                Some(Event::ConnectionUnblocked) => {
                    tracing::info!("RabbitMQ takes messages again");
                    // A publish that failed while the broker blocked says nothing about the connection.
                    shared.forget_suspicion().await;
                    blocked = false;
                    BROKER_BLOCKED.set(0);
                    link.send_replace(Link::Up(Arc::clone(&channels)));
                }
                Some(Event::Error(error)) => return Err(error.into()),
                Some(_) => {}
                None => return Err(BrokerError::Unusable("the connection ended".to_owned())),
            }
        }
    }
}

async fn open(connection: &Arc<Connection>, topology: &Topology) -> lapin::Result<Arc<Channels>> {
    topology.declare(&connection.create_channel().await?).await?;
    let mut by_queue = BTreeMap::new();
    for (queue, _) in topology.queues() {
        let count = if queue == topology.work() { WORK_CHANNELS } else { 1 };
        let mut channels = Vec::with_capacity(count);
        for _ in 0..count {
            let channel = connection.create_channel().await?;
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            channels.push(channel);
        }
        by_queue.insert(queue, channels);
    }
    Ok(Arc::new(Channels {
        by_queue,
        connection: Arc::downgrade(connection),
    }))
}
