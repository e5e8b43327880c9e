//! Measures metered usage: a backlog of reports for one user and for many, and the time until a single report is
//! visible.

use crate::measure::{Drained, time_settling};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use shared::message::{self, Meta};
use std::time::{Duration, Instant};
use tests::crowd::{all_applied, ids, newcomers};
use tests::figures::Times;
use tests::fixtures::Event;
use tests::harness::{Pair, Setup, TestEnv};

/// The units in each report.
const AMOUNT: i64 = 7;

fn report(number: usize, user: &str) -> Value {
    json!({
        "specversion": "1.0", "type": "usage", "source": "bench", "id": number.to_string(), "subject": user,
        "data": {"meter": "tokens", "amount": AMOUNT}
    })
}

/// The user of a first event.
fn user_of(event: &Event) -> Result<String> {
    let body: Value = serde_json::from_str(&event.body)?;
    let user = body["data"]["object"]["metadata"]["user_id"].as_str();
    Ok(user.context("a newcomer has a user")?.to_owned())
}

/// Times one worker with a backlog of `reports` about `users` subscribed users in turn.
pub(crate) async fn drain(reports: usize, users: usize) -> Result<Drained> {
    let env = TestEnv::new("bench_usage").await?;
    let mut pair = Pair::start(&env, Setup::default()).await?;
    let events = newcomers(env.namespace(), users);
    let names = events.iter().map(user_of).collect::<Result<Vec<_>>>()?;
    for event in &events {
        pair.client.post_event(event).await?.accepted()?;
    }
    all_applied(env.pool(), &ids(&events), Duration::from_mins(2)).await?;
    pair.workers[0].sigterm().await?;
    pair.workers[0].exit(Duration::from_secs(30)).await?;

    let bodies: Vec<String> = (0..reports).map(|n| report(n, &names[n % users]).to_string()).collect();
    let messages = bodies.iter().enumerate().map(|(number, body)| {
        let headers = Meta::usage(message::now_ms()).headers();
        (
            message::properties(&format!("bench {number}"), "usage", headers),
            body.as_bytes(),
        )
    });
    env.queues()
        .await?
        .publish_all(&env.topology().work(), messages)
        .await?;
    pair.workers[0].start().await?;
    let took = time_settling(&pair, i64::try_from(reports)?).await?;
    let used: i64 = sqlx::query_scalar("SELECT sum(used)::bigint FROM billing.balances WHERE meter = 'tokens'")
        .fetch_one(env.pool())
        .await?;
    ensure!(used == i64::try_from(reports)? * AMOUNT, "{used} were used");
    Ok(Drained { events: reports, took })
}

/// Times `samples` single reports, one after the other, from the start of the post until the balance shows it.
pub(crate) async fn become_visible(samples: usize) -> Result<Times> {
    const WARM_UP: usize = 20;
    let env = TestEnv::new("bench_usage_visible").await?;
    let pair = Pair::start(&env, Setup::default()).await?;
    let events = newcomers(env.namespace(), 1);
    let user = user_of(&events[0])?;
    pair.client.post_event(&events[0]).await?.accepted()?;
    all_applied(env.pool(), &ids(&events), Duration::from_mins(1)).await?;
    let mut times = Vec::new();
    for number in 0..WARM_UP + samples {
        let expected = AMOUNT * i64::try_from(number + 1)?;
        let start = Instant::now();
        pair.client.post_usage(&report(number, &user)).await?;
        loop {
            let shown: Option<i64> =
                sqlx::query_scalar("SELECT used FROM billing.balances WHERE user_id = $1 AND meter = 'tokens'")
                    .bind(&user)
                    .fetch_optional(env.pool())
                    .await?;
            if shown == Some(expected) {
                break;
            }
            ensure!(
                start.elapsed() < Duration::from_secs(10),
                "{shown:?} are used, not {expected}"
            );
        }
        times.push(start.elapsed());
    }
    Ok(times.split_off(WARM_UP).into())
}
