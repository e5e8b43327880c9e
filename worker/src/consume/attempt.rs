//! Applies a batch and handles the errors of the database. Waits during an outage, repeats
//! a transaction after a conflict, splits a batch that the database refuses, and sets
//! deliveries aside whose account is locked by another session.

use crate::{
    apply::{
        fold::FoldCounts,
        transaction::{self, Applied, ApplyOptions, ApplyOutcome},
    },
    consume::{
        context::Context,
        database,
        delivery::{Delivery, Disposition, Interrupted, pause},
    },
    domain::ids::AccountId,
    failure::{DatabaseFault, Retry, retry},
    metrics,
    read::message::ParsedMessage,
};
use shared::{message::now_ms, reconnect::Reconnect, shutdown::CancellationToken};
use std::{fmt::Display, time::Duration};
use tokio::time::Instant;

/// Most conflicts in a row. One more splits the batch.
const CONFLICTS_MAX: u32 = 10;
/// The longest time for the parts of a split batch. The rest then goes to a retry queue
/// and no attempt is counted, because RabbitMQ waits 30 minutes for an acknowledgement.
const SPLIT_MAX: Duration = Duration::from_mins(5);
/// How long a batch waits for an account that another session locks.
const LOCK_WAIT_MAX: Duration = Duration::from_millis(100);
/// After this time the batch waits for a locked delivery, even if new deliveries have come.
const OVERDUE_AFTER: Duration = Duration::from_secs(1);

impl Context {
    /// Applies a batch. Returns the disposition of each delivery, in the order of the batch.
    pub(crate) async fn apply(
        &self,
        batch: &[Delivery],
        has_new: bool,
        stop: &CancellationToken,
    ) -> Result<Vec<Disposition>, Interrupted> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let messages: Vec<&ParsedMessage> = batch.iter().map(|delivery| &delivery.message).collect();
        let options = ApplyOptions {
            wait_for: longest_locked(batch, has_new),
            ..ApplyOptions::default()
        };
        match self.transact(&messages, options, stop).await? {
            Ok(applied) => {
                let account = options.wait_for.map(|(account, _)| account);
                let still_locked = if applied.wait_timed_out { account } else { None };
                let disposition =
                    |(delivery, outcome): (&Delivery, ApplyOutcome)| self.disposition(delivery, outcome, still_locked);
                Ok(batch.iter().zip(applied.outcomes).map(disposition).collect())
            }
            Err(error) if batch.len() == 1 => Ok(messages.iter().map(|message| self.failed(message, &error)).collect()),
            Err(error) => {
                tracing::warn!(%error, events = batch.len(), "the database refused a batch; applying one by one");
                metrics::SPLITS.inc();
                self.apply_one_by_one(batch, stop).await
            }
        }
    }

    /// The disposition of a delivery with this outcome. A busy delivery is set aside. It
    /// counts as a failed attempt only after batches have waited for its account for
    /// `LOCK_TIMEOUT` in all. Time in which no batch waited for it does not count.
    fn disposition(&self, delivery: &Delivery, outcome: ApplyOutcome, still_locked: Option<&AccountId>) -> Disposition {
        if outcome != ApplyOutcome::Busy {
            return Disposition::Settled(outcome);
        }
        let timed_out = still_locked.is_some() && delivery.message.account() == still_locked;
        if timed_out && delivery.lock_waited + LOCK_WAIT_MAX >= self.lock_timeout {
            return self.failed(&delivery.message, "another session locks the rows of its customer");
        }
        Disposition::SetAside {
            waited: if timed_out { LOCK_WAIT_MAX } else { Duration::ZERO },
        }
    }

    async fn apply_one_by_one(
        &self,
        batch: &[Delivery],
        stop: &CancellationToken,
    ) -> Result<Vec<Disposition>, Interrupted> {
        let started = Instant::now();
        let repeated = ApplyOptions {
            repeated: true,
            ..ApplyOptions::default()
        };
        let mut dispositions = Vec::with_capacity(batch.len());
        for delivery in batch {
            let message = &delivery.message;
            if started.elapsed() > SPLIT_MAX
                && let Some(delay) = self.topology.retry_delays().first()
            {
                dispositions.push(Disposition::Retry {
                    delay: *delay,
                    meta: message.meta,
                    error: "its batch was split and took too long; no attempt is counted".to_owned(),
                });
                continue;
            }
            dispositions.push(match self.transact(&[message], repeated, stop).await? {
                Ok(applied) => {
                    let outcome = applied.outcomes.first().copied();
                    self.disposition(delivery, outcome.unwrap_or(ApplyOutcome::Duplicate), None)
                }
                Err(error) => self.failed(message, &error),
            });
        }
        Ok(dispositions)
    }

    /// Applies a batch in one transaction. Repeats it after an outage or a conflict. The
    /// inner error is any other error of the database; an event of the batch may be its cause.
    pub(crate) async fn transact(
        &self,
        batch: &[&ParsedMessage],
        mut options: ApplyOptions<'_>,
        stop: &CancellationToken,
    ) -> Result<Result<Applied, sqlx::Error>, Interrupted> {
        let mut conflicts = 0;
        let mut pauses = Reconnect::new(Some(database::WAIT_MAX));
        loop {
            let under_way = self.watchdog.watch();
            let error = match transaction::apply(&self.pool, batch, options, now_ms()).await {
                Ok(applied) => {
                    count_folds(applied.folds);
                    return Ok(Ok(applied));
                }
                Err(error) => error,
            };
            drop(under_way);
            options.repeated = true;
            match DatabaseFault::of(&error) {
                DatabaseFault::Outage => {
                    tracing::warn!(%error, events = batch.len(), "the database cannot take a batch; it will be tried again");
                    self.wait_for_database(stop).await?;
                    // With a full disk or a missing right the database answers, but accepts no writes.
                    let length = pauses.next_pause().ok_or(Interrupted)?;
                    pause(length, stop).await?;
                }
                DatabaseFault::Conflict if conflicts < CONFLICTS_MAX => {
                    conflicts += 1;
                    metrics::CONFLICTS.inc();
                }
                DatabaseFault::Conflict | DatabaseFault::Unclassified => return Ok(Err(error)),
            }
        }
    }

    /// The disposition of a message that could not be applied: a retry, or none is left.
    pub(crate) fn failed(&self, message: &ParsedMessage, error: impl Display) -> Disposition {
        match retry(message.meta.attempts, self.topology.retry_delays()) {
            Retry::After(delay) => Disposition::Retry {
                delay,
                meta: message.meta.failed_at(now_ms()),
                error: error.to_string(),
            },
            Retry::Exhausted => Disposition::Exhausted(format!(
                "every retry failed; the last error was: {error}; see the worker's logs for this event id, fix the cause, then replay"
            )),
        }
    }

    pub(crate) async fn wait_for_database(&self, stop: &CancellationToken) -> Result<(), Interrupted> {
        database::wait(&self.pool, stop, Some(database::WAIT_MAX)).await
    }
}

fn count_folds(folds: FoldCounts) {
    for (path, facts) in [("first", folds.first), ("fast", folds.fast), ("slow", folds.slow)] {
        metrics::FOLDED.with_label_values(&[path]).inc_by(facts);
    }
    metrics::UNDECIDED.inc_by(folds.undecided);
    metrics::RETURNED.inc_by(folds.returned);
}

/// The account to wait for, and how long to wait. It is the account that has been locked
/// for the longest time. A batch with new deliveries waits only if that is overdue.
fn longest_locked(batch: &[Delivery], has_new: bool) -> Option<(&AccountId, Duration)> {
    let locked = batch
        .iter()
        .filter_map(|delivery| Some((delivery.locked_since?, delivery.message.account()?)));
    let (since, account) = locked.min_by_key(|(since, _)| *since)?;
    (!has_new || since.elapsed() > OVERDUE_AFTER).then_some((account, LOCK_WAIT_MAX))
}
