//! PostgreSQL stopped and killed, and a lock that is kept too long. An outage costs no event an
//! attempt. A locked row delays only the event that needs it.
//!
//! "Within 5 s of healing" counts from the moment at which a client of the test has committed over
//! a fresh connection.

use anyhow::{Context, Result, ensure};
use shared::message;
use sqlx::{Postgres, Transaction};
use std::time::{Duration, Instant};
use tests::crowd::{Senders, all_applied, deliver, ids, lives, newcomers};
use tests::figures::note;
use tests::fixtures::Event;
use tests::harness::{OwnServers, Pair, Recorded, Setup, TestEnv, eventually, header, recorded};

/// How long the database is stopped.
const OUTAGE: Duration = Duration::from_mins(1);
/// How soon work resumes after a server is back.
const RESUMED_WITHIN: Duration = Duration::from_secs(5);
const DEADLINE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn while_the_database_is_away_events_are_taken_and_none_is_lost_or_loses_an_attempt() -> Result<()> {
    let servers = OwnServers::up("database-away").await?;
    let env = TestEnv::on(servers.servers().clone(), "database_away").await?;
    let mut pair = Pair::start(&env, Setup::default()).await?;
    let pids = (pair.ingest.pid(), pair.workers[0].pid());
    outage(&servers, &env, &pair, "stop", OUTAGE).await.context("stop")?;
    outage(&servers, &env, &pair, "kill", Duration::ZERO)
        .await
        .context("kill")?;
    pair.workers[0].ready().await?;
    ensure!(pids == (pair.ingest.pid(), pair.workers[0].pid()), "restarted");
    let metrics = pair.workers[0].metrics().await?;
    ensure!(
        metrics.sum("tollbridge_worker_retries_total", &[]) == 0,
        "an attempt was counted"
    );
    ensure!(
        metrics.sum("tollbridge_worker_dead_letters_total", &[]) == 0,
        "something died"
    );
    ensure!(pair.dead_letters(&[]).await?.is_empty(), "something is dead");
    Ok(())
}

/// The database goes away under load, stays away for so long, and comes back. Every post in
/// all that time is answered 200.
async fn outage(servers: &OwnServers, env: &TestEnv, pair: &Pair, how: &str, length: Duration) -> Result<()> {
    let events = newcomers(&format!("{}{how}", env.namespace()), 1_500);
    let (load, trickle) = events.split_at(600);
    let mut trickle = trickle.iter();
    let delivery = Senders::start(&pair.client, load, 2);
    delivery.accepted(200).await?;
    servers.database(&[how]).await?;
    let down = Instant::now();
    let report = delivery.finish().await?;
    ensure!(report.refused + report.unanswered == 0, "{report:?}");
    let (worker, ingest) = (pair.workers[0].ops(), pair.ingest.ops());
    eventually(DEADLINE, "the worker says why it is not ready", async || {
        let answer = worker.get("/readyz").await?;
        ensure!(
            answer.status == 503 && answer.body.contains("database"),
            "{}",
            answer.body
        );
        Ok(())
    })
    .await;
    let mut sent = ids(load);
    while down.elapsed() < length {
        let event = trickle.next().context("out of events")?;
        pair.client.post_event(event).await?.accepted()?;
        sent.push(event.id.clone());
        // Not to wait for anything: this is the pace at which events come.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    ensure!(ingest.get("/readyz").await?.status == 200, "ingest needs no database");

    let (started, healed) = tokio::join!(servers.database(&["start"]), servers.database_heals());
    started?;
    let (healed, event) = (healed?, trickle.next().context("out of events")?);
    deliver(&pair.client, event).await?;
    all_applied(env.pool(), std::slice::from_ref(&event.id), DEADLINE).await?;
    let resumed = healed.elapsed();
    all_applied(env.pool(), &sent, DEADLINE).await?;
    note(&format!(
        "database {how}: {} events meanwhile; after healing applied {resumed:?}, all {:?}",
        sent.len(),
        healed.elapsed()
    ));
    ensure!(resumed < RESUMED_WITHIN, "went on after {resumed:?}");
    Ok(())
}

#[tokio::test]
async fn an_event_that_meets_a_lock_waits_in_the_retry_queue_and_its_siblings_do_not() -> Result<()> {
    let mut stage = Stage::set("lock_released").await?;
    let lock = stage.lock().await?;
    stage.pair.add_worker().await?;
    all_applied(stage.env.pool(), &ids(&stage.siblings), DEADLINE).await?;
    let worker = &stage.pair.workers[0];
    eventually(DEADLINE, "the locked event is retried", async || {
        let metrics = worker.metrics().await?;
        ensure!(metrics.sum("tollbridge_worker_retries_total", &[]) > 0);
        Ok(())
    })
    .await;
    ensure!(stage.record().await?.is_none(), "applied in spite of the lock");
    lock.rollback().await?;
    all_applied(stage.env.pool(), &[stage.locked.id.clone()], DEADLINE).await?;
    ensure!(stage.pair.dead_letters(&[]).await?.is_empty(), "something is dead");
    Ok(())
}

#[tokio::test]
async fn an_event_whose_retries_are_used_up_is_dead_once_and_alive_when_it_comes_again() -> Result<()> {
    let mut stage = Stage::set("lock_held").await?;
    let lock = stage.lock().await?;
    stage.pair.add_worker().await?;
    let (queues, topology) = (stage.env.queues().await?, stage.env.topology());
    eventually(DEADLINE, "the locked event is on the dead-letter queue", async || {
        ensure!(queues.depth(&topology.dead()).await? == 1);
        Ok(())
    })
    .await;
    all_applied(stage.env.pool(), &ids(&stage.siblings), DEADLINE).await?;
    let record = stage.record().await?.context("not recorded")?;
    ensure!(
        record.outcome == "dead" && record.reason.as_deref() == Some("retries_exhausted"),
        "{record:?}"
    );
    let listed = stage.pair.dead_letters(&[]).await?;
    ensure!(listed.len() == 1, "{listed:?}");
    let (id, attempts) = (listed[0]["id"].as_str(), listed[0]["attempts"].as_i64());
    ensure!(
        (id, attempts) == (Some(stage.locked.id.as_str()), Some(4)),
        "{listed:?}"
    );
    let letters = queues.take_all(&topology.dead()).await?;
    ensure!(letters.len() == 1, "{} letters", letters.len());
    ensure!(header(&letters[0], message::REASON).as_deref() == Some("retries_exhausted"));
    ensure!(header(&letters[0], message::ATTEMPTS).as_deref() == Some("4"));
    ensure!(letters[0].data == stage.locked.body.as_bytes(), "another body");
    for delay in topology.retry_delays() {
        ensure!(queues.depth(&topology.retry(*delay)).await? == 0, "left in {delay:?}");
    }

    lock.rollback().await?;
    stage.pair.client.post_event(&stage.locked).await?.accepted()?;
    all_applied(stage.env.pool(), &[stage.locked.id.clone()], DEADLINE).await?;
    ensure!(stage.pair.dead_letters(&[]).await?.is_empty(), "still listed");
    Ok(())
}

/// A customer's next event waits for a worker, among events of other customers.
struct Stage {
    env: TestEnv,
    pair: Pair,
    locked: Event,
    siblings: Vec<Event>,
}

impl Stage {
    async fn set(name: &str) -> Result<Self> {
        let env = TestEnv::new(name).await?.with("RETRY_DELAYS", "200ms,400ms,800ms");
        // One lane, so that all of them meet in one batch.
        let setup = Setup::default().worker("LOCK_TIMEOUT", "300ms").worker("LANES", "1");
        let mut pair = Pair::start(&env, setup.workers(1)).await?;
        let mut life = lives(env.namespace(), 1).into_iter();
        let (known, locked) = life.next().zip(life.next()).context("a life has five events")?;
        deliver(&pair.client, &known).await?;
        all_applied(env.pool(), &[known.id], DEADLINE).await?;
        pair.workers[0].sigterm().await?;
        pair.workers[0].exit(DEADLINE).await?;
        pair.workers.clear();
        let siblings = newcomers(&format!("{}sibling", env.namespace()), 20);
        let (before, after) = siblings.split_at(10);
        Senders::start(&pair.client, before, 1).finish().await?;
        deliver(&pair.client, &locked).await?;
        Senders::start(&pair.client, after, 1).finish().await?;
        Ok(Self {
            env,
            pair,
            locked,
            siblings,
        })
    }

    /// Locks the row of the customer, the only one yet, that the worker locks to fold its facts.
    async fn lock(&self) -> Result<Transaction<'static, Postgres>> {
        let mut transaction = self.env.pool().begin().await?;
        let rows = sqlx::query("SELECT account FROM billing.account FOR UPDATE");
        let rows = rows.fetch_all(&mut *transaction).await?;
        ensure!(rows.len() == 1, "{} accounts", rows.len());
        Ok(transaction)
    }

    async fn record(&self) -> Result<Option<Recorded>> {
        let ids = std::slice::from_ref(&self.locked.id);
        Ok(recorded(self.env.pool(), ids).await?.pop().flatten())
    }
}
