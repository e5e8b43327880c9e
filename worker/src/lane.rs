//! One lane: a channel of its own, batches one after the other, each applied,
//! settled and acknowledged before the next.

use crate::{
    batch,
    config::Tuning,
    database::{self, Waited},
    domain::ids::EventId,
    failure::{Fault, Permanent, Refusal, Retry, retry},
    metrics,
    process::{self, Prepared, Verdict},
    settle::{self, Outgoing},
    store::dead_letter,
    stripe::{Kind, Meaning, Mode},
};
use futures_util::StreamExt;
use lapin::{Consumer, message::Delivery, options::BasicAckOptions};
use shared::{
    broker::BrokerError,
    catalog::Catalog,
    message::{Meta, now_ms},
    publisher::Publisher,
    settings::format_duration,
    shutdown::CancellationToken,
    topology::Topology,
};
use sqlx::PgPool;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// Transactions that got into another's way are repeated so often before the
/// batch is split.
const CONFLICTS_MOST: u32 = 10;
/// How long a split batch may take: its rest then waits in a retry queue, no
/// attempt counted, since its acknowledgement must not come too late.
const SPLIT_MOST: Duration = Duration::from_mins(5);

/// What every lane works with.
#[derive(Debug, Clone)]
pub struct Context {
    /// The database.
    pub pool: PgPool,
    /// For retry and dead-letter queues.
    pub publisher: Publisher,
    /// The queues.
    pub topology: Arc<Topology>,
    /// What is sold.
    pub catalog: Arc<Catalog>,
    /// Which events are applied.
    pub mode: Mode,
    /// How deliveries are gathered.
    pub tuning: Tuning,
}

/// What a lane consumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feed {
    /// The work queue.
    Work,
    /// What the broker took out of the work queue: only recorded, one by one.
    OverLimit,
}

/// What is to be done with a delivery before its acknowledgement.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Next {
    /// Nothing: it is committed.
    Settled(Verdict),
    /// Put it on the retry queue of this delay, with this history.
    Retry(Duration, Meta),
    /// Record it as dead: every retry failed.
    Exhausted(String),
}

/// The work was broken off: nothing more is acknowledged, and the broker
/// delivers the rest again. No attempt is counted.
#[derive(Debug)]
struct Interrupted;

impl Context {
    /// Consumes until `stop`; the batch under way is finished.
    pub async fn run(self, feed: Feed, mut consumer: Consumer, stop: CancellationToken) -> Result<(), BrokerError> {
        let size = if feed == Feed::Work { self.tuning.batch_size } else { 1 };
        loop {
            let next = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                next = consumer.next() => next,
            };
            let first = match next {
                Some(Ok(delivery)) => delivery,
                Some(Err(error)) => return Err(error.into()),
                None => return Err(BrokerError::Unusable("the broker cancelled the consumer".to_owned())),
            };
            let deliveries = batch::gather(first, &mut consumer, size, self.tuning.batch_wait).await;
            let Some(last) = deliveries.last().map(|d| d.acker.clone()) else {
                continue;
            };
            let batch = deliveries.into_iter().map(|d| self.read(d, feed)).collect();
            if self.work(batch, &stop).await.is_err() {
                return if stop.is_cancelled() {
                    Ok(())
                } else {
                    Err(BrokerError::Unusable(
                        "work was held too long; it is given back".to_owned(),
                    ))
                };
            }
            // Everything up to here is settled: one acknowledgement for all.
            if !last.ack(BasicAckOptions { multiple: true }).await? {
                return Err(BrokerError::Unusable(
                    "the channel closed before the acknowledgement".to_owned(),
                ));
            }
        }
    }

    fn read(&self, delivery: Delivery, feed: Feed) -> Prepared {
        let meta = Meta::read(&delivery.properties);
        let mut item = Prepared::read(delivery.data, meta, &self.catalog, self.mode);
        if feed == Feed::OverLimit {
            item.meaning = Err(Refusal {
                reason: Permanent::DeliveryLimit,
                detail: "RabbitMQ delivered it too often without an acknowledgement: workers crashed or were cut off while they held it, perhaps because of another message; replay it once they are stable".to_owned(),
            });
        }
        item
    }

    /// Applies and settles a batch; on `Ok` all of it may be acknowledged.
    async fn work(&self, batch: Vec<Prepared>, stop: &CancellationToken) -> Result<(), Interrupted> {
        let started = Instant::now();
        metrics::BATCH_SIZE
            .with_label_values::<&str>(&[])
            .observe(f64::from(u32::try_from(batch.len()).unwrap_or(u32::MAX)));
        let next = self.apply(&batch, stop).await?;
        metrics::APPLY_SECONDS
            .with_label_values::<&str>(&[])
            .observe(started.elapsed().as_secs_f64());
        let mut buried: Vec<EventId> = Vec::new();
        for (item, next) in batch.into_iter().zip(next) {
            note(&item, &next);
            match next {
                Next::Settled(Verdict::Applied | Verdict::Ignored | Verdict::Duplicate) => {}
                Next::Settled(Verdict::Dead) => {
                    self.publish_dead(&item, stop).await?;
                    buried.push(item.envelope.id);
                }
                Next::Retry(delay, meta) => {
                    self.publish(settle::retry(&self.topology, &item, meta, delay), &item.body, stop)
                        .await?;
                    metrics::RETRIES
                        .with_label_values(&[format_duration(delay).as_str()])
                        .inc();
                }
                Next::Exhausted(detail) => buried.extend(self.exhaust(item, detail, stop).await?),
            }
        }
        self.mark_queued(&buried, stop).await
    }

    /// Applies a batch, come what may of the database: waits for it while it is
    /// away, repeats what got into another's way, and splits what it refuses.
    async fn apply(&self, batch: &[Prepared], stop: &CancellationToken) -> Result<Vec<Next>, Interrupted> {
        match self.transact(batch, stop).await? {
            Ok(verdicts) => Ok(verdicts.into_iter().map(Next::Settled).collect()),
            Err(error) if batch.len() == 1 => Ok(batch.iter().map(|item| self.failed(item, &error)).collect()),
            Err(error) => {
                tracing::warn!(%error, events = batch.len(), "the database refused a batch; applying one by one");
                metrics::SPLITS.with_label_values::<&str>(&[]).inc();
                self.one_by_one(batch, stop).await
            }
        }
    }

    async fn one_by_one(&self, batch: &[Prepared], stop: &CancellationToken) -> Result<Vec<Next>, Interrupted> {
        let started = Instant::now();
        let mut all = Vec::with_capacity(batch.len());
        for item in batch {
            let later = self
                .topology
                .retry_delays()
                .first()
                .filter(|_| started.elapsed() > SPLIT_MOST);
            all.push(match later {
                Some(delay) => Next::Retry(*delay, item.meta),
                None => match self.transact(std::slice::from_ref(item), stop).await? {
                    Ok(verdicts) => Next::Settled(verdicts.first().copied().unwrap_or(Verdict::Duplicate)),
                    Err(error) => self.failed(item, &error),
                },
            });
        }
        Ok(all)
    }

    /// One transaction, repeated while the failure is nobody's fault.
    async fn transact(
        &self,
        batch: &[Prepared],
        stop: &CancellationToken,
    ) -> Result<Result<Vec<Verdict>, sqlx::Error>, Interrupted> {
        let mut conflicts = 0;
        loop {
            let error = match process::apply(&self.pool, batch, now_ms()).await {
                Ok(verdicts) => return Ok(Ok(verdicts)),
                Err(error) => error,
            };
            match Fault::of(&error) {
                Fault::Outage => {
                    tracing::debug!(%error, "a transaction met an outage");
                    self.database(stop).await?;
                }
                Fault::Conflict if conflicts < CONFLICTS_MOST => {
                    conflicts += 1;
                    metrics::CONFLICTS.with_label_values::<&str>(&[]).inc();
                }
                Fault::Conflict | Fault::Unclassified => return Ok(Err(error)),
            }
        }
    }

    fn failed(&self, item: &Prepared, error: &sqlx::Error) -> Next {
        match retry(item.meta.attempts, self.topology.retry_delays()) {
            Retry::After(delay) => Next::Retry(delay, item.meta.failed_at(now_ms())),
            Retry::Exhausted => Next::Exhausted(format!(
                "every retry failed; the last error was: {error}; see the worker's logs for this event id, mend the cause, then replay"
            )),
        }
    }

    /// Records a message whose retries are used up, and puts it on the
    /// dead-letter queue. Returns its id if it was.
    async fn exhaust(
        &self,
        mut item: Prepared,
        detail: String,
        stop: &CancellationToken,
    ) -> Result<Option<EventId>, Interrupted> {
        item.meaning = Err(Refusal {
            reason: Permanent::RetriesExhausted,
            detail,
        });
        let item = [item];
        loop {
            match self.transact(&item, stop).await? {
                Ok(verdicts) if verdicts == [Verdict::Dead] => break,
                Ok(_) => return Ok(None),
                Err(error) => {
                    // The record touches nothing of the event's own: whatever fails here is about the database.
                    tracing::error!(%error, event_id = item[0].envelope.id.as_str(), "a dead letter cannot be recorded; waiting");
                    self.pause(stop).await?;
                }
            }
        }
        self.publish_dead(&item[0], stop).await?;
        let [item] = item;
        Ok(Some(item.envelope.id))
    }

    async fn publish_dead(&self, item: &Prepared, stop: &CancellationToken) -> Result<(), Interrupted> {
        let Err(refusal) = &item.meaning else { return Ok(()) };
        self.publish(settle::dead(&self.topology, item, refusal, now_ms()), &item.body, stop)
            .await?;
        metrics::DEAD.with_label_values(&[refusal.reason.as_str()]).inc();
        Ok(())
    }

    /// Publishes until it is confirmed; the delivery is held meanwhile.
    async fn publish(&self, to: Outgoing, body: &[u8], stop: &CancellationToken) -> Result<(), Interrupted> {
        let started = Instant::now();
        while let Err(error) = self.publisher.publish(&to.queue, to.properties.clone(), body).await {
            tracing::warn!(%error, "a message cannot be put on its next queue yet");
            if started.elapsed() > database::HOLD_MOST {
                return Err(Interrupted);
            }
            self.pause(stop).await?;
        }
        Ok(())
    }

    async fn mark_queued(&self, buried: &[EventId], stop: &CancellationToken) -> Result<(), Interrupted> {
        if buried.is_empty() {
            return Ok(());
        }
        let ids: Vec<&str> = buried.iter().map(EventId::as_str).collect();
        loop {
            let marked = match self.pool.acquire().await {
                Ok(mut connection) => dead_letter::mark_queued(&mut connection, &ids).await,
                Err(error) => Err(error),
            };
            let Err(error) = marked else { return Ok(()) };
            tracing::warn!(%error, "dead letters cannot be marked as queued yet");
            self.database(stop).await?;
            self.pause(stop).await?;
        }
    }

    async fn database(&self, stop: &CancellationToken) -> Result<(), Interrupted> {
        match database::wait(&self.pool, stop, Some(database::HOLD_MOST)).await {
            Waited::Ready => Ok(()),
            Waited::Interrupted => Err(Interrupted),
        }
    }

    async fn pause(&self, stop: &CancellationToken) -> Result<(), Interrupted> {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(500)) => Ok(()),
            () = stop.cancelled() => Err(Interrupted),
        }
    }
}

/// Logs and counts what became of a delivery: one line per event, by its id.
fn note(item: &Prepared, next: &Next) {
    let (id, kind) = (item.envelope.id.as_str(), item.envelope.kind.as_str());
    let label = if Kind::of(kind).is_some() { kind } else { "other" };
    let count = |outcome: &str| metrics::OUTCOMES.with_label_values(&[label, outcome]).inc();
    let now = now_ms();
    let age_ms = item.meta.received_at_ms.map(|at| now - at);
    match next {
        Next::Settled(verdict @ (Verdict::Applied | Verdict::Ignored)) => {
            let (outcome, reason) = match &item.meaning {
                Ok(Meaning::Ignored(why)) => ("ignored", *why),
                _ => ("applied", ""),
            };
            count(outcome);
            observe_ages(item, now);
            tracing::info!(
                event_id = id,
                event_type = kind,
                outcome,
                reason,
                age_ms,
                ?verdict,
                "event settled"
            );
        }
        Next::Settled(Verdict::Duplicate) => {
            count("duplicate");
            tracing::debug!(event_id = id, event_type = kind, "event known already");
        }
        Next::Settled(Verdict::Dead) => {
            count("dead");
            if let Err(refusal) = &item.meaning {
                tracing::error!(
                    event_id = id,
                    event_type = kind,
                    reason = refusal.reason.as_str(),
                    detail = refusal.detail,
                    "event is dead"
                );
            }
        }
        Next::Retry(delay, meta) => {
            count("retry");
            tracing::warn!(
                event_id = id,
                event_type = kind,
                attempts = meta.attempts,
                retry_in_ms = delay.as_millis(),
                "event failed; it will be tried again"
            );
        }
        Next::Exhausted(detail) => {
            count("dead");
            tracing::error!(
                event_id = id,
                event_type = kind,
                reason = "retries_exhausted",
                detail,
                "event is dead"
            );
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "ages in milliseconds are far below 2^52, and a histogram only sorts them"
)]
fn observe_ages(item: &Prepared, now_ms: i64) {
    if let Some(created) = item.envelope.created {
        metrics::AGE_CREATED
            .with_label_values::<&str>(&[])
            .observe((now_ms - created * 1_000).max(0) as f64 / 1_000.0);
    }
    if let Some(received) = item.meta.received_at_ms {
        metrics::AGE_RECEIVED
            .with_label_values::<&str>(&[])
            .observe((now_ms - received).max(0) as f64 / 1_000.0);
    }
}
