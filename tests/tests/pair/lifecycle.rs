//! How processes start, wait and end.

use anyhow::{Result, ensure};
use std::time::{Duration, Instant};
use tests::crowd::{Senders, all_applied, ids, newcomers};
use tests::figures::note;
use tests::harness::{Pair, Process, Setup, TestEnv, eventually, sign, unix_now};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const DEADLINE: Duration = Duration::from_secs(30);
/// The default of `DRAIN_TIMEOUT`.
const DRAIN: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_worker_that_is_asked_to_stop_finishes_its_batch_and_leaves_the_rest_to_the_next_one() -> Result<()> {
    let env = TestEnv::new("lifecycle_worker").await?;
    let mut pair = Pair::start(&env, Setup::default().workers(0).worker("BATCH_SIZE", "10")).await?;
    let events = newcomers(env.namespace(), 2_000);
    let (queues, work) = (env.queues().await?, env.topology().work());
    Senders::start(&pair.client, &events, 8).finish().await?;
    ensure!(queues.depth(&work).await? == 2_000);
    pair.add_worker().await?;
    eventually(DEADLINE, "it works", async || {
        ensure!(pair.settled().await? > 100);
        Ok(())
    })
    .await;
    let asked = Instant::now();
    pair.workers[0].sigterm().await?;
    let status = pair.workers[0].exit(DRAIN).await?;
    note(&format!("worker drained in {:?}", asked.elapsed()));
    ensure!(status.code() == Some(0), "{status}");
    eventually(DEADLINE, "what it held is ready again", async || {
        let (left, done) = (queues.depth(&work).await?, applied(&env).await?);
        ensure!(left + done == 2_000, "{left} left, {done} done");
        ensure!(left > 0, "it had no work left: too fast for this test");
        Ok(())
    })
    .await;
    pair.workers[0].start().await?;
    all_applied(env.pool(), &ids(&events), DEADLINE).await?;
    let metrics = pair.workers[0].metrics().await?;
    let twice = metrics.sum("tollbridge_worker_deliveries_total", &["outcome=\"duplicate\""]);
    ensure!(twice == 0, "{twice} were committed and not acknowledged");
    Ok(())
}

async fn applied(env: &TestEnv) -> Result<i64> {
    let count = sqlx::query_scalar("SELECT count(*) FROM billing.events WHERE outcome = 'applied'");
    Ok(count.fetch_one(env.pool()).await?)
}

#[tokio::test]
async fn an_ingest_that_is_asked_to_stop_answers_the_request_under_way() -> Result<()> {
    let env = TestEnv::new("lifecycle_ingest").await?;
    let mut pair = Pair::start(&env, Setup::default()).await?;
    let event = newcomers(env.namespace(), 1).remove(0);
    let mut slow = TcpStream::connect(pair.client.server()).await?;
    let head = format!(
        "POST /webhooks/stripe HTTP/1.1\r\nhost: slow\r\ncontent-length: {}\r\nexpect: 100-continue\r\n\
         stripe-signature: {}\r\n\r\n",
        event.body.len(),
        sign(tests::harness::SECRET, unix_now(), event.body.as_bytes())
    );
    slow.write_all(head.as_bytes()).await?;
    // It says so once it waits for the body.
    let mut answer = [0; 25];
    slow.read_exact(&mut answer).await?;
    ensure!(
        &answer == b"HTTP/1.1 100 Continue\r\n\r\n",
        "{:?}",
        String::from_utf8_lossy(&answer)
    );
    let (first, second) = event.body.as_bytes().split_at(1_000);
    slow.write_all(first).await?;
    pair.ingest.sigterm().await?;
    eventually(DEADLINE, "it takes no more connections", async || {
        ensure!(TcpStream::connect(pair.client.server()).await.is_err());
        Ok(())
    })
    .await;
    let readiness = pair.ingest.ops().get("/readyz").await?;
    ensure!(
        readiness.status == 503 && readiness.body.contains("draining"),
        "{}",
        readiness.body
    );
    slow.write_all(second).await?;
    let mut answer = String::new();
    slow.read_to_string(&mut answer).await?;
    ensure!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let status = pair.ingest.exit(DRAIN).await?;
    ensure!(status.code() == Some(0), "{status}");
    all_applied(env.pool(), &[event.id], DEADLINE).await?;
    Ok(())
}

#[tokio::test]
async fn eight_migrations_at_once_all_succeed() -> Result<()> {
    let env = TestEnv::new("lifecycle_migrate").await?;
    let operator = Process::new("operator", "worker", &[], env.settings(), env.logs())?;
    let mut runs = JoinSet::new();
    for _ in 0..8 {
        let mut command = operator.command(&["migrate"])?;
        runs.spawn(async move { command.output().await });
    }
    while let Some(run) = runs.join_next().await {
        let output = run??;
        ensure!(
            output.status.code() == Some(0),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let applied: i64 = sqlx::query_scalar("SELECT count(*) FROM billing.migration WHERE success")
        .fetch_one(env.pool())
        .await?;
    let files = std::fs::read_dir(tests::harness::repository().join("migrations"))?.count();
    ensure!(usize::try_from(applied)? == files, "{applied} of {files}");
    Ok(())
}

#[tokio::test]
async fn a_worker_before_the_migration_asks_for_it_and_starts_by_itself_afterwards() -> Result<()> {
    let env = TestEnv::new("lifecycle_early").await?;
    let mut worker = Process::new("worker", "worker", &["run"], env.settings(), env.logs())?;
    worker.spawn()?;
    eventually(DEADLINE, "it asks for the migration", async || {
        let answer = worker.ops().get("/readyz").await?;
        ensure!(
            answer.status == 503 && answer.body.contains("`worker migrate`"),
            "{}",
            answer.body
        );
        Ok(())
    })
    .await;
    let pid = worker.pid();
    let event = newcomers(env.namespace(), 1).remove(0);
    let (queues, work) = (env.queues().await?, env.topology().work());
    queues.declare_all().await?;
    queues
        .publish(&work, lapin::BasicProperties::default(), event.body.as_bytes())
        .await?;
    worker.run(&["migrate"]).await?;
    worker.ready().await?;
    all_applied(env.pool(), &[event.id], DEADLINE).await?;
    ensure!(worker.pid() == pid, "restarted");
    Ok(())
}
