//! An event has its effect once, however often it is delivered and whatever process is killed.

use anyhow::{Context, Result, ensure};
use lapin::BasicProperties;
use sqlx::{PgPool, Row};
use std::time::Duration;
use tests::crowd::{Senders, all_recorded, ids, newcomers};
use tests::figures::note;
use tests::harness::{Pair, Setup, TestEnv, eventually, header, unix_now};
use tests::{compare, merchant, random};
use tokio::task::JoinSet;

const DEADLINE: Duration = Duration::from_mins(1);

#[tokio::test]
async fn the_same_id_posted_100_times_at_once_has_one_effect() -> Result<()> {
    let env = TestEnv::new("delivery_same").await?;
    let pair = Pair::start(&env, Setup::default().workers(2)).await?;
    let event = newcomers(env.namespace(), 1).remove(0);
    let mut posts = JoinSet::new();
    for _ in 0..100 {
        let (client, event) = (pair.client.clone(), event.clone());
        posts.spawn(async move { client.post_event(&event).await?.accepted() });
    }
    while let Some(post) = posts.join_next().await {
        post??;
    }
    eventually(DEADLINE, "every delivery is settled", async || {
        ensure!(pair.settled().await? == 100);
        Ok(())
    })
    .await;
    let mut outcomes = [("applied", 0), ("duplicate", 0)];
    for worker in &pair.workers {
        let metrics = worker.metrics().await?;
        for (outcome, count) in &mut outcomes {
            *count += metrics.sum(
                "tollbridge_worker_deliveries_total",
                &[&format!("outcome=\"{outcome}\"")],
            );
        }
    }
    ensure!(outcomes == [("applied", 1), ("duplicate", 99)], "{outcomes:?}");
    ensure!(rows(env.pool()).await? == [1, 1, 1, 1]);
    Ok(())
}

#[tokio::test]
async fn processes_killed_at_any_moment_lose_nothing_and_do_nothing_twice() -> Result<()> {
    let (seed, now) = (random::seed()?, unix_now());
    let lives = merchant::lives(seed, 130, now);
    let events = merchant::delivered(&lives, seed, 10);
    let env = TestEnv::new("delivery_killed").await?;
    // Small batches: more moments to be killed at.
    let setup = Setup::default()
        .workers(2)
        .worker("BATCH_SIZE", "20")
        .worker("LANES", "2");
    let mut pair = Pair::start(&env, setup).await?;
    let delivery = Senders::start(&pair.client, &events, 8);
    for round in 1..=6 {
        delivery.accepted(events.len() * round / 8).await?;
        if round % 2 == 0 {
            pair.ingest.kill_9().await?;
            pair.ingest.start().await?;
        }
        let worker = &mut pair.workers[round % 2];
        worker.kill_9().await?;
        worker.start().await?;
    }
    let report = delivery.finish().await?;
    all_recorded(env.pool(), &ids(&events), DEADLINE).await?;
    note(&format!("killed, seed {seed}: {} deliveries, {report:?}", events.len()));
    ensure!(report.unanswered > 0, "no client noticed that ingest was killed");
    compare::all(env.pool(), &lives)
        .await
        .with_context(|| format!("seed {seed}"))?;
    ensure!(pair.dead_letters(&[]).await?.is_empty(), "something is dead");
    Ok(())
}

#[tokio::test]
async fn a_message_that_the_broker_gave_up_becomes_a_recorded_dead_letter() -> Result<()> {
    let env = TestEnv::new("delivery_limit").await?;
    let pair = Pair::start(&env, Setup::default()).await?;
    let (queues, topology) = (env.queues().await?, env.topology());
    let event = newcomers(env.namespace(), 1).remove(0);
    // Where RabbitMQ puts a message that it has delivered a hundred times.
    let body = event.body.as_bytes();
    queues
        .publish(&topology.over_limit(), BasicProperties::default(), body)
        .await?;
    eventually(DEADLINE, "it is on the dead-letter queue", async || {
        ensure!(queues.depth(&topology.dead()).await? == 1);
        Ok(())
    })
    .await;
    let letter = queues.take_all(&topology.dead()).await?.remove(0);
    let reason = header(&letter, shared::message::REASON).context("no reason")?;
    ensure!(reason == "delivery_limit" && letter.data == body, "{reason}");
    let listed = pair.dead_letters(&["--reason", "delivery_limit"]).await?;
    ensure!(listed.len() == 1 && listed[0]["id"] == event.id, "{listed:?}");
    ensure!(rows(env.pool()).await? == [1, 0, 0, 0], "it was applied");
    Ok(())
}

/// The broker's own move, which the test above takes for granted.
#[tokio::test]
async fn the_broker_moves_a_message_over_the_delivery_limit_to_the_over_limit_queue() -> Result<()> {
    let env = TestEnv::new("delivery_moved").await?;
    let (queues, topology) = (env.queues().await?, env.topology());
    queues.declare_all().await?;
    queues
        .publish(&topology.work(), BasicProperties::default(), b"poison")
        .await?;
    let times = usize::try_from(shared::topology::DELIVERY_LIMIT)? + 1;
    queues.return_first(&topology.work(), times).await?;
    eventually(DEADLINE, "it is moved", async || {
        ensure!(queues.depth(&topology.over_limit()).await? == 1);
        Ok(())
    })
    .await;
    ensure!(queues.depth(&topology.work()).await? == 0);
    Ok(())
}

/// How many rows there are of events, facts, subscriptions and entitlements.
async fn rows(pool: &PgPool) -> Result<[i64; 4]> {
    let rows = sqlx::query(
        "SELECT (SELECT count(*) FROM billing.events), (SELECT count(*) FROM billing.fact), \
         (SELECT count(*) FROM billing.subscription), (SELECT count(*) FROM billing.entitlements)",
    );
    let rows = rows.fetch_one(pool).await?;
    Ok([rows.try_get(0)?, rows.try_get(1)?, rows.try_get(2)?, rows.try_get(3)?])
}
