//! Applies a batch whatever the database does: waits while it is away, repeats
//! transactions that conflict, splits a batch that it refuses, and sets aside
//! deliveries whose account another session locks.

use crate::{
    apply::{
        fold::FoldCounts,
        transaction::{self, Applied, ApplyOptions, Verdict},
    },
    consume::{
        context::Context,
        database::{self, Waited},
        delivery::{Delivery, Disposition, Interrupted, pause},
    },
    domain::ids::AccountId,
    failure::{Fault, Retry, retry},
    metrics,
    read::prepared::Prepared,
};
use shared::{message::now_ms, reconnect::Reconnect, shutdown::CancellationToken};
use std::{fmt::Display, time::Duration};
use tokio::time::Instant;

/// So many conflicts in a row split a batch.
const CONFLICTS_MAX: u32 = 10;
/// A split batch may take this long. Its rest then waits in a retry queue, and no
/// attempt is counted, because RabbitMQ's acknowledgement timeout is 30 minutes.
const SPLIT_MAX: Duration = Duration::from_mins(5);
/// A batch waits this long for an account that another session locks.
const LOCK_WAIT_MAX: Duration = Duration::from_millis(100);
/// A delivery that is locked for this long is waited for even when others have come.
const OVERDUE: Duration = Duration::from_secs(1);

impl Context {
    /// Applies a batch. Returns what is to be done with each delivery, in the
    /// order of the batch.
    pub(crate) async fn apply(
        &self,
        batch: &[Delivery],
        fresh: bool,
        stop: &CancellationToken,
    ) -> Result<Vec<Disposition>, Interrupted> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let items: Vec<&Prepared> = batch.iter().map(|delivery| &delivery.item).collect();
        let options = ApplyOptions {
            wait_for: longest_locked(batch, fresh),
            ..ApplyOptions::default()
        };
        match self.transact(&items, options, stop).await? {
            Ok(applied) => {
                let account = options.wait_for.map(|(account, _)| account);
                let still_locked = if applied.waited_in_vain { account } else { None };
                let disposition =
                    |(delivery, verdict): (&Delivery, Verdict)| self.disposition(delivery, verdict, still_locked);
                Ok(batch.iter().zip(applied.verdicts).map(disposition).collect())
            }
            Err(error) if batch.len() == 1 => Ok(items.iter().map(|item| self.failed(item, &error)).collect()),
            Err(error) => {
                tracing::warn!(%error, events = batch.len(), "the database refused a batch; applying one by one");
                metrics::SPLITS.inc();
                self.apply_one_by_one(batch, stop).await
            }
        }
    }

    /// What is to be done after a verdict. A busy delivery is set aside. It has
    /// failed once when its account was waited for in vain as long as `LOCK_TIMEOUT`;
    /// losing its turn to other deliveries is no failure.
    fn disposition(&self, delivery: &Delivery, verdict: Verdict, still_locked: Option<&AccountId>) -> Disposition {
        if verdict != Verdict::Busy {
            return Disposition::Settled(verdict);
        }
        let in_vain = still_locked.is_some() && delivery.item.account() == still_locked;
        if in_vain && delivery.waited + LOCK_WAIT_MAX >= self.lock_timeout {
            return self.failed(&delivery.item, "another session locks the rows of its customer");
        }
        Disposition::Aside {
            waited: if in_vain { LOCK_WAIT_MAX } else { Duration::ZERO },
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
            let item = &delivery.item;
            if started.elapsed() > SPLIT_MAX
                && let Some(delay) = self.topology.retry_delays().first()
            {
                dispositions.push(Disposition::Retry {
                    delay: *delay,
                    meta: item.meta,
                    error: "its batch was split and took too long; no attempt is counted".to_owned(),
                });
                continue;
            }
            dispositions.push(match self.transact(&[item], repeated, stop).await? {
                Ok(applied) => {
                    let verdict = applied.verdicts.first().copied();
                    self.disposition(delivery, verdict.unwrap_or(Verdict::Duplicate), None)
                }
                Err(error) => self.failed(item, &error),
            });
        }
        Ok(dispositions)
    }

    /// One transaction, repeated after an outage or a conflict. An error is the
    /// fault of something in the batch, as far as can be told.
    pub(crate) async fn transact(
        &self,
        batch: &[&Prepared],
        mut options: ApplyOptions<'_>,
        stop: &CancellationToken,
    ) -> Result<Result<Applied, sqlx::Error>, Interrupted> {
        let mut conflicts = 0;
        let mut pauses = Reconnect::new(Some(database::HOLD_MAX));
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
            match Fault::of(&error) {
                Fault::Outage => {
                    tracing::warn!(%error, events = batch.len(), "the database cannot take a batch; it is held and tried again");
                    self.wait_for_database(stop).await?;
                    // A full disk or a missing right: the database answers, and takes no writes.
                    let length = pauses.next_pause().ok_or(Interrupted)?;
                    pause(length, stop).await?;
                }
                Fault::Conflict if conflicts < CONFLICTS_MAX => {
                    conflicts += 1;
                    metrics::CONFLICTS.inc();
                }
                Fault::Conflict | Fault::Unclassified => return Ok(Err(error)),
            }
        }
    }

    /// An event could not be applied: it is retried later, or has used up its retries.
    pub(crate) fn failed(&self, item: &Prepared, error: impl Display) -> Disposition {
        match retry(item.meta.attempts, self.topology.retry_delays()) {
            Retry::After(delay) => Disposition::Retry {
                delay,
                meta: item.meta.failed_at(now_ms()),
                error: error.to_string(),
            },
            Retry::Exhausted => Disposition::Exhausted(format!(
                "every retry failed; the last error was: {error}; see the worker's logs for this event id, mend the cause, then replay"
            )),
        }
    }

    pub(crate) async fn wait_for_database(&self, stop: &CancellationToken) -> Result<(), Interrupted> {
        match database::wait(&self.pool, stop, Some(database::HOLD_MAX)).await {
            Waited::Ready => Ok(()),
            Waited::Interrupted => Err(Interrupted),
        }
    }
}

fn count_folds(folds: FoldCounts) {
    for (path, facts) in [("first", folds.first), ("fast", folds.fast), ("slow", folds.slow)] {
        metrics::FOLDED.with_label_values(&[path]).inc_by(facts);
    }
    metrics::UNDECIDED.inc_by(folds.undecided);
}

/// The account to wait for, and how long: that of the delivery which is locked
/// longest. Right after new deliveries came, a batch does not wait for a while.
fn longest_locked(batch: &[Delivery], fresh: bool) -> Option<(&AccountId, Duration)> {
    let locked = batch
        .iter()
        .filter_map(|delivery| Some((delivery.locked_since?, delivery.item.account()?)));
    let (since, account) = locked.min_by_key(|(since, _)| *since)?;
    (!fresh || since.elapsed() > OVERDUE).then_some((account, LOCK_WAIT_MAX))
}
