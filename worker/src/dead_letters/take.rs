//! Taking messages out of the dead-letter queue. Each is held until it is
//! removed; what is still held at the end, also at a crash, is back in the queue.

use super::MoveError;
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

/// Messages that a consumer holds at the most: bounds the bodies in memory. Who
/// holds so many that are not to be moved goes on with one more consumer.
const WINDOW: u16 = 100;
/// A queue that says nothing for so long, with messages to come, is not well.
const SILENCE_MOST: Duration = Duration::from_secs(5);
/// lapin may never hear that its connection is gone.
const ANSWER_MOST: Duration = Duration::from_secs(10);

/// The dead-letter queue, opened.
pub(super) struct Shelf {
    connection: Connection,
    channel: Channel,
    queue: String,
    consumers: SelectAll<Consumer>,
    /// Messages that were there when it was opened and have not come yet. Those
    /// that come later may be what was just put back to work, and failed again.
    left: u32,
    /// Messages out and not removed.
    out: usize,
    /// Messages that may be out.
    room: usize,
    /// Those that were not to be moved: their ids, and how to remove them.
    held: Vec<(String, Acker)>,
}

impl Shelf {
    pub(super) async fn open(broker: &Broker, topology: &Topology) -> Result<Self, MoveError> {
        tokio::time::timeout(ANSWER_MOST, Self::opened(broker, topology))
            .await
            .unwrap_or_else(|_| Err(silent()))
    }

    async fn opened(broker: &Broker, topology: &Topology) -> Result<Self, MoveError> {
        let connection = broker.connect("dead letters").await?;
        let channel = connection.create_channel().await?;
        topology.declare(&channel).await?;
        let passive = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::default()
        };
        let queue = topology.dead();
        let declared = channel
            .queue_declare(queue.as_str().into(), passive, FieldTable::default())
            .await?;
        channel.basic_qos(WINDOW, BasicQosOptions::default()).await?;
        Ok(Self {
            left: declared.message_count(),
            connection,
            channel,
            queue,
            consumers: SelectAll::new(),
            out: 0,
            room: 0,
            held: Vec::new(),
        })
    }

    /// The next message with its event's id; none when all have come.
    pub(super) async fn next(&mut self) -> Result<Option<(String, Delivery)>, MoveError> {
        if self.left == 0 {
            return Ok(None);
        }
        if self.out == self.room {
            let options = BasicConsumeOptions::default();
            let consumer =
                self.channel
                    .basic_consume(self.queue.as_str().into(), "".into(), options, FieldTable::default());
            let consumer = tokio::time::timeout(ANSWER_MOST, consumer).await;
            self.consumers.push(consumer.map_err(|_| silent())??);
            self.room += usize::from(WINDOW);
        }
        let next = tokio::time::timeout(SILENCE_MOST, self.consumers.next()).await;
        let next = next.map_err(|_| silent())?;
        let gone = || BrokerError::Unusable("the dead-letter queue was deleted, or the connection ended".to_owned());
        let delivery = next.ok_or_else(gone)??;
        self.left -= 1;
        self.out += 1;
        Ok(Some((id_of(&delivery).unwrap_or_default(), delivery)))
    }

    /// Removes a message for good.
    pub(super) async fn remove(&mut self, acker: &Acker) -> Result<(), MoveError> {
        let removed = tokio::time::timeout(ANSWER_MOST, acker.ack(BasicAckOptions::default())).await;
        match removed {
            Ok(Ok(true)) => {
                self.out -= 1;
                Ok(())
            }
            Ok(Err(error)) => Err(error.into()),
            Ok(Ok(false)) | Err(_) => {
                Err(BrokerError::Unusable("the connection ended before a message was removed".to_owned()).into())
            }
        }
    }

    /// Keeps a message that is not to be moved until the end; its body is dropped.
    pub(super) fn keep(&mut self, id: String, delivery: Delivery) {
        self.held.push((id, delivery.acker));
    }

    /// Removes those of the kept that wait for no operator any more: the rest of
    /// a move that was cut off, or an event that came again by itself and was
    /// applied. Returns how many.
    pub(super) async fn remove_resolved(&mut self, record: &mut PgConnection) -> Result<usize, MoveError> {
        const AT_ONCE: usize = 5_000;
        let held = std::mem::take(&mut self.held);
        let mut removed = 0;
        for some in held.chunks(AT_ONCE) {
            let ids: Vec<String> = some.iter().map(|(id, _)| id.clone()).collect();
            let resolved: HashSet<String> = store::dead_letter_queries::resolved(record, &ids)
                .await?
                .into_iter()
                .collect();
            for (_, acker) in some.iter().filter(|(id, _)| resolved.contains(id)) {
                self.remove(acker).await?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Gives back what is still held.
    pub(super) async fn close(self) -> Result<(), MoveError> {
        let goodbye = async {
            self.channel.close(200, "done".into()).await?;
            self.connection.close(200, "done".into()).await
        };
        match tokio::time::timeout(ANSWER_MOST, goodbye).await {
            Ok(Err(error)) => Err(error.into()),
            _ => Ok(()),
        }
    }
}

fn silent() -> MoveError {
    BrokerError::Unusable("the dead-letter queue does not answer".to_owned()).into()
}

/// The id that a worker wrote on a dead letter.
fn id_of(delivery: &Delivery) -> Option<String> {
    match delivery.properties.headers().as_ref()?.inner().get(EVENT_ID)? {
        AMQPValue::LongString(text) => Some(text.to_string()),
        _ => None,
    }
}
