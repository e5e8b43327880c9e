//! One lane: a channel of its own, batches one after the other, each applied,
//! settled and acknowledged before the next.

use crate::{
    apply::{Interrupted, Next, rest},
    batch,
    config::Tuning,
    database,
    domain::ids::EventId,
    failure::{Permanent, Refusal},
    metrics,
    process::{Manner, Prepared, Verdict},
    report,
    settle::{self, Outgoing},
    store::dead_letter,
    stripe::Mode,
    turns::{Place, Turns},
    watchdog::Watchdog,
};
use futures_util::StreamExt;
use lapin::{Acker, Consumer, message::Delivery, options::BasicAckOptions};
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

/// The pause before a publish or a record is tried again.
const AGAIN_AFTER: Duration = Duration::from_millis(500);
/// How soon what waits for its account is tried again when nothing else comes.
const ASIDE_PAUSE: Duration = Duration::from_millis(10);

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
    /// Which lane works on which account.
    pub turns: Turns,
    /// Sees transactions that never end.
    pub watchdog: Watchdog,
    /// How long an event waits for its account, if somebody else holds it.
    pub lock_timeout: Duration,
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

/// A delivery in the lane's hands: not acknowledged yet.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) item: Prepared,
    acker: Acker,
    /// Since when it waits for its account, which another session locks.
    pub(crate) busy_since: Option<Instant>,
    /// How long it was waited for in vain.
    pub(crate) waited: Duration,
}

impl Context {
    /// Consumes until one of the `ends`.
    pub async fn run(self, feed: Feed, mut consumer: Consumer, ends: Ends) -> Result<(), BrokerError> {
        let stop = &ends.stop;
        let size = if feed == Feed::Work { self.tuning.batch_size } else { 1 };
        let place = self.turns.join();
        let mut aside: Vec<Held> = Vec::new();
        loop {
            let next = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                next = consumer.next() => Some(next),
                () = place.some_turn_is_over(), if !aside.is_empty() => None,
                () = tokio::time::sleep(ASIDE_PAUSE), if !aside.is_empty() => None,
            };
            let (deliveries, end) = match next {
                Some(Some(Ok(first))) => batch::gather(first, &mut consumer, size, self.tuning.batch_wait).await,
                Some(end) => return Err(batch::ended(end.and_then(Result::err))),
                None => (Vec::new(), None),
            };
            let fresh = !deliveries.is_empty();
            let mut batch = std::mem::take(&mut aside);
            batch.extend(deliveries.into_iter().map(|d| self.read(d, feed)));
            let settled;
            (settled, aside) = match self.work(batch, fresh, &place, stop).await {
                Ok(worked) => worked,
                Err(Interrupted) if stop.is_cancelled() => return Ok(()),
                Err(Interrupted) => {
                    let why = "work was held too long; it is given back";
                    return Err(BrokerError::Unusable(why.to_owned()));
                }
            };
            let acknowledged = tokio::select! {
                acknowledged = acknowledge(&settled, aside.is_empty()) => acknowledged?,
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

    fn read(&self, delivery: Delivery, feed: Feed) -> Held {
        let meta = Meta::read(&delivery.properties);
        let mut item = Prepared::read(delivery.data, meta, &self.catalog, self.mode);
        item.again = delivery.redelivered || meta.replayed || feed == Feed::OverLimit;
        if feed == Feed::OverLimit {
            item.meaning = Err(Refusal {
                reason: Permanent::DeliveryLimit,
                detail: "RabbitMQ delivered it too often without an acknowledgement: workers crashed or were cut off while they held it, perhaps because of another message; replay it once they are stable".to_owned(),
            });
        }
        Held {
            item,
            acker: delivery.acker,
            busy_since: None,
            waited: Duration::ZERO,
        }
    }

    /// Applies and settles a batch. Returns what may be acknowledged, and what
    /// has to wait for its account. `fresh`: some of it was just delivered.
    async fn work(
        &self,
        batch: Vec<Held>,
        fresh: bool,
        place: &Place,
        stop: &CancellationToken,
    ) -> Result<(Vec<Acker>, Vec<Held>), Interrupted> {
        let started = Instant::now();
        let next = self.apply(&batch, fresh, place, stop).await?;
        let held_back = |n: &&Next| matches!(n, Next::Aside { .. } | Next::Waits);
        metrics::applied(next.len() - next.iter().filter(held_back).count(), started.elapsed());
        let publishes = |n: &Next| matches!(n, Next::Retry(..) | Next::Exhausted(_) | Next::Settled(Verdict::Dead));
        if next.iter().any(publishes) {
            // Publishing may take its time; nobody is to queue behind us meanwhile.
            place.wait_only_for(std::iter::empty());
        }
        let mut buried: Vec<EventId> = Vec::new();
        let (mut settled, mut aside) = (Vec::with_capacity(batch.len()), Vec::new());
        for (mut held, next) in batch.into_iter().zip(next) {
            report::settled(&held.item, &next);
            if let Next::Aside { waited } = next {
                held.busy_since.get_or_insert(started);
                held.waited += waited;
                aside.push(held);
                continue;
            }
            if next == Next::Waits {
                aside.push(held);
                continue;
            }
            settled.push(held.acker);
            let item = held.item;
            match next {
                Next::Settled(Verdict::Dead) => {
                    self.publish_dead(&item, stop).await?;
                    buried.push(item.envelope.id);
                }
                Next::Aside { .. } | Next::Waits | Next::Settled(_) => {}
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
        self.mark_queued(&buried, stop).await?;
        place.wait_only_for(aside.iter().filter_map(|held| held.item.account()));
        Ok((settled, aside))
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
            match self
                .transact(
                    &[&item[0]],
                    Manner {
                        repeated,
                        ..Manner::default()
                    },
                    stop,
                )
                .await?
            {
                Ok(applied) if applied.verdicts == [Verdict::Dead] => break,
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
}

/// Acknowledges: all up to the last one at once, or where others are still
/// held, one by one. False if the channel is gone.
async fn acknowledge(settled: &[Acker], all: bool) -> Result<bool, BrokerError> {
    if all {
        return match settled.last() {
            Some(last) => Ok(last.ack(BasicAckOptions { multiple: true }).await?),
            None => Ok(true),
        };
    }
    for acker in settled {
        if !acker.ack(BasicAckOptions::default()).await? {
            return Ok(false);
        }
    }
    Ok(true)
}
