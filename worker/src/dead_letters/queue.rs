//! Takes messages from the dead-letter queue. A message that is taken and not
//! removed goes back to the queue at the end, also after a crash.

use super::error::MoveError;
use crate::store;
use futures_util::{StreamExt, stream::SelectAll};
use lapin::{
    Acker, Channel, Connection, Consumer,
    message::Delivery,
    options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};
use shared::{
    broker::{Broker, BrokerError},
    message::EVENT_ID,
    topology::Topology,
};
use sqlx::PgConnection;
use std::{collections::HashSet, time::Duration};

/// Most unacknowledged messages of a consumer. It bounds the bodies in memory. When
/// that many are kept, the next consumer starts.
const PREFETCH: u16 = 100;
/// How long the next message may take while the queue should have more.
const NEXT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the broker may take to answer. lapin may never notice that its
/// connection is gone.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection to the dead-letter queue.
pub(super) struct DeadLetterQueue {
    connection: Connection,
    channel: Channel,
    name: String,
    consumers: SelectAll<Consumer>,
    /// Messages that were in the queue at the opening and have not been taken yet.
    /// Later messages may be replayed ones that failed again.
    left: u32,
    /// Messages taken and not removed.
    taken: usize,
    /// Messages that the consumers may take in all.
    capacity: usize,
    /// Messages that the action does not move: their ids, and how to remove them.
    kept: Vec<(String, Acker)>,
}

impl DeadLetterQueue {
    pub(super) async fn open(broker: &Broker, topology: &Topology) -> Result<Self, MoveError> {
        tokio::time::timeout(ANSWER_TIMEOUT, Self::connect(broker, topology))
            .await
            .unwrap_or_else(|_| Err(no_answer()))
    }

    async fn connect(broker: &Broker, topology: &Topology) -> Result<Self, MoveError> {
        let connection = broker.connect("dead letters").await?;
        let channel = connection.create_channel().await?;
        topology.declare(&channel).await?;
        let passive = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::default()
        };
        let name = topology.dead();
        let declared = channel
            .queue_declare(name.as_str().into(), passive, FieldTable::default())
            .await?;
        channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
        Ok(Self {
            left: declared.message_count(),
            connection,
            channel,
            name,
            consumers: SelectAll::new(),
            taken: 0,
            capacity: 0,
            kept: Vec::new(),
        })
    }

    /// The next message and its event's id. None after the last one.
    pub(super) async fn next(&mut self) -> Result<Option<(String, Delivery)>, MoveError> {
        if self.left == 0 {
            return Ok(None);
        }
        if self.taken == self.capacity {
            let options = BasicConsumeOptions::default();
            let consumer =
                self.channel
                    .basic_consume(self.name.as_str().into(), "".into(), options, FieldTable::default());
            let consumer = tokio::time::timeout(ANSWER_TIMEOUT, consumer).await;
            self.consumers.push(consumer.map_err(|_| no_answer())??);
            self.capacity += usize::from(PREFETCH);
        }
        let next = tokio::time::timeout(NEXT_TIMEOUT, self.consumers.next()).await;
        let next = next.map_err(|_| no_answer())?;
        let gone = || BrokerError::Unusable("the dead-letter queue was deleted, or the connection ended".to_owned());
        let delivery = next.ok_or_else(gone)??;
        self.left -= 1;
        self.taken += 1;
        Ok(Some((id_of(&delivery).unwrap_or_default(), delivery)))
    }

    /// Removes a message for good.
    pub(super) async fn remove(&mut self, acker: &Acker) -> Result<(), MoveError> {
        let removed = tokio::time::timeout(ANSWER_TIMEOUT, acker.ack(BasicAckOptions::default())).await;
        match removed {
            Ok(Ok(true)) => {
                self.taken -= 1;
                Ok(())
            }
            Ok(Err(error)) => Err(error.into()),
            Ok(Ok(false)) | Err(_) => {
                Err(BrokerError::Unusable("the connection ended before a message was removed".to_owned()).into())
            }
        }
    }

    /// Keeps a message that the action does not move. Its body is dropped.
    pub(super) fn keep(&mut self, id: String, delivery: Delivery) {
        self.kept.push((id, delivery.acker));
    }

    /// Removes the kept messages whose dead letters are resolved, and returns how
    /// many. They are left from an action that was cut off, or their event came again
    /// and was applied.
    pub(super) async fn remove_resolved(&mut self, record: &mut PgConnection) -> Result<usize, MoveError> {
        const BATCH_MAX: usize = 5_000;
        let kept = std::mem::take(&mut self.kept);
        let mut removed = 0;
        for batch in kept.chunks(BATCH_MAX) {
            let ids: Vec<String> = batch.iter().map(|(id, _)| id.clone()).collect();
            let resolved: HashSet<String> = store::dead_letter_queries::resolved(record, &ids)
                .await?
                .into_iter()
                .collect();
            for (_, acker) in batch.iter().filter(|(id, _)| resolved.contains(id)) {
                self.remove(acker).await?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Closes the connection. The broker puts the messages that were taken and not
    /// removed back into the queue.
    pub(super) async fn close(self) -> Result<(), MoveError> {
        let closing = async {
            self.channel.close(200, "done".into()).await?;
            self.connection.close(200, "done".into()).await
        };
        match tokio::time::timeout(ANSWER_TIMEOUT, closing).await {
            Ok(Err(error)) => Err(error.into()),
            _ => Ok(()),
        }
    }
}

fn no_answer() -> MoveError {
    BrokerError::Unusable("the dead-letter queue does not answer".to_owned()).into()
}

/// The id that the worker wrote into the message's headers.
fn id_of(delivery: &Delivery) -> Option<String> {
    match delivery.properties.headers().as_ref()?.inner().get(EVENT_ID)? {
        AMQPValue::LongString(text) => Some(text.to_string()),
        _ => None,
    }
}
