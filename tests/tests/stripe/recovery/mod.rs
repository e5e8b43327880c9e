//! `backfill` and `reconcile`: what Stripe has and we missed is fetched, compared and repaired.

mod backfill;
mod reconcile;
mod ties;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::time::Duration;
use tests::harness::{Pair, Setup, TestEnv, eventually};
use tests::stripe::Stripe;

const DEADLINE: Duration = Duration::from_mins(1);
const KEY: &str = "rk_test_tollbridge_hush_0123456789";

/// A pair that asks this Stripe, and by itself nothing but what a tie leaves open.
fn asking(stripe: &Stripe) -> Setup {
    Setup::default()
        .worker("STRIPE_SECRET_KEY", KEY)
        .worker("STRIPE_API_BASE", stripe.base())
        .worker("STRIPE_LIVEMODE", "test")
        .worker("STRIPE_REQUESTS_PER_SECOND", "100")
        .worker("BACKFILL_INTERVAL", "off")
        .worker("RECONCILE_INTERVAL", "off")
        .worker("RECONCILE_SETTLE", "100ms")
}

/// The figures that `worker reconcile --json` ends with, and the lines before them.
async fn reconcile(pair: &Pair, further: &[&str]) -> Result<(Value, Vec<Value>)> {
    let printed = pair.operate(&[&["reconcile", "--json"], further].concat()).await?;
    let lines: Result<Vec<Value>, _> = printed.lines().map(serde_json::from_str).collect();
    let mut lines = lines.with_context(|| printed.clone())?;
    let report = lines.pop().context("no figures")?;
    Ok((report, lines))
}

/// Waits until all snapshots that were put on the work queue are applied.
async fn snapshots_applied(env: &TestEnv, count: i64) {
    let question = "SELECT count(*) FROM billing.event WHERE event_type = 'tollbridge.subscription.snapshot' \
                    AND outcome = 'applied'";
    eventually(DEADLINE, "the snapshots are applied", async || {
        let applied: i64 = sqlx::query_scalar(question).fetch_one(env.pool()).await?;
        ensure!(applied == count, "{applied} of {count}");
        Ok(())
    })
    .await;
}

fn asked_as_stripe_says(stripe: &Stripe) -> Result<()> {
    let violations = stripe.violations();
    ensure!(violations.is_empty(), "{violations:?}");
    ensure!(stripe.writes().is_empty(), "something was written");
    Ok(())
}

#[tokio::test]
async fn without_a_key_or_with_one_of_the_other_mode_no_request_is_sent() -> Result<()> {
    let stripe = Stripe::start().await?;
    let env = TestEnv::new("recovery_keys").await?;
    let pair = Pair::start(&env, asking(&stripe).workers(0)).await?;
    let worker = tests::harness::Process::new("keys", "worker", &[], env.settings(), env.logs())?;
    for (command, key, mode, said) in [
        ("reconcile", "", "test", "STRIPE_SECRET_KEY: is not set"),
        ("backfill", "", "test", "STRIPE_SECRET_KEY: is not set"),
        (
            "reconcile",
            "sk_live_hush",
            "test",
            "is of live mode, and STRIPE_LIVEMODE is test",
        ),
        ("run", KEY, "live", "is of test mode, and STRIPE_LIVEMODE is live"),
    ] {
        let mut command = worker.command(&[command])?;
        command
            .env("STRIPE_SECRET_KEY", key)
            .env("STRIPE_LIVEMODE", mode)
            .env("STRIPE_API_BASE", stripe.base());
        let output = command.output().await?;
        let told = String::from_utf8(output.stderr)?;
        ensure!(
            output.status.code() == Some(2) && told.contains(said) && !told.contains("hush"),
            "{told}"
        );
    }
    drop(pair);
    ensure!(stripe.requests().is_empty());
    Ok(())
}
