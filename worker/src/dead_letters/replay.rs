//! `worker dead-letters replay`: publish, confirm, then remove. Killed at any
//! moment it loses nothing: a message is removed only after its copy is stored,
//! and two copies have one effect.

use super::{MoveError, Selection, Tools, Turn, take::Shelf};
use crate::store::{
    action::{self, Deed, Operator, ReplayProgress},
    dead_letter_queries,
};
use futures_util::future::join_all;
use lapin::message::Delivery;
use shared::{
    message::{self, Meta, Source},
    publisher::PublishError,
};
use sqlx::PgPool;
use std::{collections::HashSet, fmt::Write, time::Duration};

/// Messages on their way at once.
const AT_ONCE: usize = 100;

/// What a replay did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Replayed {
    /// The action's number on record.
    pub action: i64,
    /// Dead letters that were selected.
    pub wanted: usize,
    /// Put back to work.
    pub done: usize,
    /// Of these, how many were not in the queue, and were made again from what
    /// is stored.
    pub recovered: usize,
    /// Not in the queue, because a worker or a retry queue has them, or not stored any more.
    pub elsewhere: usize,
    /// Messages of dead letters that were resolved already, removed from the queue.
    pub tidied: usize,
}

impl Replayed {
    /// In words, for the record.
    #[must_use]
    pub fn words(&self) -> String {
        let mut words = format!("{} of {} put back to work", self.done, self.wanted);
        for (count, what) in [
            (self.recovered, "made again from what is stored"),
            (self.elsewhere, "on their way already, or not stored any more"),
            (self.tidied, "messages of resolved ones removed"),
        ] {
            if count > 0 {
                let _ = write!(words, ", {count} {what}");
            }
        }
        words
    }
}

/// A message to put back to work.
struct Again {
    id: String,
    meta: Meta,
    kind: String,
    body: Vec<u8>,
    /// How to remove it from the dead-letter queue, if it is there.
    delivery: Option<lapin::Acker>,
}

impl Again {
    fn of(id: String, delivery: Delivery) -> Self {
        let kind = delivery.properties.kind().as_ref();
        Self {
            id,
            meta: Meta::read(&delivery.properties),
            kind: kind.map(ToString::to_string).unwrap_or_default(),
            body: delivery.data,
            delivery: Some(delivery.acker),
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
            delivery: None,
        }
    }

    /// A fresh start: its attempts count anew.
    fn fresh(&self) -> Meta {
        Meta {
            attempts: 0,
            first_failed_at_ms: None,
            replayed: true,
            ..self.meta
        }
    }
}

/// Puts dead letters back to work. `progress` is told what is done so far, first
/// when it is on record that it begins.
///
/// # Errors
/// What was not put back is where it was; the record says how far it got.
pub async fn replay(
    tools: &Tools,
    selection: &Selection,
    operator: &Operator,
    why: Option<&str>,
    progress: impl FnMut(&Replayed) + Send,
) -> Result<Replayed, MoveError> {
    let mut turn = Turn::take(tools).await?;
    let wanted = selection.open(&mut turn.0).await?;
    let shelf = Shelf::open(&tools.broker, &tools.topology).await?;
    let action = turn.begin(operator, Deed::Replay, selection, why, wanted.len()).await?;
    let mut replay = Replay {
        tools,
        turn,
        shelf,
        so_far: Replayed {
            action,
            wanted: wanted.len(),
            ..Replayed::default()
        },
        progress,
    };
    (replay.progress)(&replay.so_far);
    let by_filter = !matches!(selection, Selection::Ids(_));
    let ended = replay.all(wanted, by_filter).await;
    let mut outcome = replay.so_far.words();
    if let Err(error) = &ended {
        let _ = write!(outcome, "; stopped: {error}");
    }
    let noted = action::finish_action(&mut replay.turn.0, action, &outcome).await;
    let closed = replay.shelf.close().await;
    tracing::info!(action, operator = operator.name, outcome, "dead letters replayed");
    ended?;
    noted?;
    closed?;
    Ok(replay.so_far)
}

struct Replay<'a, P> {
    tools: &'a Tools,
    turn: Turn,
    shelf: Shelf,
    so_far: Replayed,
    progress: P,
}

impl<P: FnMut(&Replayed) + Send> Replay<'_, P> {
    async fn all(&mut self, wanted: Vec<String>, by_filter: bool) -> Result<(), MoveError> {
        let mut missing: HashSet<String> = wanted.into_iter().collect();
        let mut found = Vec::new();
        // Who has found the ids asked for is done; by a filter the whole queue is gone through, to
        // leave nothing in it that is resolved.
        while !missing.is_empty() || by_filter {
            let Some((id, delivery)) = self.shelf.next().await? else {
                break;
            };
            if missing.remove(&id) {
                found.push(Again::of(id, delivery));
            } else {
                self.shelf.keep(id, delivery);
            }
            if found.len() == AT_ONCE {
                self.publish(std::mem::take(&mut found)).await?;
            }
        }
        self.publish(found).await?;
        self.recover(missing.into_iter().collect(), by_filter).await?;
        self.so_far.tidied = self.shelf.remove_resolved(&mut self.turn.0).await?;
        Ok(())
    }

    /// What should be in the queue and is not is made again from what is stored;
    /// who is asked for by its id is, wherever its message may be.
    async fn recover(&mut self, missing: Vec<String>, only_queued: bool) -> Result<(), MoveError> {
        for ids in missing.chunks(AT_ONCE) {
            let stored = dead_letter_queries::stored(&mut self.turn.0, ids, only_queued).await?;
            self.publish(stored.into_iter().map(Again::stored).collect()).await?;
        }
        self.so_far.elsewhere = missing.len() - self.so_far.recovered;
        Ok(())
    }

    /// Notes, publishes, and removes what the broker confirmed.
    async fn publish(&mut self, messages: Vec<Again>) -> Result<(), MoveError> {
        if messages.is_empty() {
            return Ok(());
        }
        let ids: Vec<String> = messages.iter().map(|m| m.id.clone()).collect();
        action::replaying(&mut self.turn.0, self.so_far.action, &ids).await?;
        let work = self.tools.topology.work();
        let publishes = messages.iter().map(|message| {
            let properties = message::properties(&message.id, &message.kind, message.fresh().headers());
            self.tools.publisher.publish(&work, properties, &message.body)
        });
        let outcomes = join_all(publishes).await;
        let mut failed: Option<PublishError> = None;
        let mut left: Vec<String> = Vec::new();
        let mut removed = Ok(());
        for (message, outcome) in messages.iter().zip(outcomes) {
            if let Err(error) = outcome {
                failed.get_or_insert(error);
                left.push(message.id.clone());
                continue;
            }
            self.so_far.done += 1;
            match &message.delivery {
                // The first failure is the connection's; the others would say the same.
                Some(acker) if removed.is_ok() => removed = self.shelf.remove(acker).await,
                Some(_) => {}
                None => self.so_far.recovered += 1,
            }
        }
        (self.progress)(&self.so_far);
        if let Some(error) = failed {
            action::not_replayed(&mut self.turn.0, &left).await?;
            return Err(MoveError::Publish {
                done: self.so_far.done,
                wanted: self.so_far.wanted,
                error,
            });
        }
        removed
    }
}

/// Waits until the workers have come to all that an action put back to work, or
/// to nothing more for `patience`; returns how it stands then.
///
/// # Errors
/// PostgreSQL's or the network's.
pub async fn settled(pool: &PgPool, action: i64, patience: Duration) -> Result<ReplayProgress, sqlx::Error> {
    // A look reads every letter of the action.
    const MANY: i64 = 10_000;
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
        let pause_ms = if now.pending > MANY { 2_000 } else { 200 };
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
    }
}
