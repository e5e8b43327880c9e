//! Inspects and changes queues from outside the pair.

use crate::harness::wait_for;
use anyhow::{Context, Result, ensure};
use lapin::message::Delivery;
use lapin::options::{
    BasicGetOptions, BasicNackOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions,
    QueueDeleteOptions, QueuePurgeOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Confirmation, Connection, ConnectionProperties, Queue};
use shared::topology::Topology;
use std::time::Duration;

/// The queues of one namespace; [`Topology`] has their names.
#[derive(Debug)]
pub struct Queues {
    connection: Connection,
    topology: Topology,
}

impl Queues {
    /// Connects to the broker, for the queues of `topology`.
    ///
    /// # Errors
    /// When the broker does not answer.
    #[expect(
        clippy::disallowed_methods,
        reason = "a look from outside, that must not heal what it sees"
    )]
    pub async fn connect(amqp_url: &str, topology: Topology) -> Result<Self> {
        Ok(Self {
            connection: Connection::connect(amqp_url, ConnectionProperties::default()).await?,
            topology,
        })
    }

    /// Declares every queue, as the pair does when it starts.
    ///
    /// # Errors
    /// When the broker refuses.
    pub async fn declare_all(&self) -> Result<()> {
        let channel = self.connection.create_channel().await?;
        self.topology.declare(&channel).await?;
        Ok(channel.close(200, "declared".into()).await?)
    }

    /// The number of ready messages in `queue`.
    ///
    /// # Errors
    /// When there is no such queue.
    pub async fn depth(&self, queue: &str) -> Result<i64> {
        Ok(i64::from(self.look(queue).await?.message_count()))
    }

    /// The number of consumers of `queue`.
    ///
    /// # Errors
    /// When there is no such queue.
    pub async fn consumers(&self, queue: &str) -> Result<u32> {
        Ok(self.look(queue).await?.consumer_count())
    }

    async fn look(&self, queue: &str) -> Result<Queue> {
        // A new channel, because a missing queue closes the channel.
        let channel = self.connection.create_channel().await?;
        let passive = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::default()
        };
        let declared = channel
            .queue_declare(queue.into(), passive, FieldTable::default())
            .await?;
        channel.close(200, "looked".into()).await?;
        Ok(declared)
    }

    /// Publishes `body` to `queue`, and waits for the confirm.
    ///
    /// # Errors
    /// When the broker does not confirm it.
    pub async fn publish(&self, queue: &str, properties: BasicProperties, body: &[u8]) -> Result<()> {
        self.publish_all(queue, [(properties, body)]).await
    }

    /// Publishes `messages` to `queue` in order, and waits for all confirms.
    ///
    /// # Errors
    /// When the broker does not confirm one.
    pub async fn publish_all<'a, M>(&self, queue: &str, messages: M) -> Result<()>
    where
        M: IntoIterator<Item = (BasicProperties, &'a [u8])>,
    {
        let channel = self.connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let options = BasicPublishOptions {
            mandatory: true,
            ..BasicPublishOptions::default()
        };
        let mut confirms = Vec::new();
        for (properties, body) in messages {
            let published = channel.basic_publish("".into(), queue.into(), options, body, properties);
            confirms.push(published.await?);
        }
        for confirm in confirms {
            let confirm = confirm.await?;
            ensure!(
                matches!(confirm, Confirmation::Ack(None)),
                "{queue} did not take a message: {confirm:?}"
            );
        }
        Ok(channel.close(200, "published".into()).await?)
    }

    /// Removes and returns all messages of `queue`.
    ///
    /// # Errors
    /// When there is no such queue.
    pub async fn take_all(&self, queue: &str) -> Result<Vec<Delivery>> {
        let channel = self.connection.create_channel().await?;
        let mut taken = Vec::new();
        let no_ack = BasicGetOptions { no_ack: true };
        while let Some(message) = channel.basic_get(queue.into(), no_ack).await? {
            taken.push(message.delivery);
        }
        channel.close(200, "taken".into()).await.context("closing")?;
        Ok(taken)
    }

    /// Takes the first message of `queue` and returns it to the queue, `times` times.
    ///
    /// # Errors
    /// When there is no message.
    pub async fn return_first(&self, queue: &str, times: usize) -> Result<()> {
        let channel = self.connection.create_channel().await?;
        let give_back = BasicNackOptions {
            requeue: true,
            multiple: false,
        };
        for time in 0..times {
            let message = wait_for(Duration::from_secs(10), "a message is ready", async || {
                let message = channel.basic_get(queue.into(), BasicGetOptions::default()).await?;
                message.with_context(|| format!("none after {time} times"))
            });
            message.await?.acker.nack(give_back).await?;
        }
        Ok(channel.close(200, "returned".into()).await?)
    }

    /// Empties `queue`.
    ///
    /// # Errors
    /// When there is no such queue.
    pub async fn purge(&self, queue: &str) -> Result<()> {
        let channel = self.connection.create_channel().await?;
        channel.queue_purge(queue.into(), QueuePurgeOptions::default()).await?;
        Ok(channel.close(200, "purged".into()).await?)
    }

    /// Deletes `queue` with its messages.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn delete(&self, queue: &str) -> Result<()> {
        let channel = self.connection.create_channel().await?;
        channel
            .queue_delete(queue.into(), QueueDeleteOptions::default())
            .await?;
        Ok(channel.close(200, "deleted".into()).await?)
    }

    /// Deletes every queue of the namespace.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn delete_all(&self) -> Result<()> {
        let channel = self.connection.create_channel().await?;
        for (name, _) in self.topology.queues() {
            channel.queue_delete(name.into(), QueueDeleteOptions::default()).await?;
        }
        Ok(())
    }
}

/// The header `name` of a message as text.
#[must_use]
pub fn header(message: &Delivery, name: &str) -> Option<String> {
    match message.properties.headers().as_ref()?.inner().get(name)? {
        AMQPValue::LongString(text) => Some(text.to_string()),
        AMQPValue::LongLongInt(number) => Some(number.to_string()),
        other => Some(format!("{other:?}")),
    }
}
