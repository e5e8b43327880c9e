//! What a worker does by itself, now and then: one of them for all.

use super::{
    RecoveryError, Tools,
    backfill::{self, Which, backfill},
    reconcile::{self, Manner, Told, reconcile},
    schedule::Schedule,
};
use crate::store::job::{self, LastStart};
use shared::work_queue::WorkQueue;
use sqlx::PgConnection;
use std::time::Duration;
use tokio::time::Instant;

/// How often it is seen whether something is due.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// The same after an error, such as of a database that is away: all others tell of it too.
const AFTER_ERROR: Duration = Duration::from_secs(30);
/// When one is begun again that did not come to its end.
const AGAIN_AFTER: Duration = Duration::from_mins(5);
/// With more messages than this on the work queue, much of what differs is only
/// on its way.
const WAITING_MOST: u32 = 500;

/// Does the jobs when they are due, until it is time to stop.
pub async fn run(tools: Tools, schedule: Schedule) {
    let started = Instant::now();
    while !tools.stop.is_cancelled() {
        let mut pause = LOOK_EVERY;
        // At the start there is no connection yet, and without one nothing can be done.
        if tools.work_queue.as_ref().is_some_and(WorkQueue::is_ready) {
            let done = [
                ("backfill", catch_up(&tools, schedule, started).await),
                ("reconcile", compare(&tools, schedule).await),
            ];
            for (job, error) in done.into_iter().filter_map(|(job, done)| Some((job, done.err()?))) {
                tell(job, &error);
                if !matches!(error, RecoveryError::Busy) {
                    pause = AFTER_ERROR;
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = tools.stop.cancelled() => {}
        }
    }
}

fn tell(job: &str, error: &RecoveryError) {
    match error {
        RecoveryError::Busy | RecoveryError::Stopped => {}
        error => tracing::warn!(%error, job, "a job did not come to its end; it is done again later"),
    }
}

/// The lead of a job, in a session of its own.
///
/// # Errors
/// [`RecoveryError::Busy`] when another one has it.
pub async fn lead(tools: &Tools, name: &str) -> Result<PgConnection, RecoveryError> {
    let mut session = tools.pool.acquire().await?;
    if !job::lead(&mut session, name).await? {
        return Err(RecoveryError::Busy);
    }
    // Out of the pool: the lead has to end with the session, whatever happens.
    Ok(session.detach())
}

/// Whether a job is due that was last begun then.
fn is_due(begun: Option<LastStart>, every: Option<Duration>, since_start: Option<Duration>) -> bool {
    let Some(every) = every else { return false };
    begun.is_none_or(|begun| {
        let ago = Duration::from_secs(u64::try_from(begun.ago_s).unwrap_or_default());
        let cut_off = !begun.ended && ago >= AGAIN_AFTER;
        ago >= every || cut_off || since_start.is_some_and(|started| ago > started)
    })
}

async fn due(
    tools: &Tools,
    name: &str,
    every: Option<Duration>,
    since_start: Option<Duration>,
) -> Result<bool, RecoveryError> {
    let begun = job::begun(&mut *tools.pool.acquire().await?, name).await?;
    Ok(is_due(begun, every, since_start))
}

/// What came while no worker ran is the sooner there the better: at each start too.
async fn catch_up(tools: &Tools, schedule: Schedule, started: Instant) -> Result<(), RecoveryError> {
    let since_start = || Some(started.elapsed());
    if !due(tools, backfill::JOB, schedule.backfill, since_start()).await? {
        return Ok(());
    }
    let mut session = lead(tools, backfill::JOB).await?;
    // Another one may have just done it.
    if !due(tools, backfill::JOB, schedule.backfill, since_start()).await? {
        return Ok(());
    }
    job::begin(&mut session, backfill::JOB).await?;
    let mut report = backfill::Report::default();
    let done = backfill(tools, &mut session, Which::Undelivered, &mut report, |_| {}).await;
    match &done {
        Ok(()) => job::end(&mut session, backfill::JOB, &report).await?,
        Err(_) => job::fail(&mut session, backfill::JOB, &report).await?,
    }
    tracing::info!(
        listed = report.listed,
        missed = report.missed,
        put = report.put,
        requests = report.requests,
        "events that Stripe could not deliver were fetched"
    );
    done
}

async fn compare(tools: &Tools, schedule: Schedule) -> Result<(), RecoveryError> {
    if !due(tools, reconcile::JOB, schedule.reconcile, None).await? {
        return Ok(());
    }
    if let Some(outlet) = &tools.work_queue
        && outlet.waiting().await? > WAITING_MOST
    {
        tracing::info!(
            more_than = WAITING_MOST,
            "reconcile waits for the work queue to be worked off"
        );
        return Ok(());
    }
    let mut session = lead(tools, reconcile::JOB).await?;
    if !due(tools, reconcile::JOB, schedule.reconcile, None).await? {
        return Ok(());
    }
    job::begin(&mut session, reconcile::JOB).await?;
    let manner = Manner {
        settle: schedule.settle,
        end_gone: false,
    };
    let mut report = reconcile::Report::default();
    let done = reconcile(tools, &mut session, manner, &mut report, log).await;
    match &done {
        Ok(()) => job::end(&mut session, reconcile::JOB, &report).await?,
        Err(_) => job::fail(&mut session, reconcile::JOB, &report).await?,
    }
    tracing::info!(
        listed = report.listed,
        asked = report.asked,
        differing = report.differing,
        refused = report.refused,
        put = report.put,
        requests = report.requests,
        "subscriptions were compared with Stripe"
    );
    done
}

/// Ids and fields alone: what differs may be personal.
#[expect(clippy::needless_pass_by_value, reason = "it is told things by value")]
fn log(told: Told<'_>) {
    let Told::Found(found) = told else { return };
    let fields: Vec<&str> = found.drift.iter().map(|d| d.field).collect();
    let subscription = found.subscription.as_str();
    match &found.refused {
        None => tracing::warn!(
            subscription,
            fields = fields.join(","),
            "a subscription is not as Stripe shows it"
        ),
        Some(why) => tracing::warn!(subscription, why, "a subscription cannot be as Stripe shows it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_due_by_its_schedule_at_first_when_it_was_cut_off_and_if_wanted_at_each_start() {
        let s = Duration::from_secs;
        let ended = |ago_s| Some(LastStart { ago_s, ended: true });
        let cut_off = |ago_s| Some(LastStart { ago_s, ended: false });
        for (begun, every, since_start, expected) in [
            (None, Some(600), None, true),
            (ended(599), Some(600), None, false),
            (ended(600), Some(600), None, true),
            (ended(5), Some(600), Some(3), true),
            (ended(3), Some(600), Some(5), false),
            (cut_off(299), Some(600), None, false),
            (cut_off(300), Some(600), None, true),
            (None, None, Some(5), false),
        ] {
            let due = is_due(begun, every.map(s), since_start.map(s));
            assert_eq!(due, expected, "{begun:?} {every:?} {since_start:?}");
        }
    }
}
