//! Applying a batch, come what may of the database: waited for while it is
//! away, repeated when transactions got into each other's way, split when it is
//! refused; and what waits for a customer's lock is put aside.

use crate::{
    database::{self, Waited},
    domain::ids::AccountId,
    failure::{Fault, Retry, retry},
    fold::Folds,
    lane::{Context, Held},
    metrics,
    process::{self, Applied, Manner, Prepared, Verdict},
};
use shared::{
    message::{Meta, now_ms},
    reconnect::Reconnect,
    shutdown::CancellationToken,
};
use std::{fmt::Display, time::Duration};
use tokio::time::Instant;

/// Transactions that got into another's way are repeated so often before the
/// batch is split.
const CONFLICTS_MOST: u32 = 10;
/// How long a split batch may take: its rest then waits in a retry queue, no
/// attempt counted, since its acknowledgement must not come too late.
const SPLIT_MOST: Duration = Duration::from_mins(5);
/// How long a batch waits for an account that somebody else holds.
const WAIT_MOST: Duration = Duration::from_millis(100);
/// After this time a batch waits for the account also when others have come.
const OVERDUE: Duration = Duration::from_secs(1);

/// What is to be done with a delivery before its acknowledgement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing: it is committed.
    Settled(Verdict),
    /// Put it on the retry queue of this delay, with this history.
    Retry(Duration, Meta),
    /// Keep it and try it again soon: its account is locked by another session,
    /// and was waited for so long, in vain.
    Aside {
        /// Zero where nobody waited.
        waited: Duration,
    },
    /// Record it as dead: every retry failed.
    Exhausted(String),
}

/// The work was broken off: nothing more is acknowledged, and the broker
/// delivers the rest again. No attempt is counted.
#[derive(Debug)]
pub(crate) struct Interrupted;

impl Context {
    /// Applies a batch, come what may of the database: waits for it while it is
    /// away, repeats what got into another's way, and splits what it refuses.
    pub(crate) async fn apply(
        &self,
        batch: &[Held],
        fresh: bool,
        stop: &CancellationToken,
    ) -> Result<Vec<Next>, Interrupted> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let items: Vec<&Prepared> = batch.iter().map(|held| &held.item).collect();
        let manner = Manner {
            wait_for: longest_waiting(batch, fresh),
            ..Manner::default()
        };
        match self.transact(&items, manner, stop).await? {
            Ok(applied) => {
                let in_vain = manner
                    .wait_for
                    .filter(|_| applied.waited_in_vain)
                    .map(|(account, _)| account);
                let next = |(held, verdict): (&Held, Verdict)| self.next(held, verdict, in_vain);
                Ok(batch.iter().zip(applied.verdicts).map(next).collect())
            }
            Err(error) if batch.len() == 1 => Ok(items.iter().map(|item| self.failed(item, &error)).collect()),
            Err(error) => {
                tracing::warn!(%error, events = batch.len(), "the database refused a batch; applying one by one");
                metrics::SPLITS.inc();
                self.one_by_one(batch, stop).await
            }
        }
    }

    /// What is to be done after a verdict: a busy one is tried again; it has
    /// failed once when its account was waited for in vain as long as a lock may
    /// be. (That others were faster, in their turn, is nobody's failure.)
    fn next(&self, held: &Held, verdict: Verdict, in_vain: Option<&AccountId>) -> Next {
        if verdict != Verdict::Busy {
            return Next::Settled(verdict);
        }
        let in_vain = in_vain.is_some() && held.item.account() == in_vain;
        if in_vain && held.waited + WAIT_MOST >= self.lock_timeout {
            return self.failed(&held.item, "another session locks the rows of its customer");
        }
        Next::Aside {
            waited: if in_vain { WAIT_MOST } else { Duration::ZERO },
        }
    }

    async fn one_by_one(&self, batch: &[Held], stop: &CancellationToken) -> Result<Vec<Next>, Interrupted> {
        let started = Instant::now();
        let again = Manner {
            repeated: true,
            ..Manner::default()
        };
        let mut all = Vec::with_capacity(batch.len());
        for held in batch {
            let item = &held.item;
            let later = self
                .topology
                .retry_delays()
                .first()
                .filter(|_| started.elapsed() > SPLIT_MOST);
            all.push(match later {
                Some(delay) => Next::Retry(*delay, item.meta),
                None => match self.transact(&[item], again, stop).await? {
                    Ok(applied) => {
                        let verdict = applied.verdicts.first().copied();
                        self.next(held, verdict.unwrap_or(Verdict::Duplicate), None)
                    }
                    Err(error) => self.failed(item, &error),
                },
            });
        }
        Ok(all)
    }

    /// One transaction, repeated while the failure is nobody's fault.
    pub(crate) async fn transact(
        &self,
        batch: &[&Prepared],
        mut manner: Manner<'_>,
        stop: &CancellationToken,
    ) -> Result<Result<Applied, sqlx::Error>, Interrupted> {
        let mut conflicts = 0;
        let mut held = Reconnect::new(Some(database::HOLD_MOST));
        loop {
            let under_way = self.watchdog.watch();
            let error = match process::apply(&self.pool, batch, manner, now_ms()).await {
                Ok(applied) => {
                    count_folds(applied.folds);
                    return Ok(Ok(applied));
                }
                Err(error) => error,
            };
            drop(under_way);
            manner.repeated = true;
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
                    metrics::CONFLICTS.inc();
                }
                Fault::Conflict | Fault::Unclassified => return Ok(Err(error)),
            }
        }
    }

    pub(crate) fn failed(&self, item: &Prepared, error: impl Display) -> Next {
        tracing::warn!(%error, event_id = item.envelope.id.as_str(), "an event cannot be applied");
        match retry(item.meta.attempts, self.topology.retry_delays()) {
            Retry::After(delay) => Next::Retry(delay, item.meta.failed_at(now_ms())),
            Retry::Exhausted => Next::Exhausted(format!(
                "every retry failed; the last error was: {error}; see the worker's logs for this event id, mend the cause, then replay"
            )),
        }
    }

    pub(crate) async fn database(&self, stop: &CancellationToken) -> Result<(), Interrupted> {
        match database::wait(&self.pool, stop, Some(database::HOLD_MOST)).await {
            Waited::Ready => Ok(()),
            Waited::Interrupted => Err(Interrupted),
        }
    }
}

fn count_folds(folds: Folds) {
    for (path, facts) in [("first", folds.first), ("fast", folds.fast), ("slow", folds.slow)] {
        metrics::FOLDED.with_label_values(&[path]).inc_by(facts);
    }
    metrics::UNDECIDED.inc_by(folds.undecided);
}

/// Waits before the next try at something that is held meanwhile.
pub(crate) async fn rest(pause: Duration, stop: &CancellationToken) -> Result<(), Interrupted> {
    tokio::select! {
        () = tokio::time::sleep(pause) => Ok(()),
        () = stop.cancelled() => Err(Interrupted),
    }
}

/// The account to wait for: that of the event which waits longest. Where others
/// were just delivered, they go first for a while.
fn longest_waiting(batch: &[Held], fresh: bool) -> Option<(&AccountId, Duration)> {
    let waiting = batch
        .iter()
        .filter_map(|held| Some((held.busy_since?, held.item.account()?)));
    let (since, account) = waiting.min_by_key(|(since, _)| *since)?;
    (!fresh || since.elapsed() > OVERDUE).then_some((account, WAIT_MOST))
}
