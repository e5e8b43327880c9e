//! One lane. It works on one batch after the other: looks up what is missing, applies the
//! batch, publishes messages to other queues, and acknowledges the deliveries.

use crate::{
    apply::transaction::{ApplyOptions, ApplyOutcome},
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
    read::message::ParsedMessage,
    store::dead_letter,
};
use lapin::types::DeliveryTag;
use shared::{broker::BrokerError, message::now_ms, shutdown::CancellationToken};
use std::{collections::VecDeque, sync::Arc, time::Duration};
use tokio::{sync::mpsc, time::Instant};

/// The pause before a failed publish or a failed record of a dead letter is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// The pause before deliveries that are set aside are tried again, if no others come.
const SET_ASIDE_PAUSE: Duration = Duration::from_millis(10);

/// The result of a batch.
struct SettledBatch {
    /// The deliveries to acknowledge.
    settled: Vec<DeliveryTag>,
    /// The deliveries whose account is locked by another database session.
    set_aside: Vec<Delivery>,
}

impl Context {
    /// Works on the deliveries that this lane gets, until the shutdown.
    ///
    /// # Errors
    /// If an acknowledgement fails, or a batch takes too long.
    pub(crate) async fn run(
        self,
        mut dealt: mpsc::UnboundedReceiver<Delivery>,
        acks: Arc<AckTracker>,
        shutdown: Shutdown,
    ) -> Result<(), BrokerError> {
        let ended = self.run_batches(&mut dealt, &acks, &shutdown).await;
        // A settled delivery must not come again because an earlier one goes back to the queue.
        acks.end(&shutdown.lost).await?;
        ended
    }

    async fn run_batches(
        &self,
        dealt: &mut mpsc::UnboundedReceiver<Delivery>,
        acks: &AckTracker,
        shutdown: &Shutdown,
    ) -> Result<(), BrokerError> {
        let stop = &shutdown.stop;
        let mut set_aside: VecDeque<Delivery> = VecDeque::new();
        loop {
            let first = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                first = dealt.recv() => Some(first),
                () = tokio::time::sleep(SET_ASIDE_PAUSE), if !set_aside.is_empty() => None,
            };
            let has_new = first.is_some();
            // Deliveries that were set aside take half a batch at most, to leave room for new ones.
            let share = self.tuning.batch_size.div_ceil(if has_new { 2 } else { 1 });
            let mut batch = batch::take(&mut set_aside, share);
            match first {
                Some(Some(first)) => {
                    let room = self.tuning.batch_size.saturating_sub(batch.len());
                    batch.extend(batch::gather(first, dealt, room, self.tuning.batch_wait).await);
                }
                // `deal` has ended, and has returned the reason.
                Some(None) => {
                    stop.cancelled().await;
                    return Ok(());
                }
                None => {}
            }
            for part in lookup::parts(batch) {
                let batch_result = match self.process_batch(part, has_new, stop).await {
                    Ok(batch_result) => batch_result,
                    Err(Interrupted) if stop.is_cancelled() => return Ok(()),
                    Err(Interrupted) => {
                        let why = "a batch took too long; its deliveries go back to the queue";
                        return Err(BrokerError::Unusable(why.to_owned()));
                    }
                };
                set_aside.extend(batch_result.set_aside);
                if !acks.acknowledge_settled(&batch_result.settled, &shutdown.lost).await? {
                    return Err(BrokerError::Unusable(
                        "the channel closed before the acknowledgement".to_owned(),
                    ));
                }
            }
        }
    }

    /// Looks up what a batch lacks, applies it and settles it. `has_new` is true if some
    /// deliveries of the batch have just come.
    async fn process_batch(
        &self,
        batch: Vec<Delivery>,
        has_new: bool,
        stop: &CancellationToken,
    ) -> Result<SettledBatch, Interrupted> {
        let (batch, failed) = self.look_up(batch, stop).await?;
        let started = Instant::now();
        let dispositions = self.apply(&batch, has_new, stop).await?;
        let settled = dispositions
            .iter()
            .filter(|d| !matches!(d, Disposition::SetAside { .. }))
            .count();
        metrics::applied(settled, started.elapsed());
        let mut batch_result = SettledBatch {
            settled: Vec::with_capacity(batch.len() + failed.len()),
            set_aside: Vec::new(),
        };
        let mut queued: Vec<EventId> = Vec::new();
        for (mut delivery, disposition) in batch.into_iter().zip(dispositions).chain(failed) {
            if let Disposition::SetAside { waited } = disposition {
                delivery.locked_since.get_or_insert(started);
                delivery.lock_waited += waited;
                batch_result.set_aside.push(delivery);
                continue;
            }
            let disposition = self.publish_next(&mut delivery, disposition, stop).await?;
            report::settled(&delivery, &disposition, self);
            batch_result.settled.push(delivery.tag);
            if let Disposition::Settled(ApplyOutcome::Dead) | Disposition::Exhausted(_) = disposition {
                queued.push(delivery.message.envelope.id);
            }
        }
        self.mark_queued(&queued, stop).await?;
        Ok(batch_result)
    }

    /// Publishes a message to its next queue, if it has one. Returns the final disposition.
    async fn publish_next(
        &self,
        delivery: &mut Delivery,
        disposition: Disposition,
        stop: &CancellationToken,
    ) -> Result<Disposition, Interrupted> {
        match disposition {
            Disposition::Settled(ApplyOutcome::Dead) => self.publish_dead(&delivery.message, stop).await?,
            Disposition::Settled(_) | Disposition::SetAside { .. } => {}
            Disposition::Retry { delay, meta, .. } => {
                let to = settle::retry(&self.topology, &delivery.message, meta, delay);
                self.publish(to, &delivery.message.body, stop).await?;
            }
            Disposition::Exhausted(ref detail) => {
                let refusal = Refusal::new(Permanent::RetriesExhausted, detail.clone());
                delivery.message.meaning = Err(refusal.brief());
                return self.record_exhausted(&delivery.message, disposition, stop).await;
            }
        }
        Ok(disposition)
    }

    /// Records a message without retries left as a dead letter, and publishes it to the
    /// dead-letter queue. It is a duplicate if another delivery has done so before.
    async fn record_exhausted(
        &self,
        message: &ParsedMessage,
        exhausted: Disposition,
        stop: &CancellationToken,
    ) -> Result<Disposition, Interrupted> {
        let mut options = ApplyOptions::default();
        loop {
            match self.transact(&[message], options, stop).await? {
                Ok(applied) if applied.outcomes == [ApplyOutcome::Dead] => break,
                Ok(_) => return Ok(Disposition::Settled(ApplyOutcome::Duplicate)),
                Err(error) => {
                    // The record has no content of the event, so the database is the cause.
                    tracing::error!(%error, event_id = message.envelope.id.as_str(), "a dead letter cannot be recorded; waiting");
                    options.repeated = true;
                    pause(RETRY_PAUSE, stop).await?;
                }
            }
        }
        self.publish_dead(message, stop).await?;
        Ok(exhausted)
    }

    async fn publish_dead(&self, message: &ParsedMessage, stop: &CancellationToken) -> Result<(), Interrupted> {
        let Some(refusal) = message.refusal() else {
            return Ok(());
        };
        let to = settle::dead(&self.topology, message, refusal, now_ms());
        self.publish(to, &message.body, stop).await
    }

    /// Publishes until the broker confirms. The delivery stays unacknowledged meanwhile.
    async fn publish(&self, to: Outgoing, body: &[u8], stop: &CancellationToken) -> Result<(), Interrupted> {
        let started = Instant::now();
        while let Err(error) = self.publisher.publish(&to.queue, to.properties.clone(), body).await {
            tracing::warn!(%error, queue = to.queue, "a message cannot be put on its next queue yet");
            if started.elapsed() > database::WAIT_MAX {
                return Err(Interrupted);
            }
            pause(RETRY_PAUSE, stop).await?;
        }
        Ok(())
    }

    /// Notes in the database that these dead letters are on the dead-letter queue.
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
