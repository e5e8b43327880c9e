//! The channels of one connection.

use super::error::PublishError;
use crate::topology::Topology;
use lapin::{
    Channel, Connection,
    options::{ConfirmSelectOptions, QueueDeclareOptions},
    types::FieldTable,
};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Channels to the work queue, used in turn. A channel handles its publishes one by one.
const WORK_CHANNELS: usize = 4;

/// The channels of a connection, by the queue that they publish to. No channel
/// serves two queues: when a queue is gone, lapin may report the returned message
/// to another publish of the same channel, and the `Ack(None)` of that publish to
/// the returned one.
#[derive(Debug)]
pub(super) struct Channels {
    by_queue: BTreeMap<String, Vec<Channel>>,
    turn: AtomicUsize,
    /// For reading the lengths of the queues. Weak, so that only the session keeps the
    /// connection open.
    connection: Weak<Connection>,
}

impl Channels {
    /// Declares the queues and opens the channels.
    pub(super) async fn open(connection: &Arc<Connection>, topology: &Topology) -> lapin::Result<Self> {
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
        Ok(Self {
            by_queue,
            turn: AtomicUsize::new(0),
            connection: Arc::downgrade(connection),
        })
    }

    /// The next channel to `queue`.
    pub(super) fn next(&self, queue: &str) -> Result<&Channel, PublishError> {
        let channels = self.by_queue.get(queue).map_or(&[][..], Vec::as_slice);
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let place = turn.checked_rem(channels.len());
        place
            .and_then(|place| channels.get(place))
            .ok_or_else(|| PublishError::Failed(format!("{queue} is not in the topology")))
    }

    /// The number of waiting messages, by queue.
    pub(super) async fn depths(&self) -> Result<BTreeMap<String, u32>, PublishError> {
        let failed = |error: lapin::Error| PublishError::Failed(error.to_string());
        let connection = self.connection.upgrade().ok_or(PublishError::Unavailable)?;
        // A channel of its own: a passive declaration of a missing queue closes the channel.
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
