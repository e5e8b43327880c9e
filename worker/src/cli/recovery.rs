//! `worker reconcile` and `worker backfill`: their help and their output.

use super::{
    connect::{database, with_tools},
    print::eprint_line,
};
use crate::{
    config,
    domain::fact::Seconds,
    plural::counted,
    read::message::EventReader,
    recovery::{
        backfill::{self, BackfillRange, LISTED_FOR},
        error::RecoveryError,
        jobs::lead,
        reconcile::{self, DriftFound, ReconcileOptions, ReconcileProgress, ReconcileReport},
        schedule::Schedule,
        tools::RecoveryTools,
    },
    store::job,
};
use anyhow::ensure;
use shared::{
    message::{now_ms, rfc3339},
    settings::{SettingError, Settings},
    shutdown::{self, CancellationToken},
    terminal::printable,
    work_queue::WorkQueue,
};
use std::{
    io::{Write, stdout},
    time::{Duration, Instant},
};
use stripe_api::Api;

/// How often a running command prints its progress.
const PRINT_EVERY: Duration = Duration::from_secs(2);

pub(super) const RECONCILE_HELP: &str = "\
Reads all subscriptions from Stripe, within STRIPE_REQUESTS_PER_SECOND, and compares each with the stored one.
It puts a snapshot of each subscription that differs on the work queue. Events that arrive later with the same
content then change nothing. With --dry-run it only prints the differences. `worker run` does the same every
RECONCILE_INTERVAL.
Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.";

pub(super) const BACKFILL_HELP: &str = "\
Reads the events that Stripe could not deliver, or with --since all events since then. It puts those that never
arrived on the work queue, oldest first. Stripe lists events for 30 days. It counts no event as undelivered that
is older than the webhook endpoint. A backfill that is cut off continues where it was. `worker run` does the same
at its start and every BACKFILL_INTERVAL, but without --since.
Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.";

/// Prints progress, at most once in [`PRINT_EVERY`].
struct Progress(Instant);

impl Progress {
    fn new() -> Self {
        Self(Instant::now())
    }

    fn print(&mut self, line: impl FnOnce() -> String) {
        if self.0.elapsed() > PRINT_EVERY {
            self.0 = Instant::now();
            eprint_line(&line());
        }
    }
}

fn api(settings: &Settings, reader: &EventReader) -> anyhow::Result<Api> {
    let missing = || SettingError::new("STRIPE_SECRET_KEY", "is not set; this command reads from Stripe");
    Ok(config::stripe(settings, &reader.scope)?.ok_or_else(missing)?)
}

/// The tools of a command that only reads.
async fn read_tools(
    settings: &Settings,
    reader: EventReader,
    stop: CancellationToken,
) -> anyhow::Result<RecoveryTools> {
    let pool = database(settings).await?;
    Ok(RecoveryTools {
        api: api(settings, &reader)?,
        pool,
        reader,
        work_queue: None,
        stop,
    })
}

/// Runs `work` with tools that also put messages on the work queue.
async fn with_work_queue(
    settings: &Settings,
    reader: EventReader,
    stop: CancellationToken,
    work: impl AsyncFnOnce(RecoveryTools) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let api = api(settings, &reader)?;
    with_tools(settings, async |tools| {
        let work_queue = WorkQueue::new(tools.publisher, &tools.topology);
        work(RecoveryTools {
            api,
            pool: tools.pool,
            reader,
            work_queue: Some(work_queue),
            stop,
        })
        .await
    })
    .await
}

/// Runs `work` until it ends or the process must stop. Work that is dropped is done
/// again by the next run.
async fn until_stopped<T>(
    stop: &CancellationToken,
    work: impl Future<Output = Result<T, RecoveryError>>,
) -> Result<T, RecoveryError> {
    tokio::select! {
        done = work => done,
        () = stop.cancelled() => Err(RecoveryError::Stopped),
    }
}

pub(super) async fn reconcile(settings: &Settings, dry_run: bool, json: bool, end_gone: bool) -> anyhow::Result<()> {
    let stop = shutdown::on_signal()?;
    let reader = config::reader(settings)?;
    let settle = Schedule::from_settings(settings)?.settle;
    let work = async |tools: RecoveryTools| {
        let mut session = lead(&tools, reconcile::JOB).await?;
        if !dry_run {
            job::begin(&mut session, reconcile::JOB).await?;
        }
        let (mut progress, began) = (Progress::new(), Instant::now());
        let mut report = ReconcileReport::default();
        let options = ReconcileOptions { settle, end_gone };
        let run = reconcile::reconcile(&tools, &mut session, options, &mut report, |step| match step {
            ReconcileProgress::Listed(count) => progress.print(|| format!("{count} subscriptions compared")),
            ReconcileProgress::Differs(found) => show(found, json),
        });
        let done = until_stopped(&tools.stop, run).await;
        match &done {
            _ if dry_run => {}
            Ok(()) => job::end(&mut session, reconcile::JOB, &report).await?,
            Err(_) => job::fail(&mut session, reconcile::JOB, &report).await?,
        }
        done?;
        if json {
            writeln!(stdout(), "{}", serde_json::to_string(&report)?)?;
        } else {
            writeln!(stdout(), "{}", reconcile_in_words(&report, dry_run, began.elapsed()))?;
        }
        Ok(())
    };
    if dry_run {
        return work(read_tools(settings, reader, stop).await?).await;
    }
    Box::pin(with_work_queue(settings, reader, stop, work)).await
}

#[expect(clippy::print_stdout, reason = "a line of the result, printed when it is found")]
fn show(found: &DriftFound, json: bool) {
    if json {
        println!("{}", serde_json::to_string(found).unwrap_or_default());
        return;
    }
    let user = found.user.as_ref().map_or("user unknown", |user| user.as_str());
    println!("{} ({})", printable(found.subscription.as_str()), printable(user));
    for drift in &found.drift {
        println!("  {}", printable(&drift.to_string()));
    }
    if let Some(why) = &found.refused {
        println!("  cannot be applied: {}", printable(why));
    }
}

fn reconcile_in_words(report: &ReconcileReport, dry_run: bool, took: Duration) -> String {
    let ReconcileReport {
        listed,
        asked,
        differing,
        ended,
        unknown,
        unanswered,
        refused,
        put,
        requests,
        ..
    } = report;
    let (subscriptions, verb) = (
        counted(*listed, "subscription", "subscriptions"),
        if *differing == 1 { "differs" } else { "differ" },
    );
    let mut words = vec![format!("{subscriptions} at Stripe compared, {differing} {verb}")];
    if *differing > 0 {
        let fields: Vec<String> = report.drift.iter().map(|(field, n)| format!("{field} {n}")).collect();
        words[0] = format!("{} ({})", words[0], fields.join(", "));
    }
    let parts = [
        (asked, "missing from Stripe's list and read by id"),
        (ended, "of these not at Stripe any more, and ended"),
        (
            unknown,
            "of these unknown to this key, and left as they are (to end them, STRIPE_LIVEMODE must be live or test)",
        ),
        (unanswered, "of these not answered by Stripe; the log says why"),
        (refused, "cannot be applied"),
    ];
    let parts = parts.into_iter().filter(|(count, _)| **count > 0);
    words.extend(parts.map(|(count, what)| format!("{count} {what}")));
    words.push(if dry_run {
        "nothing was changed".to_owned()
    } else {
        format!("{} put on the work queue", counted(*put, "snapshot", "snapshots"))
    });
    let took_s = took.as_secs_f64();
    let requests = counted(*requests, "request", "requests");
    format!("{}. {requests} in {took_s:.1} s.", words.join("; "))
}

pub(super) async fn backfill(settings: &Settings, since: Option<Seconds>) -> anyhow::Result<()> {
    let stop = shutdown::on_signal()?;
    let reader = config::reader(settings)?;
    if let Some(since) = since {
        let first = now_ms() / 1_000 - LISTED_FOR;
        if since < first {
            let first = rfc3339(first * 1_000);
            eprint_line(&format!(
                "Stripe lists events for 30 days: it has none older than {first}"
            ));
        }
    }
    let which = since.map_or(BackfillRange::Undelivered, BackfillRange::Since);
    with_work_queue(settings, reader, stop, async |tools: RecoveryTools| {
        let mut session = lead(&tools, which.job()).await?;
        job::begin(&mut session, which.job()).await?;
        let (mut progress, began) = (Progress::new(), Instant::now());
        let mut report = backfill::BackfillReport::default();
        let run = backfill::backfill(&tools, &mut session, which, &mut report, |report| {
            progress.print(|| backfill_in_words(report));
        });
        let done = until_stopped(&tools.stop, run).await;
        match &done {
            Ok(()) => job::end(&mut session, which.job(), &report).await?,
            Err(_) => job::fail(&mut session, which.job(), &report).await?,
        }
        let (requests, took_s) = (report.requests, began.elapsed().as_secs_f64());
        let requests = counted(requests, "request", "requests");
        writeln!(stdout(), "{}. {requests} in {took_s:.1} s.", backfill_in_words(&report))?;
        done?;
        ensure!(
            report.missed == report.put,
            "{} not put on the work queue",
            counted(report.missed - report.put, "missed event was", "missed events were")
        );
        Ok(())
    })
    .await
}

fn backfill_in_words(report: &backfill::BackfillReport) -> String {
    let reached = report
        .reached
        .map_or(String::new(), |at| format!(", up to {}", rfc3339(at * 1_000)));
    format!(
        "{} listed{reached}: {} had never arrived, {} put on the work queue",
        counted(report.listed, "event", "events"),
        report.missed,
        report.put
    )
}
