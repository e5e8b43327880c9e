//! `worker dead-letters replay`: publishes a message, waits for the broker's
//! confirmation, then removes the old copy. A kill at any moment loses nothing: if
//! both copies remain, they have one effect.

use super::{error::MoveError, lock::MoveLock, queue::DeadLetterQueue, selection::Selection, tools::MoveTools};
use crate::{
    plural::counted,
    store::{
        action::{self, ActionKind, Operator, ReplayProgress},
        dead_letter_queries,
    },
};
use futures_util::future::join_all;
use lapin::message::Delivery;
use shared::{
    message::{self, Meta, Source},
    publisher::PublishError,
};
use sqlx::PgPool;
use std::{collections::HashSet, fmt::Write, time::Duration};

/// Most messages that are published at once.
const BATCH_MAX: usize = 100;

/// The result of a replay, or its progress so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReplayReport {
    /// The number of the action on record.
    pub action: i64,
    /// Dead letters that were selected.
    pub wanted: usize,
    /// Dead letters that were put back to work.
    pub done: usize,
    /// Those among them whose message was not in the queue. A new message was made from
    /// the stored body.
    pub recovered: usize,
    /// Dead letters that were not put back: a worker or a retry queue has the message,
    /// or its body is not stored any more.
    pub elsewhere: usize,
    /// Messages of resolved dead letters that were removed from the queue.
    pub removed: usize,
}

impl ReplayReport {
    /// In words, for the record.
    #[must_use]
    pub fn words(&self) -> String {
        let mut words = format!("{} of {} put back to work", self.done, self.wanted);
        // Writing to a string cannot fail.
        if self.recovered > 0 {
            let _ = write!(words, ", {} from the stored body", self.recovered);
        }
        if self.elsewhere > 0 {
            let _ = write!(words, ", {} already on the way or not stored any more", self.elsewhere);
        }
        if self.removed > 0 {
            let messages = counted(self.removed, "message", "messages");
            let _ = write!(words, ", {messages} of resolved dead letters removed");
        }
        words
    }
}

/// A message to put back to work.
struct ReplayMessage {
    id: String,
    meta: Meta,
    kind: String,
    body: Vec<u8>,
    /// Removes the old copy from the dead-letter queue, if it is there.
    old_copy: Option<lapin::Acker>,
}

impl ReplayMessage {
    fn taken(id: String, delivery: Delivery) -> Self {
        let kind = delivery.properties.kind().as_ref();
        Self {
            id,
            meta: Meta::read(&delivery.properties),
            kind: kind.map(ToString::to_string).unwrap_or_default(),
            body: delivery.data,
            old_copy: Some(delivery.acker),
        }
    }

    fn stored(stored: dead_letter_queries::StoredMessage) -> Self {
        let mut meta = Meta::received(stored.received_at_ms);
        meta.source = Source::named(&stored.source).unwrap_or(Source::Direct);
        Self {
            id: stored.id,
            meta,
            kind: stored.kind,
            body: stored.body,
            old_copy: None,
        }
    }

    /// The metadata of the new copy: its attempts are counted from zero.
    fn fresh_meta(&self) -> Meta {
        Meta {
            attempts: 0,
            first_failed_at_ms: None,
            replayed: true,
            ..self.meta
        }
    }
}

/// Puts dead letters back to work. Calls `progress` when the action is on record,
/// then after each batch.
///
/// # Errors
/// See [`MoveError`]. Messages that were not put back are where they were. The record
/// has the number of those that were.
pub async fn replay(
    tools: &MoveTools,
    selection: &Selection,
    operator: &Operator,
    why: Option<&str>,
    progress: impl FnMut(&ReplayReport) + Send,
) -> Result<ReplayReport, MoveError> {
    let mut lock = MoveLock::take(tools).await?;
    let wanted = selection.open_ids(&mut lock.session).await?;
    let queue = DeadLetterQueue::open(&tools.broker, &tools.topology).await?;
    let action = lock
        .begin(operator, ActionKind::Replay, selection, why, wanted.len())
        .await?;
    let mut run = ReplayRun {
        tools,
        lock,
        queue,
        so_far: ReplayReport {
            action,
            wanted: wanted.len(),
            ..ReplayReport::default()
        },
        progress,
    };
    (run.progress)(&run.so_far);
    let by_filter = !matches!(selection, Selection::Ids(_));
    let ended = run.move_all(wanted, by_filter).await;
    let mut outcome = run.so_far.words();
    if let Err(error) = &ended {
        let _ = write!(outcome, "; stopped: {error}");
    }
    let noted = action::finish_action(&mut run.lock.session, action, &outcome).await;
    let closed = run.queue.close().await;
    tracing::info!(action, operator = operator.name, outcome, "dead letters replayed");
    ended?;
    noted?;
    closed?;
    Ok(run.so_far)
}

struct ReplayRun<'a, P> {
    tools: &'a MoveTools,
    lock: MoveLock,
    queue: DeadLetterQueue,
    so_far: ReplayReport,
    progress: P,
}

impl<P: FnMut(&ReplayReport) + Send> ReplayRun<'_, P> {
    async fn move_all(&mut self, wanted: Vec<String>, by_filter: bool) -> Result<(), MoveError> {
        let mut missing: HashSet<String> = wanted.into_iter().collect();
        let mut found = Vec::new();
        // A replay by ids stops once it has found them. A replay by filter reads the whole queue,
        // to remove the messages of resolved dead letters too.
        while !missing.is_empty() || by_filter {
            let Some((id, delivery)) = self.queue.next().await? else {
                break;
            };
            if missing.remove(&id) {
                found.push(ReplayMessage::taken(id, delivery));
            } else {
                self.queue.keep(id, delivery);
            }
            if found.len() == BATCH_MAX {
                self.publish(std::mem::take(&mut found)).await?;
            }
        }
        self.publish(found).await?;
        self.recover(missing.into_iter().collect(), by_filter).await?;
        self.so_far.removed = self.queue.remove_resolved(&mut self.lock.session).await?;
        Ok(())
    }

    /// Publishes messages that were not in the queue, from their stored bodies. With
    /// `only_queued` only those that the record expects in the queue. A dead letter
    /// given by its id is published wherever its message is.
    async fn recover(&mut self, missing: Vec<String>, only_queued: bool) -> Result<(), MoveError> {
        for ids in missing.chunks(BATCH_MAX) {
            let stored = dead_letter_queries::stored(&mut self.lock.session, ids, only_queued).await?;
            self.publish(stored.into_iter().map(ReplayMessage::stored).collect())
                .await?;
        }
        self.so_far.elsewhere = missing.len() - self.so_far.recovered;
        Ok(())
    }

    /// Puts the messages on record, publishes them, and removes the old copy of each
    /// that the broker confirmed.
    async fn publish(&mut self, messages: Vec<ReplayMessage>) -> Result<(), MoveError> {
        if messages.is_empty() {
            return Ok(());
        }
        let ids: Vec<String> = messages.iter().map(|m| m.id.clone()).collect();
        action::replaying(&mut self.lock.session, self.so_far.action, &ids).await?;
        let work = self.tools.topology.work();
        let publishes = messages.iter().map(|message| {
            let properties = message::properties(&message.id, &message.kind, message.fresh_meta().headers());
            self.tools.publisher.publish(&work, properties, &message.body)
        });
        let outcomes = join_all(publishes).await;
        let mut failed: Option<PublishError> = None;
        let mut unpublished: Vec<String> = Vec::new();
        let mut removed = Ok(());
        for (message, outcome) in messages.iter().zip(outcomes) {
            if let Err(error) = outcome {
                failed.get_or_insert(error);
                unpublished.push(message.id.clone());
                continue;
            }
            self.so_far.done += 1;
            match &message.old_copy {
                // After a failure the connection is gone, and every other removal fails too.
                Some(acker) if removed.is_ok() => removed = self.queue.remove(acker).await,
                Some(_) => {}
                None => self.so_far.recovered += 1,
            }
        }
        (self.progress)(&self.so_far);
        if let Some(error) = failed {
            action::not_replayed(&mut self.lock.session, &unpublished).await?;
            return Err(MoveError::Publish {
                done: self.so_far.done,
                wanted: self.so_far.wanted,
                error,
            });
        }
        removed
    }
}

/// Waits until the workers have settled every message that an action put back to
/// work, or none for `patience`. Returns the counts at that time.
///
/// # Errors
/// PostgreSQL's or the network's.
pub async fn settled(pool: &PgPool, action: i64, patience: Duration) -> Result<ReplayProgress, sqlx::Error> {
    // Each query reads every dead letter of the action, so a large action is queried less often.
    const LARGE: i64 = 10_000;
    let mut last = ReplayProgress::default();
    let mut changed = tokio::time::Instant::now();
    loop {
        let now = action::replay_progress(&mut *pool.acquire().await?, action).await?;
        if now != last {
            (last, changed) = (now, tokio::time::Instant::now());
        }
        if now.pending == 0 || changed.elapsed() > patience {
            return Ok(now);
        }
        let pause_ms = if now.pending > LARGE { 2_000 } else { 200 };
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
    }
}
