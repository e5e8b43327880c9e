//! The main measurements, each with its own processes, queues and database.

use crate::load::{EventTemplates, Load, Until, user_of};
use anyhow::{Result, ensure};
use std::time::{Duration, Instant};
use tests::figures::Times;
use tests::harness::{Entitlement, Pair, Setup, TestEnv, wait_for};

/// The measurement of accepted requests.
pub(crate) struct Accepted {
    pub(crate) times: Times,
    pub(crate) took: Duration,
    pub(crate) event_bytes: usize,
}

/// The measurement of a backlog.
pub(crate) struct Drained {
    pub(crate) events: usize,
    pub(crate) took: Duration,
}

/// Posts distinct signed events over `connections` for `time`. No worker runs, so this measures the signature
/// check, the publishing and the broker's confirm.
pub(crate) async fn accept(connections: usize, time: Duration) -> Result<Accepted> {
    let env = TestEnv::new("bench_accept").await?;
    let pair = Pair::start(&env, Setup::default().workers(0)).await?;
    let load = Load::new();
    let warm_up = Until::Time(Instant::now() + Duration::from_secs(1));
    load.post(&pair.client, connections, warm_up).await?;
    let start = Instant::now();
    let times = load.post(&pair.client, connections, Until::Time(start + time)).await?;
    Ok(Accepted {
        took: start.elapsed(),
        times: times.into(),
        event_bytes: load.mean_bytes(),
    })
}

/// Fills the work queue with `events`, then starts a worker with `settings`, and times it from the first commit
/// to the last.
pub(crate) async fn drain(events: usize, settings: &[(&str, &str)]) -> Result<Drained> {
    let env = TestEnv::new("bench_drain").await?;
    let mut setup = Setup::default().workers(0);
    for (name, value) in settings {
        setup = setup.worker(name, value);
    }
    let mut pair = Pair::start(&env, setup).await?;
    Load::new().post(&pair.client, 64, Until::Count(events)).await?;
    pair.spawn_worker()?;
    let took = time_settling(&pair, i64::try_from(events)?).await?;

    let applied: i64 = sqlx::query_scalar("SELECT count(*) FROM billing.events WHERE outcome = 'applied'")
        .fetch_one(env.pool())
        .await?;
    ensure!(
        usize::try_from(applied)? == events,
        "{applied} of {events} events were applied"
    );
    Ok(Drained { events, took })
}

/// The time from the last probe with nothing settled to the first with `all` deliveries settled. A delivery is
/// settled right after its commit.
pub(crate) async fn time_settling(pair: &Pair, all: i64) -> Result<Duration> {
    let mut start = Instant::now();
    // Each probe costs the worker time, so they are rare.
    let mut probes = tokio::time::interval(Duration::from_millis(50));
    wait_for(Duration::from_mins(10), "the backlog is applied", async || {
        probes.tick().await;
        let now = Instant::now();
        // A worker that does not answer yet has settled nothing.
        let settled = pair.settled().await.unwrap_or_default();
        if settled == 0 {
            start = now;
        }
        ensure!(settled >= all, "{settled} of {all} are settled");
        Ok(())
    })
    .await?;
    Ok(start.elapsed())
}

/// Posts `samples` single events one after the other, each of a new user. Times each from the start of the post
/// until the user's row is visible.
pub(crate) async fn become_visible(samples: usize) -> Result<Times> {
    const WARM_UP: usize = 20;
    let env = TestEnv::new("bench_visible").await?;
    let pair = Pair::start(&env, Setup::default()).await?;
    let templates = EventTemplates::new();
    let mut times = Vec::new();
    for subscription in 0..WARM_UP + samples {
        let user = user_of(subscription);
        let body = templates.event(subscription, EventTemplates::CREATED);
        let start = Instant::now();
        pair.client.post_signed(body).await?.accepted()?;
        while Entitlement::load(env.pool(), &user).await?.is_none() {
            ensure!(
                start.elapsed() < Duration::from_secs(10),
                "{user} does not become visible"
            );
        }
        times.push(start.elapsed());
    }
    Ok(times.split_off(WARM_UP).into())
}
