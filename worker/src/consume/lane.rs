//! One lane: a batch after the other. Each is looked up, applied, settled and
//! acknowledged before the next.

use crate::{
    apply::transaction::{ApplyOptions, Verdict},
    consume::{
        acks::AckTracker,
        batch,
        context::{Context, Shutdown},
        database,
        delivery::{Delivery, Disposition, Interrupted, pause},
        lookup, report,
        settle::{self, Outgoing},
    },
    domain::ids::EventId,
    failure::{Permanent, Refusal},
    metrics,
    read::prepared::Prepared,
    store::dead_letter,
};
use lapin::types::DeliveryTag;
use shared::{broker::BrokerError, message::now_ms, shutdown::CancellationToken};
use std::{collections::VecDeque, sync::Arc, time::Duration};
use tokio::{sync::mpsc, time::Instant};

/// The pause before a failed publish or record is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// The pause before deliveries set aside are tried again, when no others come.
const ASIDE_PAUSE: Duration = Duration::from_millis(10);

/// A batch after its settlement.
struct Worked {
    /// These may be acknowledged.
    settled: Vec<DeliveryTag>,
    /// The accounts of these are locked by another session.
    aside: Vec<Delivery>,
}

impl Context {
    /// Works on the dealt deliveries until the shutdown.
    pub(crate) async fn run(
        self,
        mut dealt: mpsc::UnboundedReceiver<Delivery>,
        acks: Arc<AckTracker>,
        shutdown: Shutdown,
    ) -> Result<(), BrokerError> {
        let ended = self.work_on(&mut dealt, &acks, &shutdown).await;
        // A committed delivery must not come again because an earlier one is given back.
        acks.end(&shutdown.lost).await?;
        ended
    }

    async fn work_on(
        &self,
        dealt: &mut mpsc::UnboundedReceiver<Delivery>,
        acks: &AckTracker,
        shutdown: &Shutdown,
    ) -> Result<(), BrokerError> {
        let stop = &shutdown.stop;
        let mut aside: VecDeque<Delivery> = VecDeque::new();
        loop {
            let first = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                first = dealt.recv() => Some(first),
                () = tokio::time::sleep(ASIDE_PAUSE), if !aside.is_empty() => None,
            };
            let fresh = first.is_some();
            // Deliveries set aside take half a batch at most, so that new ones go on too.
            let share = self.tuning.batch_size.div_ceil(if fresh { 2 } else { 1 });
            let mut batch = batch::take(&mut aside, share);
            match first {
                Some(Some(first)) => {
                    let room = self.tuning.batch_size.saturating_sub(batch.len());
                    batch.extend(batch::gather(first, dealt, room, self.tuning.batch_wait).await);
                }
                // The dealer has ended and returned the reason.
                Some(None) => {
                    stop.cancelled().await;
                    return Ok(());
                }
                None => {}
            }
            for part in lookup::apart(batch) {
                let worked = match self.work(part, fresh, stop).await {
                    Ok(worked) => worked,
                    Err(Interrupted) if stop.is_cancelled() => return Ok(()),
                    Err(Interrupted) => {
                        let why = "a batch was held too long; it is given back";
                        return Err(BrokerError::Unusable(why.to_owned()));
                    }
                };
                aside.extend(worked.aside);
                if !acks.settled(&worked.settled, &shutdown.lost).await? {
                    return Err(BrokerError::Unusable(
                        "the channel closed before the acknowledgement".to_owned(),
                    ));
                }
            }
        }
    }

    /// Looks up what a batch lacks, applies it and settles it. `fresh`: some of it
    /// was just delivered.
    async fn work(&self, batch: Vec<Delivery>, fresh: bool, stop: &CancellationToken) -> Result<Worked, Interrupted> {
        let (batch, failed) = self.look_up(batch, stop).await?;
        let started = Instant::now();
        let dispositions = self.apply(&batch, fresh, stop).await?;
        let aside = dispositions
            .iter()
            .filter(|d| matches!(d, Disposition::Aside { .. }))
            .count();
        metrics::applied(dispositions.len() - aside, started.elapsed());
        let mut worked = Worked {
            settled: Vec::with_capacity(batch.len() + failed.len()),
            aside: Vec::new(),
        };
        let mut queued: Vec<EventId> = Vec::new();
        for (mut delivery, disposition) in batch.into_iter().zip(dispositions).chain(failed) {
            if let Disposition::Aside { waited } = disposition {
                delivery.locked_since.get_or_insert(started);
                delivery.waited += waited;
                worked.aside.push(delivery);
                continue;
            }
            let disposition = self.settle(&mut delivery, disposition, stop).await?;
            report::settled(&delivery, &disposition, self);
            worked.settled.push(delivery.tag);
            if let Disposition::Settled(Verdict::Dead) | Disposition::Exhausted(_) = disposition {
                queued.push(delivery.item.envelope.id);
            }
        }
        self.mark_queued(&queued, stop).await?;
        Ok(worked)
    }

    /// Publishes a delivery where it belongs next. Returns what became of it in the end.
    async fn settle(
        &self,
        delivery: &mut Delivery,
        disposition: Disposition,
        stop: &CancellationToken,
    ) -> Result<Disposition, Interrupted> {
        match disposition {
            Disposition::Settled(Verdict::Dead) => self.publish_dead(&delivery.item, stop).await?,
            Disposition::Settled(_) | Disposition::Aside { .. } => {}
            Disposition::Retry { delay, meta, .. } => {
                let to = settle::retry(&self.topology, &delivery.item, meta, delay);
                self.publish(to, &delivery.item.body, stop).await?;
            }
            Disposition::Exhausted(ref detail) => {
                let refusal = Refusal::new(Permanent::RetriesExhausted, detail.clone());
                delivery.item.meaning = Err(refusal.brief());
                return self.bury(&delivery.item, disposition, stop).await;
            }
        }
        Ok(disposition)
    }

    /// Records a message whose retries are used up, and puts it on the
    /// dead-letter queue; another delivery may have done so before.
    async fn bury(
        &self,
        item: &Prepared,
        exhausted: Disposition,
        stop: &CancellationToken,
    ) -> Result<Disposition, Interrupted> {
        let mut options = ApplyOptions::default();
        loop {
            match self.transact(&[item], options, stop).await? {
                Ok(applied) if applied.verdicts == [Verdict::Dead] => break,
                Ok(_) => return Ok(Disposition::Settled(Verdict::Duplicate)),
                Err(error) => {
                    // The record holds nothing of the event's own, so this is the database's failure.
                    tracing::error!(%error, event_id = item.envelope.id.as_str(), "a dead letter cannot be recorded; waiting");
                    options.repeated = true;
                    pause(RETRY_PAUSE, stop).await?;
                }
            }
        }
        self.publish_dead(item, stop).await?;
        Ok(exhausted)
    }

    async fn publish_dead(&self, item: &Prepared, stop: &CancellationToken) -> Result<(), Interrupted> {
        let Some(refusal) = item.refusal() else { return Ok(()) };
        let to = settle::dead(&self.topology, item, refusal, now_ms());
        self.publish(to, &item.body, stop).await
    }

    /// Publishes until the broker confirms; the delivery is held meanwhile.
    async fn publish(&self, to: Outgoing, body: &[u8], stop: &CancellationToken) -> Result<(), Interrupted> {
        let started = Instant::now();
        while let Err(error) = self.publisher.publish(&to.queue, to.properties.clone(), body).await {
            tracing::warn!(%error, queue = to.queue, "a message cannot be put on its next queue yet");
            if started.elapsed() > database::HOLD_MAX {
                return Err(Interrupted);
            }
            pause(RETRY_PAUSE, stop).await?;
        }
        Ok(())
    }

    async fn mark_queued(&self, ids: &[EventId], stop: &CancellationToken) -> Result<(), Interrupted> {
        if ids.is_empty() {
            return Ok(());
        }
        let ids: Vec<&str> = ids.iter().map(EventId::as_str).collect();
        loop {
            let marked = match self.pool.acquire().await {
                Ok(mut connection) => dead_letter::mark_queued(&mut connection, &ids).await,
                Err(error) => Err(error),
            };
            let Err(error) = marked else { return Ok(()) };
            tracing::warn!(%error, "dead letters cannot be marked as queued yet");
            self.wait_for_database(stop).await?;
            pause(RETRY_PAUSE, stop).await?;
        }
    }
}
