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
    report,
    settle::{self, Outgoing},
    store::dead_letter,
    stripe::Mode,
    watchdog::Watchdog,
};
use futures_util::StreamExt;
use lapin::{Consumer, message::Delivery, options::BasicAckOptions};
use shared::{
    broker::BrokerError,
    catalog::Catalog,
    message::{Meta, now_ms},
    publisher::Publisher,
    reconnect::Reconnect,
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
/// The pause before a publish or a record is tried again.
const AGAIN_AFTER: Duration = Duration::from_millis(500);
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
    /// Sees transactions that never end.
    pub watchdog: Watchdog,
}

/// What a lane consumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feed {
    /// The work queue.
    Work,
    /// What the broker took out of the work queue: only recorded, one by one.
    OverLimit,
}

/// What ends a lane.
#[derive(Debug, Clone)]
pub struct Ends {
    /// No more deliveries; the batch under way is finished and acknowledged.
    pub stop: CancellationToken,
    /// The connection is gone: nothing can be acknowledged any more.
    pub lost: CancellationToken,
}

/// What is to be done with a delivery before its acknowledgement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Next {
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
    /// Consumes until one of the `ends`.
    pub async fn run(self, feed: Feed, mut consumer: Consumer, ends: Ends) -> Result<(), BrokerError> {
        let stop = &ends.stop;
        let size = if feed == Feed::Work { self.tuning.batch_size } else { 1 };
        loop {
            let next = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                next = consumer.next() => next,
            };
            let first = match next {
                Some(Ok(delivery)) => delivery,
                end => return Err(batch::ended(end.and_then(Result::err))),
            };
            let (deliveries, end) = batch::gather(first, &mut consumer, size, self.tuning.batch_wait).await;
            let Some(last) = deliveries.last().map(|d| d.acker.clone()) else {
                continue;
            };
            let batch = deliveries.into_iter().map(|d| self.read(d, feed)).collect();
            if self.work(batch, stop).await.is_err() {
                return if stop.is_cancelled() {
                    Ok(())
                } else {
                    Err(BrokerError::Unusable(
                        "work was held too long; it is given back".to_owned(),
                    ))
                };
            }
            // Everything up to here is settled: one acknowledgement for all.
            let acknowledged = tokio::select! {
                acknowledged = last.ack(BasicAckOptions { multiple: true }) => acknowledged?,
                () = ends.lost.cancelled() => false,
            };
            if !acknowledged {
                return Err(BrokerError::Unusable(
                    "the channel closed before the acknowledgement".to_owned(),
                ));
            }
            if let Some(end) = end {
                return Err(end);
            }
        }
    }

    fn read(&self, delivery: Delivery, feed: Feed) -> Prepared {
        let meta = Meta::read(&delivery.properties);
        let mut item = Prepared::read(delivery.data, meta, &self.catalog, self.mode);
        item.again = delivery.redelivered || meta.replayed || feed == Feed::OverLimit;
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
            report::settled(&item, &next);
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
        match self.transact(batch, false, stop).await? {
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
                None => match self.transact(std::slice::from_ref(item), true, stop).await? {
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
        mut repeated: bool,
        stop: &CancellationToken,
    ) -> Result<Result<Vec<Verdict>, sqlx::Error>, Interrupted> {
        let mut conflicts = 0;
        let mut held = Reconnect::new(Some(database::HOLD_MOST));
        loop {
            let under_way = self.watchdog.watch();
            let error = match process::apply(&self.pool, batch, repeated, now_ms()).await {
                Ok(verdicts) => return Ok(Ok(verdicts)),
                Err(error) => error,
            };
            drop(under_way);
            repeated = true;
            match Fault::of(&error) {
                Fault::Outage => {
                    tracing::warn!(%error, events = batch.len(), "the database cannot take a batch; it is held and tried again");
                    self.database(stop).await?;
                    // It may answer and still take no writes: full, or without a right.
                    let pause = held.next_pause().ok_or(Interrupted)?;
                    rest(pause, stop).await?;
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
        let reason = Permanent::RetriesExhausted;
        item.meaning = Err(Refusal { reason, detail }.brief());
        let item = [item];
        let mut repeated = false;
        loop {
            match self.transact(&item, repeated, stop).await? {
                Ok(verdicts) if verdicts == [Verdict::Dead] => break,
                Ok(_) => return Ok(None),
                Err(error) => {
                    // The record touches nothing of the event's own: whatever fails here is about the database.
                    tracing::error!(%error, event_id = item[0].envelope.id.as_str(), "a dead letter cannot be recorded; waiting");
                    repeated = true;
                    rest(AGAIN_AFTER, stop).await?;
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
            rest(AGAIN_AFTER, stop).await?;
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
            rest(AGAIN_AFTER, stop).await?;
        }
    }

    async fn database(&self, stop: &CancellationToken) -> Result<(), Interrupted> {
        match database::wait(&self.pool, stop, Some(database::HOLD_MOST)).await {
            Waited::Ready => Ok(()),
            Waited::Interrupted => Err(Interrupted),
        }
    }
}

/// Waits before the next try at something that is held meanwhile.
async fn rest(pause: Duration, stop: &CancellationToken) -> Result<(), Interrupted> {
    tokio::select! {
        () = tokio::time::sleep(pause) => Ok(()),
        () = stop.cancelled() => Err(Interrupted),
    }
}
