//! One lane: batches one after the other, each applied, settled and acknowledged
//! before the next.

use crate::{
    apply::{Interrupted, Next, rest},
    batch, database,
    deal::{Acks, Holdings},
    domain::ids::EventId,
    failure::{Permanent, Refusal},
    lookup, metrics,
    process::{Manner, Prepared, Verdict},
    report,
    settle::{self, Outgoing},
    store::dead_letter,
    stripe::{Mode, api::Api},
    traced,
    tuning::Tuning,
    watchdog::Watchdog,
};
use lapin::{message::Delivery, types::DeliveryTag};
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
use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::{sync::mpsc, time::Instant};

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
    /// Knows what all lanes hold.
    pub holdings: Holdings,
    /// Sees transactions that never end.
    pub watchdog: Watchdog,
    /// How long an event waits for its account, if somebody else holds it.
    pub lock_timeout: Duration,
    /// For what events leave out, if there is a key.
    pub stripe: Option<Api>,
}

/// What is consumed.
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
    tag: DeliveryTag,
    delivered: SystemTime,
    /// Since when it waits for its account, which another session locks.
    pub(crate) busy_since: Option<Instant>,
    /// How long it was waited for in vain.
    pub(crate) waited: Duration,
}

impl Context {
    /// Works on what is dealt to it until one of the `ends`.
    pub(crate) async fn run(
        self,
        mut dealt: mpsc::UnboundedReceiver<Held>,
        acks: Arc<Acks>,
        ends: Ends,
    ) -> Result<(), BrokerError> {
        let ended = self.work_on(&mut dealt, &acks, &ends).await;
        // What is committed must not come again for what is given back before it.
        acks.end(&ends.lost).await?;
        ended
    }

    async fn work_on(
        &self,
        dealt: &mut mpsc::UnboundedReceiver<Held>,
        acks: &Acks,
        ends: &Ends,
    ) -> Result<(), BrokerError> {
        let stop = &ends.stop;
        let mut aside: VecDeque<Held> = VecDeque::new();
        loop {
            let first = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                first = dealt.recv() => Some(first),
                () = tokio::time::sleep(ASIDE_PAUSE), if !aside.is_empty() => None,
            };
            let fresh = first.is_some();
            // Half a batch at most, so that the others go on too.
            let share = self.tuning.batch_size.div_ceil(if fresh { 2 } else { 1 });
            let mut batch = batch::take(&mut aside, share);
            match first {
                Some(Some(first)) => {
                    let room = self.tuning.batch_size.saturating_sub(batch.len());
                    batch.extend(batch::gather(first, dealt, room, self.tuning.batch_wait).await);
                }
                // Who dealt has said why.
                Some(None) => {
                    stop.cancelled().await;
                    return Ok(());
                }
                None => {}
            }
            for part in lookup::apart(batch) {
                let (settled, busy) = match self.work(part, fresh, stop).await {
                    Ok(worked) => worked,
                    Err(Interrupted) if stop.is_cancelled() => return Ok(()),
                    Err(Interrupted) => {
                        let why = "work was held too long; it is given back";
                        return Err(BrokerError::Unusable(why.to_owned()));
                    }
                };
                aside.extend(busy);
                if !acks.settled(&settled, &ends.lost).await? {
                    return Err(BrokerError::Unusable(
                        "the channel closed before the acknowledgement".to_owned(),
                    ));
                }
            }
        }
    }

    pub(crate) fn read(&self, delivery: Delivery, feed: Feed) -> Held {
        let meta = Meta::read(&delivery.properties);
        let mut item = Prepared::read(delivery.data, meta, &self.catalog, self.mode);
        item.again = delivery.redelivered || meta.replayed || feed == Feed::OverLimit;
        if feed == Feed::OverLimit {
            item.meaning = Err(Refusal::new(
                Permanent::DeliveryLimit,
                "RabbitMQ delivered it too often without an acknowledgement: workers crashed or were cut off while they held it, perhaps because of another message; replay it once they are stable",
            ));
        }
        Held {
            item,
            tag: delivery.delivery_tag,
            delivered: SystemTime::now(),
            busy_since: None,
            waited: Duration::ZERO,
        }
    }

    /// Looks up what a batch leaves out, applies and settles it. Returns what may
    /// be acknowledged, and what has to wait for its account. `fresh`: some of it
    /// was just delivered.
    async fn work(
        &self,
        batch: Vec<Held>,
        fresh: bool,
        stop: &CancellationToken,
    ) -> Result<(Vec<DeliveryTag>, Vec<Held>), Interrupted> {
        let (batch, failed) = self.look_up(batch, stop).await?;
        let started = Instant::now();
        let next = self.apply(&batch, fresh, stop).await?;
        let busy = next.iter().filter(|n| matches!(n, Next::Aside { .. })).count();
        metrics::applied(next.len() - busy, started.elapsed());
        let mut buried: Vec<EventId> = Vec::new();
        let work = self.topology.work();
        let (mut settled, mut aside) = (Vec::with_capacity(batch.len() + failed.len()), Vec::new());
        for (mut held, next) in batch.into_iter().zip(next).chain(failed) {
            report::settled(&held.item, &next);
            traced::settled(&held.item, &next, &work, held.delivered);
            if self.catalog.managed_payments() {
                report::managed(&held.item, &next);
            }
            if let Next::Aside { waited } = next {
                held.busy_since.get_or_insert(started);
                held.waited += waited;
                aside.push(held);
                continue;
            }
            settled.push(held.tag);
            let item = held.item;
            match next {
                Next::Settled(Verdict::Dead) => {
                    self.publish_dead(&item, stop).await?;
                    buried.push(item.envelope.id);
                }
                Next::Aside { .. } | Next::Settled(_) => {}
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
        item.meaning = Err(Refusal::new(Permanent::RetriesExhausted, detail).brief());
        let item = [item];
        let mut manner = Manner::default();
        loop {
            match self.transact(&[&item[0]], manner, stop).await? {
                Ok(applied) if applied.verdicts == [Verdict::Dead] => break,
                Ok(_) => return Ok(None),
                Err(error) => {
                    // The record touches nothing of the event's own: whatever fails here is about the database.
                    tracing::error!(%error, event_id = item[0].envelope.id.as_str(), "a dead letter cannot be recorded; waiting");
                    manner.repeated = true;
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
