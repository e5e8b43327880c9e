//! Listing and showing dead letters, by command and in the console, has no effect.

use anyhow::{Result, ensure};
use bytes::Bytes;
use hyper::{Method, StatusCode};
use sqlx::AssertSqlSafe;
use std::collections::BTreeMap;
use tests::harness::{OPS_TOKEN, Pair, Setup, TestEnv, console_session, header};
use tests::test_catalog::{all_dead, missing_price_events};

/// What RabbitMQ counts for each delivery that was not acknowledged; it gives up after a hundred.
const DELIVERIES: &str = "x-delivery-count";

#[tokio::test]
async fn listing_and_showing_dead_letters_hundreds_of_times_changes_nothing() -> Result<()> {
    const LETTERS: usize = 3;
    const ROUNDS: usize = 30;
    let env = TestEnv::new("looking").await?;
    let pair = Pair::start(&env, Setup::default().worker("OPS_TOKEN", OPS_TOKEN)).await?;
    let (queues, topology) = (env.queues().await?, env.topology());
    let events = missing_price_events(env.namespace(), LETTERS);
    all_dead(&env, &queues, &events).await?;
    let id = events[0].id.as_str();
    let customer = pair.dead_letters(&["--limit", "1"]).await?[0]["customer"].clone();
    let customer = customer.as_str().unwrap_or_default();
    let before = rows(&env).await?;
    ensure!(before.len() > 10 && before["dead_letter"].0 == 3, "{before:?}");

    let client = pair.workers[0].ops();
    let cookie = console_session(client).await?;
    let mut looks = 0;
    for _ in 0..ROUNDS {
        for arguments in [
            &["list"][..],
            &["list", "--json", "--reason", "unknown_price"],
            &["show", id],
            &["show", id, "--raw", "--json"],
            &["replay", "--all", "--dry-run"],
        ] {
            let stdout = pair.operate(&[&["dead-letters"], arguments].concat()).await?;
            ensure!(stdout.contains(id), "{arguments:?}: {stdout}");
            looks += 1;
        }
        for path in [
            "/console".to_owned(),
            "/console/dead-letters".to_owned(),
            format!("/console/dead-letters?customer={customer}"),
            format!("/console/dead-letters/{id}"),
            format!("/console/events/{id}"),
            format!("/console/search?q={customer}"),
            format!("/console/replay?id={id}"),
            format!("/console/discard?id={id}"),
            "/console/replay?all=1".to_owned(),
            "/console/actions".to_owned(),
        ] {
            let headers = [("cookie", cookie.as_str())];
            let page = client.request(Method::GET, &path, &headers, Bytes::new()).await?;
            ensure!(page.status == StatusCode::OK, "{path}: {} {}", page.status, page.body);
            looks += 1;
        }
        let (dead, work) = (
            queues.depth(&topology.dead()).await?,
            queues.depth(&topology.work()).await?,
        );
        ensure!(
            (dead, work) == (3, 0),
            "{dead} dead and {work} waiting after {looks} looks"
        );
    }
    ensure!(looks == 15 * ROUNDS);
    let after = rows(&env).await?;
    ensure!(after == before, "{before:?}\nis after {looks} looks\n{after:?}");
    // Only now, for this is a delivery.
    for message in queues.take_all(&topology.dead()).await? {
        let deliveries = header(&message, DELIVERIES);
        ensure!(deliveries.is_none_or(|count| count == "0"), "a message was delivered");
    }
    Ok(())
}

/// The number of rows of each table, and a hash of them.
async fn rows(env: &TestEnv) -> Result<BTreeMap<String, (i64, String)>> {
    let tables = "SELECT tablename::text FROM pg_tables WHERE schemaname = 'billing'";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(env.pool()).await?;
    let mut rows = BTreeMap::new();
    for table in tables {
        let content = format!(
            "SELECT count(*), md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) FROM billing.{table} AS t"
        );
        let content = sqlx::query_as(AssertSqlSafe(content)).fetch_one(env.pool()).await?;
        rows.insert(table, content);
    }
    Ok(rows)
}
