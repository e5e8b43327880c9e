//! Measures `worker reconcile` with many subscriptions in the stand-in for Stripe's API.

use crate::load::EventTemplates;
use crate::measure::time_settling;
use anyhow::{Context, Result, ensure};
use lapin::BasicProperties;
use serde_json::{Value, json};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tests::harness::{Pair, Setup, TestEnv};
use tests::stripe::Stripe;
use tokio::io::AsyncReadExt;

/// The number of events that are made and published at once.
const CHUNK: usize = 1_000;
const MEMORY_PROBE_PAUSE: Duration = Duration::from_millis(20);

/// A run of `worker reconcile`.
pub(crate) struct ReconcileRun {
    /// Its own report.
    pub(crate) report: Value,
    /// The time from its start to its end.
    pub(crate) took: Duration,
    /// Its peak memory, in KiB.
    pub(crate) memory_kib: u64,
}

/// Compares `subscriptions` without differences; then again with a difference in every hundredth.
pub(crate) async fn reconcile(subscriptions: usize) -> Result<[ReconcileRun; 2]> {
    let stripe = Stripe::start().await?;
    let env = TestEnv::new("bench_reconcile").await?;
    let setup = Setup::default()
        .worker("STRIPE_SECRET_KEY", "rk_test_bench")
        .worker("STRIPE_API_BASE", stripe.base())
        .worker("STRIPE_REQUESTS_PER_SECOND", "100")
        .worker("BACKFILL_INTERVAL", "off")
        .worker("RECONCILE_INTERVAL", "off");
    let mut pair = Pair::start(&env, setup.workers(0)).await?;
    let (templates, queues, work) = (EventTemplates::new(), env.queues().await?, env.topology().work());
    for first in (0..subscriptions).step_by(CHUNK) {
        let numbers = first..subscriptions.min(first + CHUNK);
        let bodies: Vec<_> = numbers
            .map(|number| templates.event(number, EventTemplates::CREATED))
            .collect();
        for body in &bodies {
            let event: Value = serde_json::from_slice(body)?;
            stripe.put("subscriptions", &event["data"]["object"]);
        }
        let messages = bodies.iter().map(|body| (BasicProperties::default(), &body[..]));
        queues.publish_all(&work, messages).await?;
    }
    pair.spawn_worker()?;
    time_settling(&pair, i64::try_from(subscriptions)?).await?;
    let same = run(&pair).await?;
    ensure!(
        same.report["differing"] == 0 && same.report["listed"] == subscriptions,
        "{}",
        same.report
    );
    for mut subscription in stripe.objects("subscriptions").into_iter().step_by(100) {
        subscription["status"] = json!("past_due");
        stripe.put("subscriptions", &subscription);
    }
    let other = run(&pair).await?;
    ensure!(
        other.report["differing"] == subscriptions.div_ceil(100),
        "{}",
        other.report
    );
    Ok([same, other])
}

async fn run(pair: &Pair) -> Result<ReconcileRun> {
    let start = Instant::now();
    let mut command = pair.workers[0].command(&["reconcile", "--json"])?;
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let status = format!("/proc/{}/status", child.id().context("it has ended")?);
    let mut output = child.stdout.take().context("no output")?;
    let reading = tokio::spawn(async move {
        let mut printed = String::new();
        output.read_to_string(&mut printed).await.map(|_| printed)
    });
    let mut probes = tokio::time::interval(MEMORY_PROBE_PAUSE);
    let mut memory_kib = 0;
    let ended = loop {
        tokio::select! {
            ended = child.wait() => break ended?,
            _ = probes.tick() => memory_kib = peak_memory_kib(&status).unwrap_or_default().max(memory_kib),
        }
    };
    let took = start.elapsed();
    ensure!(ended.success(), "reconcile: {ended}");
    let printed = reading.await??;
    let report = serde_json::from_str(printed.lines().last().context("no figures")?)?;
    Ok(ReconcileRun {
        report,
        took,
        memory_kib,
    })
}

/// The peak memory of a process in KiB (`VmHWM` of proc(5)).
fn peak_memory_kib(status: &str) -> Option<u64> {
    let status = std::fs::read_to_string(status).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}
