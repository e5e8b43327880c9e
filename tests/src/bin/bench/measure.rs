//! The three measurements, each with processes, queues and a database of its own.

use crate::load::{Life, Load, Until, user_of};
use anyhow::{Result, ensure};
use std::time::{Duration, Instant};
use tests::figures::Times;
use tests::harness::{Entitlement, Pair, Setup, TestEnv, wait_for};

/// How requests were answered.
pub(crate) struct Accepted {
    pub(crate) times: Times,
    pub(crate) took: Duration,
    pub(crate) event_bytes: usize,
}

/// How a backlog was worked off.
pub(crate) struct Drained {
    pub(crate) events: usize,
    pub(crate) took: Duration,
}

/// Posts distinct signed events over `connections` for `time`. No worker runs: what is measured
/// is verifying, publishing and the broker's confirm.
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

/// Fills the work queue with `events`, then starts a worker with the further `settings`, and
/// times it from the first commit to the last.
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

/// From the last look that saw nothing settled to the first that saw `all`. Settled follows
/// committed at once.
pub(crate) async fn time_settling(pair: &Pair, all: i64) -> Result<Duration> {
    let mut start = Instant::now();
    // Looking costs the worker time, so it is done rarely.
    let mut looks = tokio::time::interval(Duration::from_millis(50));
    wait_for(Duration::from_mins(10), "the backlog is worked off", async || {
        looks.tick().await;
        let now = Instant::now();
        // Until the worker answers, nothing is settled.
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

/// Posts `samples` single events one after the other, each of a new user, and times each from
/// the start of the post until the user's row is there.
pub(crate) async fn become_visible(samples: usize) -> Result<Times> {
    const WARM_UP: usize = 20;
    let env = TestEnv::new("bench_visible").await?;
    let pair = Pair::start(&env, Setup::default()).await?;
    let life = Life::new();
    let mut times = Vec::new();
    for subscription in 0..WARM_UP + samples {
        let user = user_of(subscription);
        let body = life.fact(subscription, Life::CREATED);
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
