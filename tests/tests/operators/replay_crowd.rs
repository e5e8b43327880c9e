//! Ten thousand dead letters: listed, filtered, and replayed by a command that is killed several times.

use crate::replay::scalar;
use anyhow::{Result, ensure};
use sqlx::Row;
use std::io::Write;
use std::time::{Duration, Instant};
use tests::harness::{Pair, Queues, Setup, TestEnv, eventually};
use tests::test_catalog::{TestCatalog, all_dead, missing_price_events, restart};

const DEADLINE: Duration = Duration::from_mins(1);

#[tokio::test]
async fn ten_thousand_letters_are_replayed_through_kills_and_each_counts_once() -> Result<()> {
    const LETTERS: usize = 10_000;
    let shop = TestCatalog::new("crowd")?;
    let env = TestEnv::new("replay_crowd").await?.with("CATALOG_FILE", &shop.path());
    let mut pair = Pair::start(&env, Setup::default()).await?;
    let (queues, dead) = (env.queues().await?, env.topology().dead());
    let events = missing_price_events(env.namespace(), LETTERS);
    all_dead(&env, &queues, &events).await?;
    let began = Instant::now();
    ensure!(pair.dead_letters(&[]).await?.len() == LETTERS);
    let listed = began.elapsed();
    let customer = pair.dead_letters(&["--limit", "1"]).await?[0]["customer"].clone();
    let began = Instant::now();
    ensure!(
        pair.dead_letters(&["--customer", customer.as_str().unwrap_or_default()])
            .await?
            .len()
            == 1
    );
    let filtered = began.elapsed();
    // One from the middle of the queue; the others stay.
    pair.operate(&[
        "dead-letters",
        "discard",
        &events[LETTERS / 2].id,
        "--why",
        "one of many",
    ])
    .await?;
    ensure!(queues.depth(&dead).await? == i64::try_from(LETTERS)? - 1);

    shop.add_missing_price()?;
    restart(&mut pair).await?;
    // Killed in the middle: once it has put some back to work, and before it is done.
    for part in 1..=3_i64 {
        let mut replay = pair.workers[0].command(&["dead-letters", "replay", "--all"])?;
        let mut child = replay.stdout(std::process::Stdio::null()).spawn()?;
        eventually(DEADLINE, "the replay is under way", async || {
            let touched = scalar(
                &env,
                "SELECT count(DISTINCT event_id) FROM billing.operator_action_event",
            )
            .await?;
            ensure!(touched > part * 1_000, "{touched}");
            Ok(())
        })
        .await;
        child.kill().await?;
        // RabbitMQ takes a moment to see the kill and to requeue the unacknowledged messages.
        eventually(DEADLINE, "what it held is back", async || {
            let consumers = queues.consumers(&dead).await?;
            ensure!(consumers == 0, "{consumers}");
            Ok(())
        })
        .await;
    }
    let left = pair.dead_letters(&[]).await?.len();
    ensure!(left > 0, "the kills came too late to prove anything");
    let began = Instant::now();
    let done = pair.operate(&["dead-letters", "replay", "--all"]).await?;
    let replayed = began.elapsed();
    writeln!(
        std::io::stdout(),
        "{LETTERS} dead letters: list {listed:?}, filter {filtered:?}, replay of the last {left} {replayed:?}; {done}"
    )?;

    every_one_counts_once(&env, &queues, i64::try_from(LETTERS)? - 1).await
}

/// All but the one that was discarded.
async fn every_one_counts_once(env: &TestEnv, queues: &Queues, applied: i64) -> Result<()> {
    let counts = "SELECT count(*) FILTER (WHERE outcome = 'applied') AS applied, count(*) AS all,
                         (SELECT count(*) FROM billing.fact) AS facts,
                         (SELECT count(*) FROM billing.entitlements WHERE effective_tier = 'plus') AS plus,
                         (SELECT count(*) FROM billing.dead_letter WHERE resolution = 'applied') AS resolved,
                         (SELECT count(*) FROM billing.dead_letter WHERE resolution = 'discarded') AS discarded
                  FROM billing.events";
    eventually(DEADLINE, "every one counts once", async || {
        let row = sqlx::query(counts).fetch_one(env.pool()).await?;
        for (name, expected) in [
            ("applied", applied),
            ("all", applied + 1),
            ("facts", applied),
            ("plus", applied),
            ("resolved", applied),
            ("discarded", 1),
        ] {
            let count: i64 = row.try_get(name)?;
            ensure!(count == expected, "{name}: {count} instead of {expected}");
        }
        let (left, work) = (
            queues.depth(&env.topology().dead()).await?,
            queues.depth(&env.topology().work()).await?,
        );
        ensure!(left == 0 && work == 0, "{left} dead and {work} waiting messages");
        Ok(())
    })
    .await;
    Ok(())
}
