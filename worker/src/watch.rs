//! What a worker looks at every few seconds beside its work, for the metrics.

use crate::{
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

const LOOK_EVERY: Duration = Duration::from_secs(5);
/// What is not known, such as at the start, is looked at again so soon.
const LOOK_SOON: Duration = Duration::from_millis(500);
/// A database that has not answered for so long does not.
const ANSWER_MOST: Duration = Duration::from_secs(10);
/// A look at what is held waits no longer for an acknowledgement under way.
const HELD_MOST: Duration = Duration::from_secs(1);

/// Keeps the gauges that are read from the database, those of the `watched` jobs
/// too, and writes the catalog's tiers there once it can be reached.
pub async fn database(database: PgPool, tiers: Vec<Tier>, watched: Vec<&'static str>, stop: CancellationToken) {
    let mut tiers_written = false;
    loop {
        let up = answers(&database).await;
        metrics::DATABASE_UP.set(i64::from(up));
        if up && let Err(error) = look(&database, &tiers, &watched, &mut tiers_written).await {
            tracing::debug!(%error, "the gauges could not be read");
        }
        let pause = if tiers_written {
            LOOK_EVERY
        } else {
            Duration::from_millis(250)
        };
        if !paused(pause, &stop).await {
            return;
        }
    }
}

/// Whether the database can be used. One that hangs is down as soon as that is
/// clear, but the question is not cut off: its connection would be of no use.
async fn answers(database: &PgPool) -> bool {
    let mut ready = pin!(pool::ready(database));
    let answer = if let Ok(answer) = timeout(ANSWER_MOST, &mut ready).await {
        answer
    } else {
        metrics::DATABASE_UP.set(0);
        ready.await
    };
    answer.is_ok()
}

async fn look(
    database: &PgPool,
    tiers: &[Tier],
    watched: &[&str],
    tiers_written: &mut bool,
) -> Result<(), sqlx::Error> {
    let mut connection = database.acquire().await?;
    if !*tiers_written {
        catalog::write_tiers(&mut connection, tiers).await?;
        *tiers_written = true;
    }
    let open = dead_letter::count_open(&mut connection).await?;
    for reason in Permanent::ALL.map(Permanent::as_str) {
        let count = open.iter().find(|(r, _)| r == reason).map_or(0, |(_, count)| *count);
        metrics::DEAD_OPEN.with_label_values(&[reason]).set(count);
    }
    show_waiting(subscription::waiting(&mut connection).await?);
    metrics::QUESTIONS.set(question::waiting(&mut connection).await?);
    recovered(&job::last(&mut connection).await?, watched);
    let idle = i64::try_from(database.num_idle()).unwrap_or(i64::MAX);
    metrics::POOL.with_label_values(&["idle"]).set(idle);
    metrics::POOL
        .with_label_values(&["busy"])
        .set(i64::from(database.size()) - idle);
    Ok(())
}

/// Shows what waits for a missing link, and how long the oldest has waited.
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

/// What the jobs of recovery came to last, whichever worker did them. Of those that
/// are not done by themselves here, no time is shown that would grow old.
fn recovered(jobs: &[JobStatus], watched: &[&str]) {
    for JobStatus { job, ended_at, report } in jobs {
        if watched.contains(&job.as_str()) {
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

/// Keeps how many messages wait in the queues; what is not known is not shown.
pub async fn queues(publisher: Publisher, topology: Topology, stop: CancellationToken) {
    loop {
        let pause = match publisher.depths().await {
            Ok(depths) => {
                for (purpose, messages) in by_purpose(&topology, &depths) {
                    metrics::QUEUED.with_label_values(&[purpose.as_str()]).set(messages);
                }
                LOOK_EVERY
            }
            Err(error) => {
                metrics::QUEUED.reset();
                tracing::debug!(%error, "the queues could not be looked at");
                LOOK_SOON
            }
        };
        if !paused(pause, &stop).await {
            return;
        }
    }
}

fn by_purpose(topology: &Topology, depths: &BTreeMap<String, u32>) -> BTreeMap<Purpose, i64> {
    // Without retries there is no such queue, and nothing in it.
    let mut sums = BTreeMap::from([(Purpose::Retry, 0)]);
    for (queue, messages) in depths {
        if let Some(purpose) = topology.purpose(queue) {
            *sums.entry(purpose).or_default() += i64::from(*messages);
        }
    }
    sums
}

/// Keeps the age of the oldest delivery that is held. What was held when consuming
/// ended waits still, so that its age goes on until deliveries come again.
pub async fn age(holdings: InFlight, consuming: Arc<AtomicBool>, stop: CancellationToken) {
    let mut oldest_ms = None;
    loop {
        if consuming.load(Ordering::Relaxed)
            && let Ok(seen) = timeout(HELD_MOST, holdings.oldest_ms()).await
        {
            oldest_ms = seen;
        }
        let age_ms = oldest_ms.map_or(0, |at| now_ms().saturating_sub(at).max(0));
        metrics::OLDEST_UNAPPLIED.set(age_ms / 1_000);
        if !paused(LOOK_EVERY, &stop).await {
            return;
        }
    }
}

/// False if it is time to stop.
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
    fn queues_are_summed_by_what_they_are_for() {
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
