//! `worker reconcile` and `worker backfill`: the arguments, and what is printed.

use super::{eprint_line, with_tools};
use crate::{
    config,
    domain::fact::Seconds,
    read::message::EventReader,
    recovery::{
        RecoveryError, Tools,
        backfill::{self, LISTED_FOR, Which},
        jobs::lead,
        reconcile::{self, Found, Manner, Report, Told},
        schedule::Schedule,
    },
    store::{job, pool, settings::Database},
};
use anyhow::ensure;
use shared::{
    message::{now_ms, rfc3339},
    settings::{SettingError, Settings},
    shutdown::{self, CancellationToken},
};
use shared::{terminal::printable, work_queue::WorkQueue};
use std::{
    io::{Write, stdout},
    time::{Duration, Instant},
};
use stripe_api::Api;

/// How often progress is told.
const SAY_EVERY: Duration = Duration::from_secs(2);

pub(super) const RECONCILE_HELP: &str = "\
Asks Stripe for all subscriptions, within STRIPE_REQUESTS_PER_SECOND, and compares each with what is kept here.
What differs is put on the work queue as it stood when it was read; events that are under way may tell the same
a moment later, and change nothing then. With --dry-run it is only printed. What `worker run` does by itself
every RECONCILE_INTERVAL.
Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.";

pub(super) const BACKFILL_HELP: &str = "\
Asks Stripe for the events that it could not deliver, or with --since for all since then, and puts those that
never came on the work queue, oldest first. Stripe lists events for 30 days, and knows none as undelivered from
before an endpoint existed. Cut off, it goes on where it was. What `worker run` does by itself at its start
and every BACKFILL_INTERVAL, but for --since.
Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.";

/// Says something now and then.
struct Progress(Instant);

impl Progress {
    fn new() -> Self {
        Self(Instant::now())
    }

    fn say(&mut self, line: impl FnOnce() -> String) {
        if self.0.elapsed() > SAY_EVERY {
            self.0 = Instant::now();
            eprint_line(&line());
        }
    }
}

fn api(settings: &Settings, reader: &EventReader) -> anyhow::Result<Api> {
    let missing = || SettingError::new("STRIPE_SECRET_KEY", "is not set; this command asks Stripe");
    Ok(config::stripe(settings, reader.mode)?.ok_or_else(missing)?)
}

/// What a command does without putting anything anywhere.
async fn to_look(settings: &Settings, reader: EventReader, stop: CancellationToken) -> anyhow::Result<Tools> {
    let database = pool::open(&Database::from_settings(settings)?)?;
    pool::ready(&database).await?;
    Ok(Tools {
        api: api(settings, &reader)?,
        pool: database,
        reader,
        work_queue: None,
        stop,
    })
}

/// Runs `work` with what puts messages on the work queue.
async fn to_put(
    settings: &Settings,
    reader: EventReader,
    stop: CancellationToken,
    work: impl AsyncFnOnce(Tools) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let api = api(settings, &reader)?;
    with_tools(settings, async |tools| {
        let outlet = WorkQueue::new(tools.publisher, &tools.topology);
        work(Tools {
            api,
            pool: tools.pool,
            reader,
            work_queue: Some(outlet),
            stop,
        })
        .await
    })
    .await
}

/// What does not stop by itself in time is dropped: it is begun anew some time.
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
    let work = async |tools: Tools| {
        let mut session = lead(&tools, reconcile::JOB).await?;
        if !dry_run {
            job::begin(&mut session, reconcile::JOB).await?;
        }
        let (mut progress, began) = (Progress::new(), Instant::now());
        let mut report = Report::default();
        let manner = Manner { settle, end_gone };
        let run = reconcile::reconcile(&tools, &mut session, manner, &mut report, |told| match told {
            Told::Listed(count) => progress.say(|| format!("{count} subscriptions compared")),
            Told::Found(found) => show(found, json),
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
            writeln!(stdout(), "{}", in_words(&report, dry_run, began.elapsed()))?;
        }
        Ok(())
    };
    if dry_run {
        return work(to_look(settings, reader, stop).await?).await;
    }
    Box::pin(to_put(settings, reader, stop, work)).await
}

#[expect(clippy::print_stdout, reason = "a line of the result, while it goes on")]
fn show(found: &Found, json: bool) {
    if json {
        println!("{}", serde_json::to_string(found).unwrap_or_default());
        return;
    }
    let user = found.user.as_ref().map_or("no user known", |user| user.as_str());
    println!("{} ({})", printable(found.subscription.as_str()), printable(user));
    for drift in &found.drift {
        println!("  {}", printable(&drift.to_string()));
    }
    if let Some(why) = &found.refused {
        println!("  cannot be applied: {}", printable(why));
    }
}

fn in_words(report: &Report, dry_run: bool, took: Duration) -> String {
    let Report {
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
    let mut words = vec![format!("{listed} subscriptions at Stripe compared, {differing} differ")];
    if *differing > 0 {
        let fields: Vec<String> = report.drift.iter().map(|(field, n)| format!("{field} {n}")).collect();
        words[0] = format!("{} ({})", words[0], fields.join(", "));
    }
    let parts = [
        (asked, "not in its list and asked for by id"),
        (ended, "of them gone there and ended for that"),
        (
            unknown,
            "of them not known by this key and left as they are (STRIPE_LIVEMODE must say live or test for more)",
        ),
        (unanswered, "of them not told of by Stripe; the log says why"),
        (refused, "cannot be applied"),
    ];
    let parts = parts.into_iter().filter(|(count, _)| **count > 0);
    words.extend(parts.map(|(count, what)| format!("{count} {what}")));
    words.push(if dry_run {
        "nothing was changed".to_owned()
    } else {
        format!("{put} snapshots put on the work queue")
    });
    let took_s = took.as_secs_f64();
    format!("{}. {requests} requests in {took_s:.1} s.", words.join("; "))
}

pub(super) async fn backfill(settings: &Settings, since: Option<Seconds>) -> anyhow::Result<()> {
    let stop = shutdown::on_signal()?;
    let reader = config::reader(settings)?;
    if let Some(since) = since {
        let first = now_ms() / 1_000 - LISTED_FOR;
        if since < first {
            let first = rfc3339(first * 1_000);
            eprint_line(&format!(
                "Stripe lists events for 30 days: it has none from before {first}"
            ));
        }
    }
    let which = since.map_or(Which::Undelivered, Which::Since);
    to_put(settings, reader, stop, async |tools: Tools| {
        let mut session = lead(&tools, which.job()).await?;
        job::begin(&mut session, which.job()).await?;
        let (mut progress, began) = (Progress::new(), Instant::now());
        let mut report = backfill::Report::default();
        let run = backfill::backfill(&tools, &mut session, which, &mut report, |report| {
            progress.say(|| told(report));
        });
        let done = until_stopped(&tools.stop, run).await;
        match &done {
            Ok(()) => job::end(&mut session, which.job(), &report).await?,
            Err(_) => job::fail(&mut session, which.job(), &report).await?,
        }
        let (requests, took_s) = (report.requests, began.elapsed().as_secs_f64());
        writeln!(stdout(), "{}. {requests} requests in {took_s:.1} s.", told(&report))?;
        done?;
        ensure!(
            report.missed == report.put,
            "{} were not put on the work queue",
            report.missed - report.put
        );
        Ok(())
    })
    .await
}

fn told(report: &backfill::Report) -> String {
    let reached = report
        .reached
        .map_or(String::new(), |at| format!(", up to {}", rfc3339(at * 1_000)));
    format!(
        "{} events listed{reached}: {} had never come, {} put on the work queue",
        report.listed, report.missed, report.put
    )
}
