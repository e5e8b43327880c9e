//! Publishing that is only done when the broker says so: persistent, mandatory,
//! confirmed, routed, within a time limit.

use crate::{
    broker::{Broker, BrokerError, Up},
    metrics::{BROKER_BLOCKED, CONFIRM_SECONDS, PUBLISHES},
    shutdown::CancellationToken,
    topology::Topology,
};
use futures_util::StreamExt;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, Event,
    options::{BasicPublishOptions, ConfirmSelectOptions},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Notify, Semaphore, watch},
    time::Instant,
};

/// Channels on the connection, used in turn: a channel handles its publishes one by one.
const CHANNELS: usize = 4;
/// Publishes that may wait for a confirm at once; bounds what is held in memory
/// when the broker stops answering.
const IN_FLIGHT_MOST: usize = 2_048;

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
    Up(Arc<[Channel]>),
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
    in_flight: Semaphore,
    /// Tells the session that its connection should be built anew.
    suspect: Notify,
    last_confirm: watch::Sender<Instant>,
}

impl Shared {
    /// Takes back a doubt that nobody has acted on yet.
    async fn forget_doubt(&self) {
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
            in_flight: Semaphore::new(IN_FLIGHT_MOST),
            suspect: Notify::new(),
            last_confirm: watch::Sender::new(Instant::now()),
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
        let outcome = self.try_publish(queue, properties, body).await;
        PUBLISHES
            .with_label_values(&[outcome.as_ref().err().map_or("confirmed", PublishError::label)])
            .inc();
        outcome
    }

    /// `Err` with the reason while nothing can be published.
    pub fn readiness(&self) -> Result<(), PublishError> {
        match &*self.link.borrow() {
            Link::Up(_) => Ok(()),
            Link::Blocked => Err(PublishError::Blocked),
            Link::Down => Err(PublishError::Unavailable),
        }
    }

    /// Waits until publishing is possible.
    pub async fn ready(&self) {
        let mut link = self.link.clone();
        // The sender lives as long as the supervisor; without it there is nothing to wait for.
        let _ = link.wait_for(|l| matches!(l, Link::Up(_))).await;
    }

    async fn try_publish(&self, queue: &str, properties: BasicProperties, body: &[u8]) -> Result<(), PublishError> {
        let _permit = self
            .shared
            .in_flight
            .try_acquire()
            .map_err(|_| PublishError::Overloaded)?;
        let channel = match &*self.link.borrow() {
            Link::Up(channels) => channels[self.shared.turn.fetch_add(1, Ordering::Relaxed) % channels.len()].clone(),
            Link::Blocked => return Err(PublishError::Blocked),
            Link::Down => return Err(PublishError::Unavailable),
        };
        let started = Instant::now();
        let confirmed = tokio::time::timeout(self.timeout, async {
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
        self.after(started, &outcome);
        outcome
    }

    /// Times what was confirmed, and has the connection rebuilt where it looks broken.
    fn after(&self, started: Instant, outcome: &Result<(), PublishError>) {
        match outcome {
            Ok(()) => {
                CONFIRM_SECONDS
                    .with_label_values::<&str>(&[])
                    .observe(started.elapsed().as_secs_f64());
                self.shared.last_confirm.send_replace(Instant::now());
            }
            Err(PublishError::Returned | PublishError::Failed(_)) => self.shared.suspect.notify_one(),
            // One slow message is no reason to drop its siblings; a connection
            // that confirmed nothing since is half open or hangs.
            Err(PublishError::TimedOut) if *self.shared.last_confirm.borrow() < started => {
                self.shared.suspect.notify_one();
            }
            Err(_) => {}
        }
    }
}

/// One connection's life: declare, open, serve, until something is wrong with it.
async fn session(
    connection: Connection,
    up: Up,
    topology: &Topology,
    shared: &Shared,
    link: &watch::Sender<Link>,
    stop: &CancellationToken,
) -> Result<(), BrokerError> {
    let mut events = Box::pin(connection.events_listener());
    topology.declare(&connection.create_channel().await?).await?;
    let mut channels = Vec::with_capacity(CHANNELS);
    for _ in 0..CHANNELS {
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        channels.push(channel);
    }
    let channels: Arc<[Channel]> = channels.into();
    link.send_replace(Link::Up(Arc::clone(&channels)));
    up.established();
    // A doubt that was left over from the last connection is not about this one.
    shared.forget_doubt().await;
    let mut blocked = false;
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = shared.suspect.notified(), if !blocked => {
                return Err(BrokerError::Unusable("a publish failed or was not confirmed in time".to_owned()));
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
                    // What was not confirmed while blocked says nothing about the connection.
                    shared.forget_doubt().await;
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
