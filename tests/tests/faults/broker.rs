//! RabbitMQ stopped, killed, blocked, full, its queue deleted, its connections closed: every post
//! is refused in time, no event is lost, and work resumes without a restart.
//!
//! "Within 5 s of healing" counts from the moment at which a client of the test has a message
//! confirmed over a fresh connection. Where only a connection or a queue of ours is broken, it
//! counts from the moment of the fault.

use anyhow::{Context, Result, ensure};
use lapin::BasicProperties;
use std::time::{Duration, Instant};
use tests::crowd::{SendReport, Senders, all_applied, deliver, ids, newcomers, refused};
use tests::figures::note;
use tests::fixtures::Event;
use tests::harness::{OwnServers, Pair, Setup, TestEnv, eventually};

/// The bound for a `503` with `Retry-After`.
const REFUSED_WITHIN: Duration = Duration::from_secs(3);
/// How soon work resumes after a server is back.
const RESUMED_WITHIN: Duration = Duration::from_secs(5);
const DEADLINE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn while_the_broker_is_away_posts_are_refused_in_time_and_no_accepted_event_is_lost() -> Result<()> {
    let servers = OwnServers::up("broker-away").await?;
    for how in ["stop", "kill"] {
        outage(&servers, how).await.context(how)?;
    }
    Ok(())
}

/// The broker goes away under load, and comes back.
async fn outage(servers: &OwnServers, how: &str) -> Result<()> {
    let env = TestEnv::on(servers.servers().clone(), &format!("broker_{how}")).await?;
    let mut pair = Pair::start(&env, Setup::default()).await?;
    let pids = pids(&pair);
    let events = newcomers(env.namespace(), 1_000);
    let delivery = Senders::start(&pair.client, &events, 4);
    delivery.accepted(200).await?;

    servers.broker(&[how]).await?;
    not_ready(&pair, "no connection to RabbitMQ").await;
    let further = newcomers(&format!("{}further", env.namespace()), 1);
    ensure!(refused(&pair.client, &further[0]).await? < REFUSED_WITHIN);

    let (started, resumed) = tokio::join!(
        servers.broker(&["start"]),
        resumes_after(servers.broker_heals(), &pair, &env, &further[0])
    );
    started?;
    resumed?;
    let SendReport {
        refused,
        slowest_refusal,
        ..
    } = delivery.finish().await?;
    note(&format!(
        "broker {how}: {refused} posts refused, the slowest after {slowest_refusal:?}"
    ));
    ensure!(refused > 0, "the sender noticed nothing");
    ensure!(slowest_refusal < REFUSED_WITHIN, "a 503 took {slowest_refusal:?}");
    all_applied(env.pool(), &ids(&events), DEADLINE).await?;
    nothing_is_dead(&pair, &env).await?;
    unharmed(&mut pair, pids).await
}

#[tokio::test]
async fn a_broker_that_blocks_deletes_closes_or_is_full_is_survived_without_a_restart() -> Result<()> {
    let servers = OwnServers::up("broker-moods").await?;
    a_memory_alarm(&servers).await.context("a memory alarm")?;
    deleted_queues(&servers).await.context("deleted queues")?;
    closed_connections(&servers).await.context("closed connections")?;
    a_full_queue(&servers).await.context("a full queue")
}

/// Publishing is blocked, consuming is not: what waits is applied and acknowledged meanwhile.
async fn a_memory_alarm(servers: &OwnServers) -> Result<()> {
    let env = TestEnv::on(servers.servers().clone(), "broker_alarm").await?;
    let mut pair = Pair::start(&env, Setup::default().workers(0)).await?;
    let events = newcomers(env.namespace(), 52);
    let (waiting, [first, second]) = events.split_at(50) else {
        unreachable!("as many as were made")
    };
    Senders::start(&pair.client, waiting, 4).finish().await?;
    servers.broker(&["ctl", "set_vm_memory_high_watermark", "0"]).await?;
    let slowest = refused(&pair.client, first)
        .await?
        .max(refused(&pair.client, first).await?);
    note(&format!("memory alarm: 503 after {slowest:?}"));
    ensure!(slowest < REFUSED_WITHIN, "a 503 took {slowest:?}");
    let readiness = pair.ingest.ops().get("/readyz").await?;
    ensure!(
        readiness.status == 503 && readiness.body.contains("alarm"),
        "{}",
        readiness.body
    );

    pair.add_worker().await?;
    all_applied(env.pool(), &ids(waiting), DEADLINE).await?;
    // It acknowledges its last batch before it ends; what it could not is ready again once the
    // broker has missed it.
    pair.workers[0].sigterm().await?;
    pair.workers[0].exit(DEADLINE).await?;
    let (queues, work) = (env.queues().await?, env.topology().work());
    eventually(DEADLINE, "the broker has missed the worker", async || {
        ensure!(queues.consumers(&work).await? == 0);
        Ok(())
    })
    .await;
    ensure!(queues.depth(&work).await? == 0, "the worker could not acknowledge");
    pair.workers[0].start().await?;

    servers
        .broker(&["ctl", "set_vm_memory_high_watermark", "absolute", "2GB"])
        .await?;
    resumes_after(servers.broker_heals(), &pair, &env, first).await?;
    deliver(&pair.client, second).await?;
    all_applied(env.pool(), &ids(&events), DEADLINE).await?;
    nothing_is_dead(&pair, &env).await
}

/// The work queue alone; then all of them, those that only fill in bad times included.
async fn deleted_queues(servers: &OwnServers) -> Result<()> {
    let env = TestEnv::on(servers.servers().clone(), "broker_deleted").await?;
    let mut pair = Pair::start(&env, Setup::default()).await?;
    let pids = pids(&pair);
    let (queues, topology) = (env.queues().await?, env.topology());
    let events = newcomers(env.namespace(), 3);
    queues.delete(&topology.work()).await?;
    resumes_after(now(), &pair, &env, &events[0]).await?;
    queues.delete_all().await?;
    resumes_after(now(), &pair, &env, &events[1]).await?;

    pair.ingest.ready().await?;
    queues.delete(&topology.dead()).await?;
    queues
        .publish(&topology.work(), BasicProperties::default(), b"poison")
        .await?;
    eventually(DEADLINE, "the dead letter is in a new queue", async || {
        ensure!(queues.depth(&topology.dead()).await? == 1);
        Ok(())
    })
    .await;
    resumes_after(now(), &pair, &env, &events[2]).await?;
    unharmed(&mut pair, pids).await
}

/// By an operator, and channel by channel.
async fn closed_connections(servers: &OwnServers) -> Result<()> {
    let env = TestEnv::on(servers.servers().clone(), "broker_closed").await?;
    let mut pair = Pair::start(&env, Setup::default()).await?;
    let pids = pids(&pair);
    let events = newcomers(env.namespace(), 2);
    servers.broker(&["ctl", "close_all_connections", "a test"]).await?;
    resumes_after(now(), &pair, &env, &events[0]).await?;
    let every_channel = "[exit(Channel, kill) || Channel <- rabbit_channel:list()].";
    servers.broker(&["ctl", "eval", every_channel]).await?;
    resumes_after(now(), &pair, &env, &events[1]).await?;
    nothing_is_dead(&pair, &env).await?;
    unharmed(&mut pair, pids).await
}

/// An operator's limit, without a worker to make room.
async fn a_full_queue(servers: &OwnServers) -> Result<()> {
    let env = TestEnv::on(servers.servers().clone(), "broker_full").await?;
    let mut pair = Pair::start(&env, Setup::default().workers(0)).await?;
    let events = newcomers(env.namespace(), 12);
    let (few, [last, ..]) = events.split_at(10) else {
        unreachable!("as many as were made")
    };
    Senders::start(&pair.client, few, 1).finish().await?;
    let pattern = format!("^{}$", env.topology().work().replace('.', "\\."));
    let limit = r#"{"max-length": 5, "overflow": "reject-publish"}"#;
    let policy = ["ctl", "set_policy", "full", &pattern, limit, "--apply-to", "queues"];
    servers.broker(&policy).await?;
    let took = eventually(DEADLINE, "the limit holds", async || refused(&pair.client, last).await).await;
    note(&format!("full queue: 503 after {took:?}"));
    ensure!(took < REFUSED_WITHIN, "a 503 took {took:?}");
    servers.broker(&["ctl", "clear_policy", "full"]).await?;
    pair.add_worker().await?;
    resumes_after(now(), &pair, &env, last).await?;
    all_applied(env.pool(), &ids(few), DEADLINE).await?;
    nothing_is_dead(&pair, &env).await
}

fn now() -> std::future::Ready<Result<Instant>> {
    std::future::ready(Ok(Instant::now()))
}

/// Posts `event` until it is accepted, and checks that it is so, and applied, soon after the
/// moment `healed`.
async fn resumes_after(
    healed: impl Future<Output = Result<Instant>>,
    pair: &Pair,
    env: &TestEnv,
    event: &Event,
) -> Result<()> {
    let healed = healed.await?;
    let SendReport { slowest_refusal, .. } = deliver(&pair.client, event).await?;
    let accepted = healed.elapsed();
    all_applied(env.pool(), std::slice::from_ref(&event.id), DEADLINE).await?;
    let applied = healed.elapsed();
    note(&format!(
        "{}: after healing accepted {accepted:?}, applied {applied:?}",
        env.namespace()
    ));
    ensure!(slowest_refusal < REFUSED_WITHIN, "a 503 took {slowest_refusal:?}");
    ensure!(
        applied < RESUMED_WITHIN,
        "accepted after {accepted:?}, applied after {applied:?}"
    );
    Ok(())
}

/// Waits until both say, on `/readyz`, that they cannot work, and why.
async fn not_ready(pair: &Pair, reason: &str) {
    for process in [&pair.ingest, &pair.workers[0]] {
        eventually(DEADLINE, "it says why it is not ready", async || {
            let answer = process.ops().get("/readyz").await?;
            ensure!(answer.status == 503 && answer.body.contains(reason), "{}", answer.body);
            Ok(())
        })
        .await;
    }
}

async fn nothing_is_dead(pair: &Pair, env: &TestEnv) -> Result<()> {
    let listed = pair.dead_letters(&[]).await?;
    ensure!(listed.is_empty(), "{listed:?}");
    let dead = env.queues().await?.depth(&env.topology().dead()).await?;
    ensure!(dead == 0, "{dead} dead letters");
    Ok(())
}

fn pids(pair: &Pair) -> [Option<u32>; 2] {
    [pair.ingest.pid(), pair.workers[0].pid()]
}

/// The same processes as before, ready.
async fn unharmed(pair: &mut Pair, before: [Option<u32>; 2]) -> Result<()> {
    pair.ingest.ready().await?;
    pair.workers[0].ready().await?;
    ensure!(pids(pair) == before, "restarted");
    Ok(())
}
