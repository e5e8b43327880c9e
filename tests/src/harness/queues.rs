//! A look at the queues from outside of the pair.

use anyhow::Result;
use lapin::options::{
    BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions, QueueDeleteOptions, QueuePurgeOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Connection, ConnectionProperties};
use shared::topology::Topology;

/// The queues of one namespace; [`Topology`] has their names.
#[derive(Debug)]
pub struct Queues {
    connection: Connection,
    topology: Topology,
}

impl Queues {
    /// Connects to look at the queues of `topology`.
    ///
    /// # Errors
    /// When the broker is not there.
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

    /// How many messages wait, ready, in the queue `queue`.
    ///
    /// # Errors
    /// When there is no such queue.
    pub async fn depth(&self, queue: &str) -> Result<i64> {
        // A channel of its own, because a queue that is not there closes it.
        let channel = self.connection.create_channel().await?;
        let passive = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::default()
        };
        let declared = channel
            .queue_declare(queue.into(), passive, FieldTable::default())
            .await?;
        channel.close(200, "looked".into()).await?;
        Ok(i64::from(declared.message_count()))
    }

    /// Puts `body` onto the queue `queue`, and waits for the confirm.
    ///
    /// # Errors
    /// When the broker does not take it.
    pub async fn publish(&self, queue: &str, properties: BasicProperties, body: &[u8]) -> Result<()> {
        let channel = self.connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let options = BasicPublishOptions::default();
        let published = channel.basic_publish("".into(), queue.into(), options, body, properties);
        published.await?.await?;
        Ok(channel.close(200, "published".into()).await?)
    }

    /// Empties the queue `queue`.
    ///
    /// # Errors
    /// When there is no such queue.
    pub async fn purge(&self, queue: &str) -> Result<()> {
        let channel = self.connection.create_channel().await?;
        channel.queue_purge(queue.into(), QueuePurgeOptions::default()).await?;
        Ok(channel.close(200, "purged".into()).await?)
    }

    /// Deletes the queue `queue`, with all in it.
    ///
    /// # Errors
    /// When the broker is not there.
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
    /// When the broker is not there.
    pub async fn delete_all(&self) -> Result<()> {
        let channel = self.connection.create_channel().await?;
        for (name, _) in self.topology.queues() {
            channel.queue_delete(name.into(), QueueDeleteOptions::default()).await?;
        }
        Ok(())
    }
}
