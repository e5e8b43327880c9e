//! Replaying and discarding dead letters: the reason, a dry run, the action, its record. Nothing is
//! lost or applied twice.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sqlx::{Connection, PgConnection};
use std::time::Duration;
use tests::crowd::{all_applied, ids};
use tests::harness::{Pair, Setup, TestEnv, eventually};
use tests::test_catalog::{MISSING_PRICE, TestCatalog, all_dead, missing_price_events, open, restart};
use worker::store::action::{ActionKind, Intent, Operator, Via, begin_action, replaying, try_lock};

const DEADLINE: Duration = Duration::from_mins(1);

pub(crate) async fn scalar(env: &TestEnv, sql: &'static str) -> Result<i64> {
    Ok(sqlx::query_scalar(sql).fetch_one(env.pool()).await?)
}

async fn json(pair: &Pair, arguments: &[&str]) -> Result<Value> {
    Ok(serde_json::from_str(&pair.operate(arguments).await?)?)
}

/// What a command wrote to standard error when it failed, and its exit code.
async fn refused(pair: &Pair, arguments: &[&str]) -> Result<(i32, String)> {
    let output = pair.workers[0].command(arguments)?.output().await?;
    ensure!(!output.status.success(), "{arguments:?} did not fail");
    let stderr = String::from_utf8(output.stderr)?;
    Ok((output.status.code().context("no exit code")?, stderr))
}

#[tokio::test]
async fn an_operator_sees_the_reason_and_a_dry_run_then_replays_and_the_action_is_recorded() -> Result<()> {
    let shop = TestCatalog::new("story")?;
    let env = TestEnv::new("replay_story").await?.with("CATALOG_FILE", &shop.path());
    let mut pair = Pair::start(&env, Setup::default()).await?;
    let (queues, dead) = (env.queues().await?, env.topology().dead());
    let mut events = missing_price_events(env.namespace(), 3);
    // A personal address, which is hidden unless the operator asks for it.
    events[0].body = events[0]
        .body
        .replacen("\"status\"", "\"receipt_email\": \"ann@example.com\", \"status\"", 1);
    all_dead(&env, &queues, &events).await?;
    let id = events[0].id.as_str();
    let letters = pair.dead_letters(&[]).await?;
    let letter = letters.iter().find(|letter| letter["id"] == id).context("not listed")?;
    let customer = letter["customer"].as_str().context("no customer")?;

    for (filter, expected) in [
        (&["--customer", customer][..], 1),
        (&["--customer", "cus_of_nobody"], 0),
        (&["--older-than", "1h"], 0),
        (&["--newer-than", "1h"], 3),
        (&["--newer-than", "1h", "--limit", "2"], 2),
    ] {
        let found = pair.dead_letters(filter).await?.len();
        ensure!(found == expected, "{filter:?}: {found}");
    }
    let shown = pair.operate(&["dead-letters", "show", id]).await?;
    for words in [
        id,
        customer,
        "unknown_price",
        MISSING_PRICE,
        "waits for an operator",
        "[redacted]",
    ] {
        ensure!(shown.contains(words), "{words} is not in {shown}");
    }
    ensure!(!shown.contains("ann@"), "{shown}");
    let raw = pair.operate(&["dead-letters", "show", id, "--raw"]).await?;
    ensure!(raw.contains("ann@example.com"), "{raw}");

    // Too early: it says so, and changes nothing.
    let dry = ["dead-letters", "replay", id, "--dry-run"];
    let would = pair.operate(&dry).await?;
    ensure!(would.contains(&format!("{id} would be dead: unknown_price")), "{would}");
    shop.add_missing_price()?;
    for _ in 0..20 {
        let would = pair.operate(&dry).await?;
        ensure!(would.contains(&format!("{id} would be applied")), "{would}");
        ensure!(would.contains("effective_tier: nothing → plus"), "{would}");
        ensure!(
            would.contains("balance of") && would.contains("plan_limit: nothing → 10000000"),
            "{would}"
        );
    }
    ensure!(open(&env).await? == 3 && queues.depth(&dead).await? == 3);
    ensure!(scalar(&env, "SELECT count(*) FROM billing.entitlements").await? == 0);
    ensure!(scalar(&env, "SELECT count(*) FROM billing.operator_action").await? == 0);
    let worked = pair.workers[0].metrics().await?;
    ensure!(worked.sum("tollbridge_worker_retries_total", &[]) == 0);

    restart(&mut pair).await?;
    let why = "the catalog knows it now";
    let done = pair
        .operate(&["dead-letters", "replay", id, "--why", why, "--by", "ann"])
        .await?;
    ensure!(
        done.contains("1 of 1 put back to work") && done.contains("1 applied"),
        "{done}"
    );
    all_applied(env.pool(), &[id.to_owned()], DEADLINE).await?;
    ensure!(pair.dead_letters(&[]).await?.len() == 2 && queues.depth(&dead).await? == 2);
    let shown = json(&pair, &["dead-letters", "show", id, "--json"]).await?;
    ensure!(shown["dead_letter"]["resolution"] == "applied", "{shown}");
    let action = &shown["actions"][0];
    ensure!(
        action["operator"] == "ann" && action["why"] == why && action["via"] == "command",
        "{action}"
    );
    ensure!(
        action["outcome"].as_str().is_some_and(|o| o.contains("1 of 1")),
        "{action}"
    );

    let (code, stderr) = refused(&pair, &["dead-letters", "replay", id, "evt_of_nobody"]).await?;
    ensure!(
        code == 1 && stderr.contains(&format!("{id}: is no dead letter any more: applied")),
        "{stderr}"
    );
    ensure!(stderr.contains("evt_of_nobody: no dead letter has this id"), "{stderr}");
    for wrong in [
        &["dead-letters", "replay"][..],
        &["dead-letters", "replay", id, "--reason", "malformed"],
    ] {
        let (code, stderr) = refused(&pair, wrong).await?;
        ensure!(
            code == 2 && stderr.contains("Usage: worker dead-letters replay"),
            "{wrong:?}: {stderr}"
        );
    }
    let rest = pair
        .operate(&["dead-letters", "replay", "--reason", "unknown_price"])
        .await?;
    ensure!(rest.contains("2 of 2 put back to work"), "{rest}");
    all_applied(env.pool(), &ids(&events), DEADLINE).await?;
    ensure!(queues.depth(&dead).await? == 0);
    Ok(())
}

#[tokio::test]
async fn a_replay_before_the_cause_is_repaired_fails_and_the_letter_shows_its_whole_history() -> Result<()> {
    let env = TestEnv::new("replay_again").await?;
    let pair = Pair::start(&env, Setup::default()).await?;
    let queues = env.queues().await?;
    let events = missing_price_events(env.namespace(), 1);
    all_dead(&env, &queues, &events).await?;
    let (code, stderr) = refused(&pair, &["dead-letters", "replay", "--all"]).await?;
    ensure!(code == 1 && stderr.contains("1 is dead again"), "{stderr}");
    let shown = json(&pair, &["dead-letters", "show", &events[0].id, "--json"]).await?;
    ensure!(
        shown["dead_letter"]["attempts"] == 2 && shown["dead_letter"]["queued"] == true,
        "{shown}"
    );
    let failures = shown["failures"].as_array().context("no failures")?;
    ensure!(
        failures.len() == 2 && failures.iter().all(|f| f["reason"] == "unknown_price"),
        "{shown}"
    );
    ensure!(queues.depth(&env.topology().dead()).await? == 1);
    Ok(())
}

#[tokio::test]
async fn a_discarded_letter_is_recorded_and_applied_if_it_is_delivered_again() -> Result<()> {
    let shop = TestCatalog::new("discard")?;
    let env = TestEnv::new("replay_discard").await?.with("CATALOG_FILE", &shop.path());
    let mut pair = Pair::start(&env, Setup::default()).await?;
    let (queues, dead) = (env.queues().await?, env.topology().dead());
    let events = missing_price_events(env.namespace(), 3);
    all_dead(&env, &queues, &events).await?;
    let gone = events[1].id.as_str();
    let (code, stderr) = refused(&pair, &["dead-letters", "discard", gone]).await?;
    ensure!(code == 2 && stderr.contains("--why"), "{stderr}");
    pair.operate(&["dead-letters", "discard", gone, "--why", "a test of ours"])
        .await?;
    let listed = pair.dead_letters(&[]).await?;
    ensure!(
        listed.len() == 2 && listed.iter().all(|letter| letter["id"] != gone),
        "{listed:?}"
    );
    ensure!(queues.depth(&dead).await? == 2);
    let shown = pair.operate(&["dead-letters", "show", gone]).await?;
    ensure!(
        shown.contains("discarded at") && shown.contains("\"a test of ours\""),
        "{shown}"
    );

    // Stripe sends it again by hand: first nothing can be done with it, then something can.
    let settled = pair.settled().await?;
    pair.client.post_event(&events[1]).await?.accepted()?;
    eventually(DEADLINE, "it has come again", async || {
        ensure!(pair.settled().await? == settled + 1);
        Ok(())
    })
    .await;
    shop.add_missing_price()?;
    restart(&mut pair).await?;
    pair.client.post_event(&events[1]).await?.accepted()?;
    all_applied(env.pool(), &[gone.to_owned()], DEADLINE).await?;
    ensure!(pair.dead_letters(&[]).await?.len() == 2 && queues.depth(&dead).await? == 2);
    Ok(())
}

#[tokio::test]
async fn the_message_of_a_letter_that_stripe_sent_again_leaves_the_queue_by_itself() -> Result<()> {
    let shop = TestCatalog::new("swept")?;
    let env = TestEnv::new("replay_swept").await?.with("CATALOG_FILE", &shop.path());
    let mut pair = Pair::start(&env, Setup::default()).await?;
    let (queues, dead) = (env.queues().await?, env.topology().dead());
    let events = missing_price_events(env.namespace(), 2);
    all_dead(&env, &queues, &events).await?;
    shop.add_missing_price()?;
    restart(&mut pair).await?;
    pair.client.post_event(&events[0]).await?.accepted()?;
    all_applied(env.pool(), &ids(&events[..1]), DEADLINE).await?;
    eventually(DEADLINE, "only the open letter's message is left", async || {
        let left = "SELECT count(*) FROM billing.dead_letter WHERE queued AND resolved_at IS NOT NULL";
        ensure!(scalar(&env, left).await? == 0);
        ensure!(queues.depth(&dead).await? == 1);
        Ok(())
    })
    .await;
    ensure!(pair.dead_letters(&[]).await?[0]["id"] == events[1].id.as_str());
    Ok(())
}

#[tokio::test]
async fn a_replay_restores_a_message_lost_from_the_queue_and_removes_one_left_over() -> Result<()> {
    let shop = TestCatalog::new("lost")?;
    let env = TestEnv::new("replay_lost").await?.with("CATALOG_FILE", &shop.path());
    let mut pair = Pair::start(&env, Setup::default()).await?;
    let (queues, dead) = (env.queues().await?, env.topology().dead());
    let events = missing_price_events(env.namespace(), 2);
    all_dead(&env, &queues, &events).await?;
    let before = queues.take_all(&dead).await?;
    let late = before.last().context("no dead letter")?;
    shop.add_missing_price()?;
    restart(&mut pair).await?;
    let done = pair.operate(&["dead-letters", "replay", "--all"]).await?;
    ensure!(
        done.contains("2 of 2") && done.contains("2 from the stored body"),
        "{done}"
    );
    all_applied(env.pool(), &ids(&events), DEADLINE).await?;

    // As a crash between the confirm and the removal leaves it.
    queues.publish(&dead, late.properties.clone(), &late.data).await?;
    let done = pair.operate(&["dead-letters", "replay", "--all"]).await?;
    ensure!(done.contains("1 message of resolved dead letters removed"), "{done}");
    ensure!(queues.depth(&dead).await? == 0);
    Ok(())
}

#[tokio::test]
async fn one_operator_at_a_time_moves_dead_letters() -> Result<()> {
    let env = TestEnv::new("replay_turn").await?;
    let pair = Pair::start(&env, Setup::default()).await?;
    let queues = env.queues().await?;
    all_dead(&env, &queues, &missing_price_events(env.namespace(), 1)).await?;
    let mut other = env.pool().acquire().await?;
    ensure!(try_lock(&mut other).await?);
    for command in [
        &["dead-letters", "replay", "--all"][..],
        &["dead-letters", "discard", "x", "--why", "y"],
    ] {
        let (code, stderr) = refused(&pair, command).await?;
        ensure!(
            code == 1 && stderr.contains("another replay or discard is under way"),
            "{stderr}"
        );
    }
    ensure!(scalar(&env, "SELECT count(*) FROM billing.operator_action").await? == 0);
    Ok(())
}

/// Puts on record that Ada begins to replay so many letters.
async fn begun(session: &mut PgConnection, dead_letters: usize) -> Result<i64> {
    let operator = Operator {
        name: "Ada".to_owned(),
        via: Via::Command,
    };
    let intent = Intent {
        operator: &operator,
        kind: ActionKind::Replay,
        selection: "all",
        why: None,
        dead_letters,
    };
    Ok(begin_action(session, &intent).await?)
}

#[tokio::test]
async fn an_operator_with_another_namespace_and_the_same_database_does_not_interrupt_an_action() -> Result<()> {
    let env = TestEnv::new("replay_namespaces").await?;
    let pair = Pair::start(&env, Setup::default()).await?;
    all_dead(&env, &env.queues().await?, &missing_price_events(env.namespace(), 1)).await?;
    let mut session = env.pool().acquire().await?.detach();
    ensure!(try_lock(&mut session).await?);
    let action = begun(&mut session, 1).await?;
    let elsewhere = async |arguments: &[&str]| -> Result<String> {
        let mut command = pair.workers[0].command(arguments)?;
        let namespace = format!("{}-elsewhere", env.namespace());
        let output = command.env("QUEUE_NAMESPACE", namespace).output().await?;
        Ok(String::from_utf8(output.stderr)?)
    };
    let stderr = elsewhere(&["dead-letters", "replay", "--all"]).await?;
    ensure!(stderr.contains("another replay or discard is under way"), "{stderr}");
    let cut_off = "SELECT count(*) FROM billing.operator_action WHERE finished_at IS NOT NULL";
    ensure!(
        scalar(&env, cut_off).await? == 0,
        "action {action} was ended by somebody else"
    );

    // Once its session is gone the action was cut off, and the next operator's command records that.
    session.close().await?;
    let stderr = elsewhere(&["dead-letters", "discard", "evt_nobody", "--why", "x"]).await?;
    ensure!(stderr.contains("no dead letter has this id"), "{stderr}");
    let outcome = sqlx::query_scalar("SELECT outcome FROM billing.operator_action WHERE action_id = $1");
    let outcome: String = outcome.bind(action).fetch_one(env.pool()).await?;
    ensure!(outcome == "cut off", "{outcome}");
    Ok(())
}

#[tokio::test]
async fn an_operator_waits_for_a_worker_that_settles_a_letter_and_its_message_leaves_the_queue() -> Result<()> {
    let shop = TestCatalog::new("locked")?;
    let env = TestEnv::new("replay_locked").await?.with("CATALOG_FILE", &shop.path());
    let mut pair = Pair::start(&env, Setup::default()).await?;
    let queues = env.queues().await?;
    let events = missing_price_events(env.namespace(), 2);
    all_dead(&env, &queues, &events).await?;
    // A replay of both was cut off, and a worker settles the first in an open transaction.
    let mut session = env.pool().acquire().await?.detach();
    let action = begun(&mut session, 2).await?;
    replaying(&mut session, action, &ids(&events)).await?;
    session.close().await?;
    shop.add_missing_price()?;
    restart(&mut pair).await?;
    let mut settling = env.pool().begin().await?;
    sqlx::query("UPDATE billing.dead_letter SET resolved_at = now(), resolution = 'applied' WHERE event_id = $1")
        .bind(&events[0].id)
        .execute(&mut *settling)
        .await?;
    let replay = ["dead-letters", "replay", &events[1].id];
    let (replayed, settled) = tokio::join!(pair.operate(&replay), async {
        eventually(DEADLINE, "the operator waits for the worker", async || {
            let waiting =
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
            ensure!(scalar(&env, waiting).await? == 1);
            Ok(())
        })
        .await;
        settling.commit().await
    });
    settled?;
    replayed?;
    all_applied(env.pool(), &ids(&events[1..]), DEADLINE).await?;
    eventually(DEADLINE, "no message is left", async || {
        ensure!(queues.depth(&env.topology().dead()).await? == 0);
        Ok(())
    })
    .await;
    let cut_off = "SELECT count(*) FROM billing.operator_action WHERE outcome = 'cut off'";
    ensure!(scalar(&env, cut_off).await? == 1);
    Ok(())
}
