//! An operator at three in the morning: why is it dead, what would it change, back to work with it,
//! or away; and nothing is lost or doubled by any of that.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sqlx::Row;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tests::crowd::{all_applied, ids, newcomers};
use tests::fixtures::{Event, price::PLUS_MONTHLY};
use tests::harness::{Pair, Queues, Setup, TestEnv, eventually, repository};

const DEADLINE: Duration = Duration::from_secs(60);
/// What the dead events of these tests were sold by.
const UNSOLD: &str = "replayed_monthly";

/// A catalog that can be mended.
struct Shop {
    catalog: PathBuf,
}

impl Shop {
    fn new(env: &str) -> Result<Self> {
        let catalog = std::env::temp_dir().join(format!("tollbridge-{env}-{}.toml", std::process::id()));
        std::fs::copy(repository().join("deploy/catalog.toml"), &catalog)?;
        Ok(Self { catalog })
    }

    fn path(&self) -> String {
        self.catalog.display().to_string()
    }

    /// Sells from now on what the dead events were sold by.
    fn mend(&self) -> Result<()> {
        let mut text = std::fs::read_to_string(&self.catalog)?;
        text.push_str(&format!(
            "\n[[price]]\nlookup_key = \"{UNSOLD}\"\ntier = \"plus\"\namount = 1\ncurrency = \"eur\"\ninterval = \"month\"\n"
        ));
        Ok(std::fs::write(&self.catalog, text)?)
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        let _gone = std::fs::remove_file(&self.catalog);
    }
}

/// First events of so many users, of a price that the catalog does not have.
fn unsold(seed: &str, count: usize) -> Vec<Event> {
    let mut events = newcomers(seed, count);
    for event in &mut events {
        event.body = event
            .body
            .replace(PLUS_MONTHLY.lookup_key, UNSOLD)
            .replace(PLUS_MONTHLY.product, "prod_replayed");
    }
    events
}

async fn restart(pair: &mut Pair) -> Result<()> {
    pair.workers[0].sigterm().await?;
    ensure!(pair.workers[0].exit(DEADLINE).await?.success());
    pair.workers[0].start().await
}

/// Publishes `events` and waits until they are dead, in the record and in their queue.
async fn all_dead(env: &TestEnv, pair: &Pair, queues: &Queues, events: &[Event]) -> Result<()> {
    let bodies = events
        .iter()
        .map(|e| (lapin::BasicProperties::default(), e.body.as_bytes()));
    queues.publish_all(&env.topology().work(), bodies).await?;
    let expected = i64::try_from(events.len())?;
    eventually(DEADLINE, "they are dead", async || {
        let open = open(env).await?;
        ensure!(open == expected, "{open} of {expected} are dead");
        let queued = queues.depth(&env.topology().dead()).await?;
        ensure!(queued == expected, "{queued} of {expected} are queued");
        Ok(())
    })
    .await;
    ensure!(pair.workers[0].pid().is_some());
    Ok(())
}

async fn open(env: &TestEnv) -> Result<i64> {
    let sql = "SELECT count(*) FROM billing.dead_letter WHERE resolved_at IS NULL AND queued";
    Ok(sqlx::query_scalar(sql).fetch_one(env.pool()).await?)
}

async fn scalar(env: &TestEnv, sql: &'static str) -> Result<i64> {
    Ok(sqlx::query_scalar(sql).fetch_one(env.pool()).await?)
}

async fn json(pair: &Pair, arguments: &[&str]) -> Result<Value> {
    Ok(serde_json::from_str(&pair.operate(arguments).await?)?)
}

/// What a command wrote to standard error when it failed, and its exit code.
async fn refused(pair: &Pair, arguments: &[&str]) -> Result<(i32, String)> {
    let output = pair.workers[0].command(arguments)?.output().await?;
    ensure!(!output.status.success(), "{arguments:?} did not fail");
    let told = String::from_utf8(output.stderr)?;
    Ok((output.status.code().context("no exit code")?, told))
}

#[tokio::test]
async fn an_operator_sees_why_and_what_it_would_change_then_replays_and_it_is_on_record() -> Result<()> {
    let shop = Shop::new("story")?;
    let env = TestEnv::new("replay_story").await?.with("CATALOG_FILE", &shop.path());
    let mut pair = Pair::start(&env, Setup::default()).await?;
    let (queues, dead) = (env.queues().await?, env.topology().dead());
    let mut events = unsold(env.namespace(), 3);
    // Somebody's address, to be seen by nobody who does not ask for it.
    events[0].body = events[0]
        .body
        .replacen("\"status\"", "\"receipt_email\": \"ann@example.com\", \"status\"", 1);
    all_dead(&env, &pair, &queues, &events).await?;
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
        UNSOLD,
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
    shop.mend()?;
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
    ensure!(shown["letter"]["resolution"] == "applied", "{shown}");
    let action = &shown["actions"][0];
    ensure!(
        action["operator"] == "ann" && action["why"] == why && action["via"] == "command",
        "{action}"
    );
    ensure!(
        action["outcome"].as_str().is_some_and(|o| o.contains("1 of 1")),
        "{action}"
    );

    let (code, told) = refused(&pair, &["dead-letters", "replay", id, "evt_of_nobody"]).await?;
    ensure!(
        code == 1 && told.contains(&format!("{id}: is no dead letter any more: applied")),
        "{told}"
    );
    ensure!(told.contains("evt_of_nobody: no dead letter has this id"), "{told}");
    for wrong in [
        &["dead-letters", "replay"][..],
        &["dead-letters", "replay", id, "--reason", "malformed"],
    ] {
        let (code, told) = refused(&pair, wrong).await?;
        ensure!(code == 2, "{wrong:?}: {told}");
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
async fn a_replay_that_comes_too_early_says_so_and_the_whole_history_is_told() -> Result<()> {
    let env = TestEnv::new("replay_again").await?;
    let pair = Pair::start(&env, Setup::default()).await?;
    let queues = env.queues().await?;
    let events = unsold(env.namespace(), 1);
    all_dead(&env, &pair, &queues, &events).await?;
    let (code, told) = refused(&pair, &["dead-letters", "replay", "--all"]).await?;
    ensure!(code == 1 && told.contains("1 are dead again"), "{told}");
    let shown = json(&pair, &["dead-letters", "show", &events[0].id, "--json"]).await?;
    ensure!(
        shown["letter"]["attempts"] == 2 && shown["letter"]["queued"] == true,
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
async fn what_is_discarded_is_gone_on_record_and_still_applied_if_it_comes_again_and_can_be() -> Result<()> {
    let shop = Shop::new("discard")?;
    let env = TestEnv::new("replay_discard").await?.with("CATALOG_FILE", &shop.path());
    let mut pair = Pair::start(&env, Setup::default()).await?;
    let (queues, dead) = (env.queues().await?, env.topology().dead());
    let events = unsold(env.namespace(), 3);
    all_dead(&env, &pair, &queues, &events).await?;
    let (gone, kept) = (events[1].id.as_str(), events[0].id.as_str());
    let (code, told) = refused(&pair, &["dead-letters", "discard", gone]).await?;
    ensure!(code == 2 && told.contains("--why"), "{told}");
    pair.operate(&["dead-letters", "discard", gone, "--why", "a test of ours"])
        .await?;
    let listed = pair.dead_letters(&[]).await?;
    ensure!(listed.len() == 2 && listed[0]["id"] == kept, "{listed:?}");
    ensure!(queues.depth(&dead).await? == 2);
    let shown = pair.operate(&["dead-letters", "show", gone]).await?;
    ensure!(
        shown.contains("discarded at") && shown.contains("\"a test of ours\""),
        "{shown}"
    );

    // Stripe sends it again by hand: first nothing can be done with it, then something can.
    pair.client.post_event(&events[1]).await?.accepted()?;
    pair.client.post_event(&events[2]).await?.accepted()?;
    shop.mend()?;
    restart(&mut pair).await?;
    pair.client.post_event(&events[1]).await?.accepted()?;
    all_applied(env.pool(), &[gone.to_owned()], DEADLINE).await?;
    ensure!(pair.dead_letters(&[]).await?.len() == 2 && queues.depth(&dead).await? == 2);
    Ok(())
}

#[tokio::test]
async fn a_message_that_was_lost_from_the_queue_is_made_again_and_one_that_is_left_over_is_removed() -> Result<()> {
    let shop = Shop::new("lost")?;
    let env = TestEnv::new("replay_lost").await?.with("CATALOG_FILE", &shop.path());
    let mut pair = Pair::start(&env, Setup::default()).await?;
    let (queues, dead) = (env.queues().await?, env.topology().dead());
    let events = unsold(env.namespace(), 2);
    all_dead(&env, &pair, &queues, &events).await?;
    let before = queues.take_all(&dead).await?;
    let late = before.last().context("no dead letter")?;
    shop.mend()?;
    restart(&mut pair).await?;
    let done = pair.operate(&["dead-letters", "replay", "--all"]).await?;
    ensure!(
        done.contains("2 of 2") && done.contains("2 made again from what is stored"),
        "{done}"
    );
    all_applied(env.pool(), &ids(&events), DEADLINE).await?;

    // As a crash between the confirm and the removal leaves it.
    queues.publish(&dead, late.properties.clone(), &late.data).await?;
    let done = pair.operate(&["dead-letters", "replay", "--all"]).await?;
    ensure!(done.contains("1 messages of resolved ones removed"), "{done}");
    ensure!(queues.depth(&dead).await? == 0);
    Ok(())
}

#[tokio::test]
async fn one_operator_at_a_time_moves_dead_letters() -> Result<()> {
    let env = TestEnv::new("replay_turn").await?;
    let pair = Pair::start(&env, Setup::default()).await?;
    let queues = env.queues().await?;
    all_dead(&env, &pair, &queues, &unsold(env.namespace(), 1)).await?;
    let mut other = env.pool().acquire().await?;
    sqlx::query("SELECT pg_advisory_lock(hashtextextended('tollbridge dead letters ' || $1, 0))")
        .bind(env.topology().dead())
        .execute(&mut *other)
        .await?;
    for command in [
        &["dead-letters", "replay", "--all"][..],
        &["dead-letters", "discard", "x", "--why", "y"],
    ] {
        let (code, told) = refused(&pair, command).await?;
        ensure!(
            code == 1 && told.contains("another replay or discard is under way"),
            "{told}"
        );
    }
    ensure!(scalar(&env, "SELECT count(*) FROM billing.operator_action").await? == 0);
    Ok(())
}

#[tokio::test]
async fn ten_thousand_are_replayed_through_kills_and_every_one_counts_once() -> Result<()> {
    const LETTERS: usize = 10_000;
    let shop = Shop::new("crowd")?;
    let env = TestEnv::new("replay_crowd").await?.with("CATALOG_FILE", &shop.path());
    let mut pair = Pair::start(&env, Setup::default()).await?;
    let (queues, dead) = (env.queues().await?, env.topology().dead());
    let events = unsold(env.namespace(), LETTERS);
    all_dead(&env, &pair, &queues, &events).await?;
    let mut figures = String::new();
    let mut timed = |what: &str, began: Instant| figures.push_str(&format!("{what} {:?}, ", began.elapsed()));

    let began = Instant::now();
    ensure!(pair.dead_letters(&[]).await?.len() == LETTERS);
    timed("list", began);
    let began = Instant::now();
    let customer = pair.dead_letters(&["--limit", "1"]).await?[0]["customer"].clone();
    ensure!(
        pair.dead_letters(&["--customer", customer.as_str().unwrap_or_default()])
            .await?
            .len()
            == 1
    );
    timed("filter", began);
    // One from the middle of the queue; the others stay.
    let began = Instant::now();
    pair.operate(&[
        "dead-letters",
        "discard",
        &events[LETTERS / 2].id,
        "--why",
        "one of many",
    ])
    .await?;
    ensure!(queues.depth(&dead).await? == i64::try_from(LETTERS)? - 1);
    timed("discard one", began);

    shop.mend()?;
    restart(&mut pair).await?;
    // Killed in the middle: once it has put some back to work, and before it is done.
    for part in 1..=3_i64 {
        let mut replay = pair.workers[0].command(&["dead-letters", "replay", "--all"])?;
        let mut child = replay.stdout(std::process::Stdio::null()).spawn()?;
        eventually(DEADLINE, "the replay is under way", async || {
            let touched = scalar(
                &env,
                "SELECT count(DISTINCT event_id) FROM billing.operator_action_event",
            )
            .await?;
            ensure!(touched > part * 1_000, "{touched}");
            Ok(())
        })
        .await;
        child.kill().await?;
    }
    let left = pair.dead_letters(&[]).await?.len();
    ensure!(left > 0, "the kills came too late to prove anything");
    let began = Instant::now();
    let done = pair.operate(&["dead-letters", "replay", "--all"]).await?;
    timed(&format!("replay of the last {left}"), began);
    println!("{LETTERS} dead letters: {figures}{done}");

    let applied = i64::try_from(LETTERS)? - 1;
    let counts = "SELECT count(*) FILTER (WHERE outcome = 'applied') AS applied, count(*) AS all,
                         (SELECT count(*) FROM billing.fact) AS facts,
                         (SELECT count(*) FROM billing.entitlements WHERE effective_tier = 'plus') AS plus,
                         (SELECT count(*) FROM billing.dead_letter WHERE resolution = 'applied') AS resolved,
                         (SELECT count(*) FROM billing.dead_letter WHERE resolution = 'discarded') AS discarded
                  FROM billing.events";
    eventually(DEADLINE, "every one counts once", async || {
        let row = sqlx::query(counts).fetch_one(env.pool()).await?;
        for (name, expected) in [
            ("applied", applied),
            ("all", applied + 1),
            ("facts", applied),
            ("plus", applied),
            ("resolved", applied),
            ("discarded", 1),
        ] {
            let count: i64 = row.try_get(name)?;
            ensure!(count == expected, "{name}: {count} instead of {expected}");
        }
        let (left, work) = (queues.depth(&dead).await?, queues.depth(&env.topology().work()).await?);
        ensure!(left == 0 && work == 0, "{left} dead and {work} waiting messages");
        Ok(())
    })
    .await;
    Ok(())
}
