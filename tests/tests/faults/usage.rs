//! A broker that takes a part of a batch of reports, is blocked, or is killed: the batch is not accepted
//! until all of it is stored.

use anyhow::{Result, ensure};
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use tests::figures::note;
use tests::harness::{OwnServers, Pair, Setup, TestEnv, eventually, report, report_key, unix_now};

const DEADLINE: Duration = Duration::from_secs(30);
/// The bound for a `503` with `Retry-After`.
const REFUSED_WITHIN: Duration = Duration::from_secs(3);

#[tokio::test]
async fn a_batch_that_the_broker_takes_in_part_is_refused_until_all_of_it_is_stored() -> Result<()> {
    let servers = OwnServers::up("usage-broker").await?;
    let env = TestEnv::on(servers.servers().clone(), "usage_broker").await?;
    let pair = Pair::start(&env, Setup::default().workers(0)).await?;
    let reports: Result<Vec<Value>> = (0..200)
        .map(|number| report(&format!("req_{number}"), "user_1", "tokens", 1_200, unix_now()))
        .collect();
    let (reports, work) = (reports?, env.topology().work());
    let batch = Value::from(reports.clone());

    let pattern = format!("^{}$", work.replace('.', "\\."));
    let limit = r#"{"max-length": 50, "overflow": "reject-publish"}"#;
    let policy = ["ctl", "set_policy", "full", &pattern, limit, "--apply-to", "queues"];
    servers.broker(&policy).await?;
    eventually(DEADLINE, "the queue is full", async || {
        refused_in_time(&pair, &batch).await
    })
    .await;
    servers.broker(&["ctl", "clear_policy", "full"]).await?;
    comes_again(&pair, &batch).await;
    all_there(&env, &reports).await?;

    servers.broker(&["ctl", "set_vm_memory_high_watermark", "0"]).await?;
    eventually(DEADLINE, "the broker blocks", async || {
        refused_in_time(&pair, &batch).await
    })
    .await;
    servers
        .broker(&["ctl", "set_vm_memory_high_watermark", "absolute", "2GB"])
        .await?;
    comes_again(&pair, &batch).await;

    servers.broker(&["kill"]).await?;
    for refused in [&batch, &reports[0]] {
        refused_in_time(&pair, refused).await?;
    }
    servers.broker(&["start"]).await?;
    servers.broker_heals().await?;
    comes_again(&pair, &batch).await;
    all_there(&env, &reports).await
}

async fn refused_in_time(pair: &Pair, batch: &Value) -> Result<()> {
    let start = Instant::now();
    let answer = pair.client.post_usage(batch).await?;
    let took = start.elapsed();
    answer.refused_for_now()?;
    note(&format!("usage: 503 after {took:?}"));
    ensure!(took < REFUSED_WITHIN, "a 503 took {took:?}");
    Ok(())
}

async fn comes_again(pair: &Pair, batch: &Value) {
    eventually(DEADLINE, "it is accepted", async || {
        let answer = pair.client.post_usage(batch).await?;
        ensure!(answer.status == 202, "{} {}", answer.status, answer.body);
        Ok(())
    })
    .await;
}

/// Takes what is on the work queue: each of `reports`, at least once.
async fn all_there(env: &TestEnv, reports: &[Value]) -> Result<()> {
    let messages = env.queues().await?.take_all(&env.topology().work()).await?;
    let ids = messages
        .iter()
        .filter_map(|message| message.properties.message_id().as_ref());
    let ids: BTreeSet<String> = ids.map(ToString::to_string).collect();
    let expected: Result<BTreeSet<String>> = reports.iter().map(report_key).collect();
    note(&format!(
        "usage: {} messages for {} reports",
        messages.len(),
        reports.len()
    ));
    ensure!(ids == expected?, "{} of {} reports", ids.len(), reports.len());
    Ok(())
}
