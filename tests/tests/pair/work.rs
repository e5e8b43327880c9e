//! A large number of deliveries on their way to the workers.

use anyhow::{Result, ensure};
use lapin::BasicProperties;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tests::crowd::Senders;
use tests::fixtures::Event;
use tests::harness::{Pair, Queues, TestEnv, wait_for};
use tokio::task::JoinHandle;

/// How long the workers may take for the next part of the run.
const PATIENCE: Duration = Duration::from_mins(1);

/// Deliveries on their way: one in eight through ingest, the others, for it takes a debug build
/// too long to sign and verify so many, straight to the work queue.
pub(crate) struct Work {
    queues: Queues,
    queue: String,
    posting: Senders,
    publishing: JoinHandle<Result<()>>,
    published: Arc<AtomicUsize>,
}

impl Work {
    pub(crate) async fn begin(env: &TestEnv, pair: &Pair, mut events: Vec<Event>) -> Result<Self> {
        let posted = events.split_off(events.len() / 8 * 7);
        let (queue, sender) = (env.topology().work(), env.queues().await?);
        let published = Arc::new(AtomicUsize::new(0));
        let (to, count) = (queue.clone(), Arc::clone(&published));
        let publishing = tokio::spawn(async move {
            for some in events.chunks(500) {
                sender.publish_all(&to, some.iter().map(message)).await?;
                count.fetch_add(some.len(), Ordering::Relaxed);
            }
            Ok(())
        });
        Ok(Self {
            queues: env.queues().await?,
            queue,
            posting: Senders::start(&pair.client, &posted, 4),
            publishing,
            published,
        })
    }

    /// Waits until the workers have taken so many of the deliveries, without those that a kill
    /// gave back.
    pub(crate) async fn taken(&self, count: usize) -> Result<()> {
        let mut looks = tokio::time::interval(Duration::from_millis(10));
        wait_for(PATIENCE, "the workers go on", async || {
            looks.tick().await;
            let sent = self.published.load(Ordering::Relaxed) + self.posting.accepted_so_far();
            let waiting = usize::try_from(self.queues.depth(&self.queue).await?)?;
            ensure!(waiting + count <= sent, "{sent} are sent, {waiting} wait");
            Ok(())
        })
        .await
    }

    pub(crate) async fn finish(self) -> Result<()> {
        self.publishing.await??;
        self.posting.finish().await.map(drop)
    }
}

fn message(event: &Event) -> (BasicProperties, &[u8]) {
    (BasicProperties::default(), event.body.as_bytes())
}
