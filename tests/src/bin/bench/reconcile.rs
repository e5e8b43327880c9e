//! What it takes to compare many subscriptions with Stripe, of which the stand-in lists them.

use crate::load::Life;
use crate::measure::time_settling;
use anyhow::{Context, Result, ensure};
use lapin::BasicProperties;
use serde_json::{Value, json};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tests::harness::{Pair, Setup, TestEnv};
use tests::stripe::Stripe;
use tokio::io::AsyncReadExt;

/// Events that are made and published at once.
const PART: usize = 1_000;
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A run of `worker reconcile`.
pub(crate) struct Compared {
    /// What it says of itself.
    pub(crate) report: Value,
    /// From its start to its end.
    pub(crate) took: Duration,
    /// The most memory that it had.
    pub(crate) memory_kib: u64,
}

/// Compares so many subscriptions, none of which differs; then once more, of which every hundredth does.
pub(crate) async fn reconcile(subscriptions: usize) -> Result<[Compared; 2]> {
    let stripe = Stripe::start().await?;
    let env = TestEnv::new("bench_reconcile").await?;
    let setup = Setup::default()
        .worker("STRIPE_SECRET_KEY", "rk_test_bench")
        .worker("STRIPE_API_BASE", stripe.base())
        .worker("STRIPE_REQUESTS_PER_SECOND", "100")
        .worker("BACKFILL_INTERVAL", "off")
        .worker("RECONCILE_INTERVAL", "off");
    let mut pair = Pair::start(&env, setup.workers(0)).await?;
    let (life, queues, work) = (Life::new(), env.queues().await?, env.topology().work());
    for first in (0..subscriptions).step_by(PART) {
        let numbers = first..subscriptions.min(first + PART);
        let bodies: Vec<_> = numbers.map(|number| life.fact(number, Life::CREATED)).collect();
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

async fn run(pair: &Pair) -> Result<Compared> {
    let start = Instant::now();
    let mut command = pair.workers[0].command(&["reconcile", "--json"])?;
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let status = format!("/proc/{}/status", child.id().context("it has ended")?);
    let mut output = child.stdout.take().context("no output")?;
    let reading = tokio::spawn(async move {
        let mut printed = String::new();
        output.read_to_string(&mut printed).await.map(|_| printed)
    });
    let mut looks = tokio::time::interval(LOOK_EVERY);
    let mut memory_kib = 0;
    let ended = loop {
        tokio::select! {
            ended = child.wait() => break ended?,
            _ = looks.tick() => memory_kib = high_water_kib(&status).unwrap_or_default().max(memory_kib),
        }
    };
    let took = start.elapsed();
    ensure!(ended.success(), "reconcile: {ended}");
    let printed = reading.await??;
    let report = serde_json::from_str(printed.lines().last().context("no figures")?)?;
    Ok(Compared {
        report,
        took,
        memory_kib,
    })
}

/// The most memory that a process had (`VmHWM` of proc(5)).
fn high_water_kib(status: &str) -> Option<u64> {
    let status = std::fs::read_to_string(status).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}
