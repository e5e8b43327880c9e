//! The demo's last act: what a customer uses and buys, and what is left of it.

use crate::show;
use anyhow::{Result, ensure};
use serde_json::json;
use std::time::Duration;
use tests::crowd::all_recorded;
use tests::fixtures::price::BASIC_MONTHLY;
use tests::fixtures::{ApiVersion, Customer, DAY, Event};
use tests::harness::{Balance, Pair, TestEnv, report, report_key, unix_now};

/// Whose credits they are.
const USER: &str = "user_bo";
const DEADLINE: Duration = Duration::from_secs(20);

/// Subscribes, uses more than is included, buys a pack and gives half of it back; shows the
/// balance after each step, which must be what it should be.
pub(crate) async fn act(number: usize, env: &TestEnv, pair: &Pair, version: ApiVersion) -> Result<()> {
    println!("\n{number}. {USER} uses more than basic includes, and buys a pack");
    let start = unix_now() - DAY;
    let mut customer = Customer::new(version, USER, start, BASIC_MONTHLY, true);
    let subscribed = customer.subscribed();
    let mut pack = customer.pack("tokens_5m", 1, start + 7_200);
    let bought = [pack.completed(&mut customer.mint)];
    let half = pack.charge.amount / 2;
    let refunded = [pack.refunded(&mut customer.mint, half, start + 10_800).1];
    let mut rows = Vec::new();

    told(env, pair, &subscribed).await?;
    let left = Balance::new(5_000_000, 0, 0, 0, 5_000_000);
    rows.push(shown(env, "subscribes to basic", left).await?);

    let mut usage = report("req_1", USER, "tokens", 0, start + 3_600)?;
    usage["data"] = json!({ "meter": "tokens", "quantities": { "input": 1_200_000, "output": 800_000 } });
    let answer = pair.client.post_usage(&usage).await?;
    ensure!(answer.status == 202, "{} {}", answer.status, answer.body);
    all_recorded(env.pool(), &[report_key(&usage)?], DEADLINE).await?;
    let left = Balance::new(5_000_000, 5_000_000, -1_000_000, 0, -1_000_000);
    rows.push(shown(env, "reports 1.2 million in, 0.8 million out (x 6)", left).await?);

    told(env, pair, &bought).await?;
    let left = Balance::new(5_000_000, 5_000_000, 0, 4_000_000, 4_000_000);
    rows.push(shown(env, "buys tokens_5m: the debt is paid first", left).await?);

    told(env, pair, &refunded).await?;
    let left = Balance::new(5_000_000, 5_000_000, 0, 1_500_000, 1_500_000);
    rows.push(shown(env, "gets half of its price back", left).await?);

    println!("   billing.balances of {USER}, meter tokens:");
    show::balances(&rows);
    println!("   and `worker explain {USER}` of that meter:");
    let text = pair.operate(&["explain", USER]).await?;
    let lines = text.lines().skip_while(|line| *line != "Meter tokens");
    for line in lines.take_while(|line| !line.is_empty()) {
        println!("   {line}");
    }
    Ok(())
}

async fn told(env: &TestEnv, pair: &Pair, events: &[Event]) -> Result<()> {
    for event in events {
        pair.client.post_event(event).await?.accepted()?;
    }
    let ids: Vec<String> = events.iter().map(|event| event.id.clone()).collect();
    all_recorded(env.pool(), &ids, DEADLINE).await
}

/// What the user did, and what is left after it.
async fn shown(env: &TestEnv, did: &'static str, expected: Balance) -> Result<(&'static str, Balance)> {
    let seen = Balance::load(env.pool(), USER).await?;
    let seen = seen.get("tokens").copied();
    ensure!(seen == Some(expected), "{USER} {did}: {seen:?}, not {expected:?}");
    Ok((did, expected))
}
