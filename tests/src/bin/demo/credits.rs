//! The demo's last step: a customer uses units and buys a pack.

use crate::show;
use anyhow::{Result, ensure};
use serde_json::json;
use std::time::Duration;
use tests::crowd::all_recorded;
use tests::fixtures::price::BASIC_MONTHLY;
use tests::fixtures::{ApiVersion, Customer, DAY, Event};
use tests::harness::{Balance, Pair, TestEnv, report, report_key, unix_now};

/// The user of this step.
const USER: &str = "user_bo";
const DEADLINE: Duration = Duration::from_secs(20);

/// Subscribes, uses more than the plan includes, buys a pack and gets half of its price refunded. Checks and
/// prints the balance after each of these.
pub(crate) async fn run(number: usize, env: &TestEnv, pair: &Pair, version: ApiVersion) -> Result<()> {
    println!("\n{number}. Bo uses more tokens than basic includes, and buys a pack");
    println!("   Usage above the limit becomes debt: a negative rollover. A pack pays off the debt first,");
    println!("   and a refund takes back its share of the pack.");
    let start = unix_now() - DAY;
    let mut customer = Customer::new(version, USER, start, BASIC_MONTHLY, true);
    let subscribed = customer.subscribed();
    let mut pack = customer.pack("tokens_5m", 1, start + 7_200);
    let bought = [pack.completed(&mut customer.mint)];
    let half = pack.charge.amount / 2;
    let refunded = [pack.refunded(&mut customer.mint, half, start + 10_800).1];
    let mut rows = Vec::new();

    post(env, pair, &subscribed).await?;
    let left = Balance::new(5_000_000, 0, 0, 0, 5_000_000);
    rows.push(checked(env, "Bo subscribes to basic", left).await?);

    let mut usage = report("req_1", USER, "tokens", 0, start + 3_600)?;
    usage["data"] = json!({ "meter": "tokens", "quantities": { "input": 1_200_000, "output": 800_000 } });
    let answer = pair.client.post_usage(&usage).await?;
    ensure!(answer.status == 202, "{} {}", answer.status, answer.body);
    all_recorded(env.pool(), &[report_key(&usage)?], DEADLINE).await?;
    let left = Balance::new(5_000_000, 5_000_000, -1_000_000, 0, -1_000_000);
    rows.push(checked(env, "uses 1.2 million input and 0.8 million output tokens (x 6)", left).await?);

    post(env, pair, &bought).await?;
    let left = Balance::new(5_000_000, 5_000_000, 0, 4_000_000, 4_000_000);
    rows.push(checked(env, "buys the pack tokens_5m", left).await?);

    post(env, pair, &refunded).await?;
    let left = Balance::new(5_000_000, 5_000_000, 0, 1_500_000, 1_500_000);
    rows.push(checked(env, "gets half of the price refunded", left).await?);

    println!("\n   The meter tokens of {USER} in billing.balances, after each step:");
    show::balances(&rows);
    println!("\n   `worker explain {USER}` shows where each number comes from:");
    let text = pair.operate(&["explain", USER]).await?;
    let lines = text.lines().skip_while(|line| *line != "Meter tokens");
    for line in lines.take_while(|line| !line.is_empty()) {
        println!("   {line}");
    }
    Ok(())
}

async fn post(env: &TestEnv, pair: &Pair, events: &[Event]) -> Result<()> {
    for event in events {
        pair.client.post_event(event).await?.accepted()?;
    }
    let ids: Vec<String> = events.iter().map(|event| event.id.clone()).collect();
    all_recorded(env.pool(), &ids, DEADLINE).await
}

/// Checks the balance of the user; returns it with the step before it.
async fn checked(env: &TestEnv, did: &'static str, expected: Balance) -> Result<(&'static str, Balance)> {
    let seen = Balance::load(env.pool(), USER).await?;
    let seen = seen.get("tokens").copied();
    ensure!(seen == Some(expected), "{USER} {did}: {seen:?}, not {expected:?}");
    Ok((did, expected))
}
