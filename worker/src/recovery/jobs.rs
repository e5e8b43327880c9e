//! The jobs that workers run by themselves. One worker at a time does each.

use super::{
    backfill::{self, BackfillRange, BackfillReport, backfill},
    error::RecoveryError,
    reconcile::{self, ReconcileOptions, ReconcileProgress, ReconcileReport, reconcile},
    schedule::Schedule,
    tools::RecoveryTools,
};
use crate::store::job::{self, LastStart};
use shared::work_queue::WorkQueue;
use sqlx::PgConnection;
use std::time::Duration;
use tokio::time::Instant;

/// How often a worker checks whether a job is due.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Pause after an error; other tasks already log an unreachable database.
const AFTER_ERROR: Duration = Duration::from_secs(30);
/// When a job is started again that did not finish.
const AGAIN_AFTER: Duration = Duration::from_mins(5);
/// Most messages on the work queue for a reconcile to start. With more, much of what
/// differs is only under way.
const WAITING_MAX: u32 = 500;

/// Runs the jobs when they are due, until it is time to stop.
pub async fn run(tools: RecoveryTools, schedule: Schedule) {
    let started = Instant::now();
    while !tools.stop.is_cancelled() {
        let mut pause = LOOK_EVERY;
        // Without a connection to RabbitMQ, as at the start, no job can run.
        if tools.work_queue.as_ref().is_some_and(WorkQueue::is_ready) {
            let done = [
                ("backfill", catch_up(&tools, schedule, started).await),
                ("reconcile", compare(&tools, schedule).await),
            ];
            for (job, error) in done.into_iter().filter_map(|(job, done)| Some((job, done.err()?))) {
                log_failure(job, &error);
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

fn log_failure(job: &str, error: &RecoveryError) {
    match error {
        RecoveryError::Busy | RecoveryError::Stopped => {}
        error => tracing::warn!(%error, job, "a job did not finish; it is run again later"),
    }
}

/// Takes the lead of a job, in a session of its own.
///
/// # Errors
/// [`RecoveryError::Busy`] if another session has it.
pub async fn lead(tools: &RecoveryTools, name: &str) -> Result<PgConnection, RecoveryError> {
    let mut session = tools.pool.acquire().await?;
    if !job::lead(&mut session, name).await? {
        return Err(RecoveryError::Busy);
    }
    // Out of the pool, so that the session and the lead end together.
    Ok(session.detach())
}

/// Whether a job is due, given its latest start.
fn is_due(begun: Option<LastStart>, every: Option<Duration>, since_start: Option<Duration>) -> bool {
    let Some(every) = every else { return false };
    begun.is_none_or(|begun| {
        let ago = Duration::from_secs(u64::try_from(begun.ago_s).unwrap_or_default());
        let cut_off = !begun.ended && ago >= AGAIN_AFTER;
        ago >= every || cut_off || since_start.is_some_and(|started| ago > started)
    })
}

async fn due(
    tools: &RecoveryTools,
    name: &str,
    every: Option<Duration>,
    since_start: Option<Duration>,
) -> Result<bool, RecoveryError> {
    let begun = job::begun(&mut *tools.pool.acquire().await?, name).await?;
    Ok(is_due(begun, every, since_start))
}

/// Runs a backfill if one is due. At each start of the worker one is due, because
/// events may have come while no worker ran.
async fn catch_up(tools: &RecoveryTools, schedule: Schedule, started: Instant) -> Result<(), RecoveryError> {
    let since_start = || Some(started.elapsed());
    if !due(tools, backfill::JOB, schedule.backfill, since_start()).await? {
        return Ok(());
    }
    let mut session = lead(tools, backfill::JOB).await?;
    // Another worker may have just finished it.
    if !due(tools, backfill::JOB, schedule.backfill, since_start()).await? {
        return Ok(());
    }
    job::begin(&mut session, backfill::JOB).await?;
    let mut report = BackfillReport::default();
    let done = backfill(tools, &mut session, BackfillRange::Undelivered, &mut report, |_| {}).await;
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

async fn compare(tools: &RecoveryTools, schedule: Schedule) -> Result<(), RecoveryError> {
    if !due(tools, reconcile::JOB, schedule.reconcile, None).await? {
        return Ok(());
    }
    if let Some(work_queue) = &tools.work_queue
        && work_queue.waiting().await? > WAITING_MAX
    {
        tracing::info!(
            more_than = WAITING_MAX,
            "reconcile waits until the work queue is shorter"
        );
        return Ok(());
    }
    let mut session = lead(tools, reconcile::JOB).await?;
    if !due(tools, reconcile::JOB, schedule.reconcile, None).await? {
        return Ok(());
    }
    job::begin(&mut session, reconcile::JOB).await?;
    let options = ReconcileOptions {
        settle: schedule.settle,
        end_gone: false,
    };
    let mut report = ReconcileReport::default();
    let done = reconcile(tools, &mut session, options, &mut report, log_drift).await;
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

/// Logs ids and names of fields alone: their values may be personal.
#[expect(
    clippy::needless_pass_by_value,
    reason = "a callback of `reconcile` takes its argument by value"
)]
fn log_drift(progress: ReconcileProgress<'_>) {
    let ReconcileProgress::Differs(found) = progress else {
        return;
    };
    let fields: Vec<&str> = found.drift.iter().map(|d| d.field).collect();
    let subscription = found.subscription.as_str();
    match &found.refused {
        None => tracing::warn!(
            subscription,
            fields = fields.join(","),
            "a subscription differs from Stripe's"
        ),
        Some(why) => tracing::warn!(
            subscription,
            why,
            "a subscription differs from Stripe's and cannot be repaired"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_due_first_then_at_its_interval_and_after_it_was_cut_off_or_at_each_start() {
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
