//! Keeps one connection open, and shows publishers its state.

use super::channels::Channels;
use crate::{
    broker::{self, BrokerError, SessionStatus},
    metrics::BROKER_BLOCKED,
    shutdown::CancellationToken,
    topology::Topology,
};
use futures_util::StreamExt;
use lapin::{Connection, Event};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

/// Whether messages can be published now.
#[derive(Debug, Clone)]
pub(super) enum LinkState {
    /// There is no connection.
    Down,
    /// The broker accepts no messages.
    Blocked,
    /// The connection is open.
    Open(Arc<Channels>),
}

/// What publishes know of the connection.
#[derive(Debug)]
pub(super) struct ConnectionHealth {
    suspicion: Notify,
    last_confirm: watch::Sender<Instant>,
}

impl ConnectionHealth {
    pub(super) fn new() -> Self {
        Self {
            suspicion: Notify::new(),
            last_confirm: watch::Sender::new(Instant::now()),
        }
    }

    /// Asks the session to replace its connection.
    pub(super) fn suspect(&self) {
        self.suspicion.notify_one();
    }

    /// Notes that a confirm has come just now.
    pub(super) fn confirmed(&self) {
        self.last_confirm.send_replace(Instant::now());
    }

    /// When the last confirm came, or when the connection was made.
    pub(super) fn last_confirm(&self) -> Instant {
        *self.last_confirm.borrow()
    }

    /// Drops a suspicion that no session has acted on.
    async fn forget_suspicion(&self) {
        let _ = tokio::time::timeout(Duration::ZERO, self.suspicion.notified()).await;
    }
}

/// Serves one connection: declares the queues, opens the channels, and watches its
/// events until it fails or `stop` is cancelled.
pub(super) async fn serve(
    connection: Connection,
    status: SessionStatus,
    topology: &Topology,
    health: &ConnectionHealth,
    link: &watch::Sender<LinkState>,
    stop: &CancellationToken,
) -> Result<(), BrokerError> {
    let mut events = Box::pin(connection.events_listener());
    let connection = Arc::new(connection);
    let channels = tokio::select! {
        channels = Channels::open(&connection, topology) => Arc::new(channels?),
        error = broker::lost(&mut events) => return Err(error),
    };
    health.confirmed();
    link.send_replace(LinkState::Open(Arc::clone(&channels)));
    status.established();
    // A suspicion that is left from the last connection is not about this one.
    health.forget_suspicion().await;
    let mut blocked = false;
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = health.suspicion.notified(), if !blocked => {
                return Err(BrokerError::Unusable("publishes failed, were refused, or were not confirmed in time".to_owned()));
            }
            event = events.next() => match event {
                Some(Event::ConnectionBlocked(reason)) => {
                    tracing::warn!(reason, "RabbitMQ blocks publishing");
                    blocked = true;
                    BROKER_BLOCKED.set(1);
                    link.send_replace(LinkState::Blocked);
                }
                Some(Event::ConnectionUnblocked) => {
                    tracing::info!("RabbitMQ takes messages again");
                    // A publish that failed while the broker blocked says nothing about the connection.
                    health.forget_suspicion().await;
                    blocked = false;
                    BROKER_BLOCKED.set(0);
                    link.send_replace(LinkState::Open(Arc::clone(&channels)));
                }
                Some(Event::Error(error)) => return Err(error.into()),
                Some(_) => {}
                None => return Err(BrokerError::Unusable("the connection ended".to_owned())),
            }
        }
    }
}
