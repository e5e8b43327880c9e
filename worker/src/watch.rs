//! Reads the values of gauges every few seconds: from the database, from RabbitMQ, and from
//! the unacknowledged deliveries. Also writes the catalog's tiers to the database, once.

use crate::{
    apply::transaction,
    consume::acks::InFlight,
    domain::subscription::drift::FIELDS,
    failure::Permanent,
    metrics,
    recovery::{backfill, reconcile},
    store::{
        catalog, dead_letter,
        job::{self, JobStatus},
        pool, question,
        subscription::{self, WaitingCounts},
    },
};
use shared::{
    catalog::Tier,
    message::now_ms,
    publisher::Publisher,
    shutdown::CancellationToken,
    topology::{Purpose, Topology},
};
use sqlx::PgPool;
use std::{
    collections::BTreeMap,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::timeout;

const INTERVAL: Duration = Duration::from_secs(5);
/// The interval while a value is not known, such as at the start.
const INTERVAL_WHILE_UNKNOWN: Duration = Duration::from_millis(500);
/// A database that does not answer within this time is down.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long reading the unacknowledged deliveries waits for an acknowledgement under way.
const IN_FLIGHT_TIMEOUT: Duration = Duration::from_secs(1);

/// Keeps the gauges that are read from the database. Writes the catalog's tiers there, as
/// soon as it can be reached. `scheduled` names the jobs that this worker starts by itself.
pub async fn database(database: PgPool, tiers: Vec<Tier>, scheduled: Vec<&'static str>, stop: CancellationToken) {
    let mut tiers_written = false;
    loop {
        let up = is_up(&database).await;
        metrics::DATABASE_UP.set(i64::from(up));
        if up && let Err(error) = read_gauges(&database, &tiers, &scheduled, &mut tiers_written).await {
            tracing::debug!(%error, "the gauges could not be read");
        }
        let pause = if tiers_written {
            INTERVAL
        } else {
            Duration::from_millis(250)
        };
        if !paused(pause, &stop).await {
            return;
        }
    }
}

/// Whether the database can be used. If it hangs, the gauge shows that it is down, but the
/// query goes on: a dropped query would leave a connection that cannot be used.
async fn is_up(database: &PgPool) -> bool {
    let mut ready = pin!(pool::ready(database));
    let answer = if let Ok(answer) = timeout(ANSWER_TIMEOUT, &mut ready).await {
        answer
    } else {
        metrics::DATABASE_UP.set(0);
        ready.await
    };
    answer.is_ok()
}

async fn read_gauges(
    database: &PgPool,
    tiers: &[Tier],
    scheduled: &[&str],
    tiers_written: &mut bool,
) -> Result<(), sqlx::Error> {
    let mut connection = database.acquire().await?;
    if !*tiers_written {
        if catalog::write_tiers(&mut connection, tiers).await? {
            tokio::spawn(fold_again(database.clone()));
        }
        *tiers_written = true;
    }
    let open = dead_letter::count_open(&mut connection).await?;
    for reason in Permanent::ALL.map(Permanent::as_str) {
        let count = open.iter().find(|(r, _)| r == reason).map_or(0, |(_, count)| *count);
        metrics::DEAD_OPEN.with_label_values(&[reason]).set(count);
    }
    show_waiting(subscription::waiting(&mut connection).await?);
    metrics::QUESTIONS.set(question::waiting(&mut connection).await?);
    show_jobs(&job::last(&mut connection).await?, scheduled);
    let idle = i64::try_from(database.num_idle()).unwrap_or(i64::MAX);
    metrics::POOL.with_label_values(&["idle"]).set(idle);
    metrics::POOL
        .with_label_values(&["busy"])
        .set(i64::from(database.size()) - idle);
    Ok(())
}

/// Folds the states again that other ranks made. Without it, a state would be folded again
/// only with the next event of its account.
async fn fold_again(database: PgPool) {
    match transaction::refold_outdated(&database).await {
        Ok(accounts) => tracing::info!(accounts, "the catalog has other ranks; the states are folded again"),
        Err(error) => {
            tracing::error!(%error, "states of other ranks could not be folded again; run `worker migrate`");
        }
    }
}

/// Shows the number of subscriptions and packs that wait for a missing link, and how long
/// the oldest has waited.
fn show_waiting(waiting: WaitingCounts) {
    for (count, age, (waiting, oldest_seconds)) in [
        (&metrics::UNLINKED, &metrics::UNLINKED_AGE, waiting.unlinked),
        (&metrics::UNSEEN, &metrics::UNSEEN_AGE, waiting.unseen),
        (&metrics::UNLINKED_PACKS, &metrics::UNLINKED_PACKS_AGE, waiting.packs),
    ] {
        count.set(waiting);
        age.set(oldest_seconds);
    }
}

/// Shows the last results of the recovery jobs, of any worker. The time of its last end is
/// shown only for a job that runs by itself: without a schedule that time would grow old.
fn show_jobs(jobs: &[JobStatus], scheduled: &[&str]) {
    for JobStatus { job, ended_at, report } in jobs {
        if scheduled.contains(&job.as_str()) {
            metrics::JOB_ENDED.with_label_values(&[job.as_str()]).set(*ended_at);
        }
        match job.as_str() {
            reconcile::JOB => {
                let report: reconcile::ReconcileReport = serde_json::from_str(report).unwrap_or_default();
                for field in FIELDS {
                    let count = report.drift.get(field).copied().unwrap_or_default();
                    let count = i64::try_from(count).unwrap_or(i64::MAX);
                    metrics::DRIFT.with_label_values(&[field]).set(count);
                }
            }
            backfill::JOB => {
                let report: backfill::BackfillReport = serde_json::from_str(report).unwrap_or_default();
                let age_s = report.oldest_missing.map_or(0, |at| (now_ms() / 1_000 - at).max(0));
                metrics::OLDEST_UNDELIVERED.set(age_s);
            }
            _ => {}
        }
    }
}

/// Keeps the number of messages in the queues. While it is not known, no series is shown.
pub async fn queues(publisher: Publisher, topology: Topology, stop: CancellationToken) {
    loop {
        let pause = match publisher.depths().await {
            Ok(depths) => {
                for (purpose, messages) in by_purpose(&topology, &depths) {
                    metrics::QUEUED.with_label_values(&[purpose.as_str()]).set(messages);
                }
                INTERVAL
            }
            Err(error) => {
                metrics::QUEUED.reset();
                tracing::debug!(%error, "the lengths of the queues could not be read");
                INTERVAL_WHILE_UNKNOWN
            }
        };
        if !paused(pause, &stop).await {
            return;
        }
    }
}

fn by_purpose(topology: &Topology, depths: &BTreeMap<String, u32>) -> BTreeMap<Purpose, i64> {
    // Without retry delays there is no retry queue, and the sum is 0.
    let mut sums = BTreeMap::from([(Purpose::Retry, 0)]);
    for (queue, messages) in depths {
        if let Some(purpose) = topology.purpose(queue) {
            *sums.entry(purpose).or_default() += i64::from(*messages);
        }
    }
    sums
}

/// Keeps the age of the oldest unsettled delivery. When consuming ends, that delivery goes
/// back to the queue; its age goes on until deliveries come again.
pub async fn age(in_flight: InFlight, consuming: Arc<AtomicBool>, stop: CancellationToken) {
    let mut oldest_ms = None;
    loop {
        if consuming.load(Ordering::Relaxed)
            && let Ok(oldest) = timeout(IN_FLIGHT_TIMEOUT, in_flight.oldest_ms()).await
        {
            oldest_ms = oldest;
        }
        let age_ms = oldest_ms.map_or(0, |at| now_ms().saturating_sub(at).max(0));
        metrics::OLDEST_UNAPPLIED.set(age_ms / 1_000);
        if !paused(INTERVAL, &stop).await {
            return;
        }
    }
}

/// Pauses. False on `stop`.
async fn paused(pause: Duration, stop: &CancellationToken) -> bool {
    tokio::select! {
        () = tokio::time::sleep(pause) => true,
        () = stop.cancelled() => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::settings::Settings;

    #[test]
    fn queues_are_summed_by_purpose() {
        let settings = Settings::from_pairs(&[("QUEUE_NAMESPACE", "t"), ("RETRY_DELAYS", "2s,1m")]);
        let topology = Topology::from_settings(&settings).expect("settings");
        let depths = [
            ("t.work", 3),
            ("t.dead", 1),
            ("t.retry.2s", 2),
            ("t.retry.1m", 5),
            ("else", 9),
        ];
        let depths = depths.map(|(queue, messages)| (queue.to_owned(), messages));
        let sums = by_purpose(&topology, &BTreeMap::from(depths));
        let expected = [(Purpose::Work, 3), (Purpose::Dead, 1), (Purpose::Retry, 7)];
        assert_eq!(sums, BTreeMap::from(expected));
    }
}
