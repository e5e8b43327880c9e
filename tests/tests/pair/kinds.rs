//! Lives of all kinds: seats, other intervals, further items, packs in all ways, money that goes back, and what is
//! none of our business. Both views are as the merchant's own books say.
//!
//! `MERCHANT_LIVES` is the number of lives; `MERCHANT_KINDS` the kinds that they are about, such as `usage,seats`,
//! `none` or `all`; `TEST_SEED` makes others.

use crate::work::Work;
use anyhow::{Context, Result, ensure};
use lapin::BasicProperties;
use shared::message::{Meta, now_ms, properties};
use shared::settings::Settings;
use std::time::{Duration, Instant};
use tests::crowd::{all_recorded, ids};
use tests::figures::{note, per_second};
use tests::fixtures::Event;
use tests::harness::{Pair, Setup, TestEnv, eventually, every_balance_is_the_sum_of_its_ledger, report_key, unix_now};
use tests::merchant::{Kind, Kinds, Life, delivered, lives_of, lives_under_two_catalogs};
use tests::stripe::Stripe;
use tests::test_catalog::TestCatalog;
use tests::{compare, random, stripe_state};

/// How long anything may take beside the deliveries.
const DEADLINE: Duration = Duration::from_mins(2);
/// The number of lives without the variable: `make test` stays short.
const LIVES: usize = 60;

/// The number of lives, and their kinds without those that need Stripe's API.
fn wanted() -> Result<(usize, Kinds)> {
    let settings = Settings::from_process();
    let count = settings.variable("MERCHANT_LIVES").map(str::parse).transpose();
    let kinds = Kinds::parse(settings.variable("MERCHANT_KINDS").unwrap_or("all"))?;
    let count = count.context("MERCHANT_LIVES is a number")?.unwrap_or(LIVES);
    Ok((count, kinds.without(Kind::LineItems)))
}

/// Small batches: more moments to be killed at, and each user's events in many transactions.
fn setup(catalog: &TestCatalog) -> Setup {
    Setup::default()
        .workers(2)
        .worker("BATCH_SIZE", "40")
        .worker("LANES", "2")
        .worker("CATALOG_FILE", &catalog.path())
}

fn catalog(kinds: &Kinds, test: &str) -> Result<TestCatalog> {
    if kinds.need_extended_catalog() {
        TestCatalog::extended(test)
    } else {
        TestCatalog::new(test)
    }
}

/// Tells every usage report twice, before any event: each is decided again when its period becomes known.
async fn told_usage(env: &TestEnv, lives: &[Life]) -> Result<()> {
    let mut messages = Vec::new();
    let mut keys = Vec::new();
    for life in lives {
        for report in life.reports()? {
            let key = report_key(&report)?;
            let head = properties(&key, "usage", Meta::usage(now_ms()).headers());
            messages.push((head, report.to_string()));
            keys.push(key);
        }
    }
    let queues = env.queues().await?;
    for _ in 0..2 {
        let twice = messages.iter().map(|(head, body)| (head.clone(), body.as_bytes()));
        queues.publish_all(&env.topology().work(), twice).await?;
    }
    all_recorded(env.pool(), &keys, deadline(keys.len())).await
}

/// Publishes `events`, and waits until all are on record.
async fn told(env: &TestEnv, events: &[Event]) -> Result<()> {
    let queues = env.queues().await?;
    for some in events.chunks(500) {
        let messages = some
            .iter()
            .map(|event| (BasicProperties::default(), event.body.as_bytes()));
        queues.publish_all(&env.topology().work(), messages).await?;
    }
    all_recorded(env.pool(), &ids(events), deadline(events.len())).await
}

/// Compares both views with the books, and has the worker audit itself.
async fn proved(env: &TestEnv, pair: &Pair, lives: &[Life]) -> Result<()> {
    eventually(DEADLINE, "nothing waits", async || {
        ensure!(env.queues().await?.depth(&env.topology().work()).await? == 0);
        Ok(())
    })
    .await;
    let dead = pair.dead_letters(&[]).await?;
    let first = dead.first().map(ToString::to_string).unwrap_or_default();
    let alive = dead.is_empty().then_some(());
    // Each check says something of its own, so a failure of one does not hide the others.
    let checks = [
        alive.with_context(|| format!("{} are dead, first {first}", dead.len())),
        compare::events(env.pool(), lives)
            .await
            .map(|counts| note(&format!("{counts:?}"))),
        compare::rows(env.pool(), lives).await.context("entitlements"),
        compare::balances(env.pool(), lives)
            .await
            .map(|users| note(&format!("the balances of {users} users of {} lives", lives.len())))
            .context("balances"),
        every_balance_is_the_sum_of_its_ledger(env.pool()).await,
        audited(pair).await,
    ];
    let wrong = checks.into_iter().filter_map(Result::err);
    let wrong: Vec<String> = wrong.map(|error| format!("{error:#}")).collect();
    ensure!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    Ok(())
}

/// Has the worker compute everything again from the stored events.
async fn audited(pair: &Pair) -> Result<()> {
    let output = pair.workers[0].command(&["audit"])?.output().await?;
    let told = String::from_utf8(output.stdout)?;
    let complaint = String::from_utf8(output.stderr)?;
    let first: Vec<&str> = told.lines().take(20).collect();
    ensure!(output.status.success(), "audit: {}\n{complaint}", first.join("\n"));
    note(told.trim());
    Ok(())
}

/// How long so many deliveries may take: a debug build does a few hundred a second.
fn deadline(deliveries: usize) -> Duration {
    DEADLINE + Duration::from_millis(20) * u32::try_from(deliveries).unwrap_or(u32::MAX)
}

/// Has two workers compute the lives, with `kills` on the way.
async fn live(test: &str, kills: usize) -> Result<()> {
    let ((count, kinds), seed, now) = (wanted()?, random::seed()?, unix_now());
    let start = Instant::now();
    let lives = lives_of(&kinds, seed, count, now);
    let events = delivered(&lives, seed, 100);
    note(&format!(
        "seed {seed}, kinds {}: {count} lives, {} deliveries, made in {:?}",
        kinds.names(),
        events.len(),
        start.elapsed()
    ));
    let env = TestEnv::new(test).await?;
    let catalog = catalog(&kinds, test)?;
    let mut pair = Pair::start(&env, setup(&catalog)).await?;
    told_usage(&env, &lives).await?;
    let (ids, start) = (ids(&events), Instant::now());
    let work = Work::begin(&env, &pair, events).await?;
    for kill in 1..=kills {
        work.taken(ids.len() * kill / (kills + 1)).await?;
        let worker = &mut pair.workers[kill % 2];
        worker.ready().await?;
        worker.kill_9().await?;
        worker.spawn()?;
    }
    work.finish().await?;
    all_recorded(env.pool(), &ids, deadline(ids.len())).await?;
    note(&format!(
        "{kills} kills, {} deliveries a second",
        per_second(ids.len(), start.elapsed())
    ));
    for worker in &mut pair.workers {
        worker.ready().await?;
    }
    proved(&env, &pair, &lives)
        .await
        .with_context(|| format!("seed {seed}, kinds {}", kinds.names()))
}

#[tokio::test]
async fn lives_of_all_kinds_shuffled_and_doubled_have_the_merchants_rows_in_both_views() -> Result<()> {
    live("kinds", 0).await
}

#[tokio::test]
async fn lives_of_all_kinds_survive_kills() -> Result<()> {
    live("kinds_killed", wanted()?.0 / 40 + 5).await
}

#[tokio::test]
async fn packs_that_only_the_line_items_name_are_asked_of_stripe_in_every_order() -> Result<()> {
    const KEY: &str = "rk_test_tollbridge_hush_0123456789";
    let (seed, now) = (random::seed()?, unix_now());
    let kinds = Kinds::parse("line_items,usage")?;
    let lives = lives_of(&kinds, seed, 30, now);
    let stripe = Stripe::start().await?;
    for life in &lives {
        stripe_state::put_subscriptions(&stripe, &life.events)?;
        for (session, shown) in &life.line_items {
            let list = serde_json::json!({
                "object": "list", "data": shown, "has_more": false, "url": "/v1/checkout/sessions"
            });
            let session = serde_json::json!({
                "id": session, "object": "checkout.session", "created": now, "livemode": false, "line_items": list
            });
            stripe.put("checkout/sessions", &session);
        }
    }
    let env = TestEnv::new("kinds_lines").await?;
    let catalog = TestCatalog::new("kinds_lines")?;
    let setup = setup(&catalog)
        .worker("STRIPE_SECRET_KEY", KEY)
        .worker("BACKFILL_INTERVAL", "off")
        .worker("RECONCILE_INTERVAL", "off")
        .worker("STRIPE_API_BASE", stripe.base());
    let pair = Pair::start(&env, setup).await?;
    told_usage(&env, &lives).await?;
    told(&env, &delivered(&lives, seed, 100)).await?;
    proved(&env, &pair, &lives)
        .await
        .with_context(|| format!("seed {seed}"))
}

#[tokio::test]
async fn a_catalog_that_changes_raises_limits_now_and_lowers_them_with_the_next_period() -> Result<()> {
    let (seed, now) = (random::seed()?, unix_now());
    let lives = lives_under_two_catalogs(seed, wanted()?.0, now);
    let mut parts = [Vec::new(), Vec::new()];
    for life in &lives {
        let (before, after) = life.events.split_at(life.list_ends[0]);
        parts[0].extend_from_slice(before);
        parts[1].extend_from_slice(after);
    }
    let env = TestEnv::new("kinds_catalogs").await?;
    let catalog = TestCatalog::new("kinds_catalogs")?;
    let mut pair = Pair::start(&env, setup(&catalog)).await?;
    told_usage(&env, &lives).await?;
    for (number, events) in parts.iter().enumerate() {
        if number == 1 {
            for worker in &mut pair.workers {
                worker.sigterm().await?;
                ensure!(worker.exit(DEADLINE).await?.success());
            }
            change(&catalog)?;
            // With other ranks all states are folded again.
            pair.operate(&["migrate"]).await?;
            for worker in &mut pair.workers {
                worker.start().await?;
            }
        }
        let shuffled = tests::merchant::shuffled(events, seed, 100);
        told(&env, &shuffled).await?;
    }
    proved(&env, &pair, &lives)
        .await
        .with_context(|| format!("seed {seed}"))
}

/// Basic has more, Plus has less, and every rank is another one.
fn change(catalog: &TestCatalog) -> Result<()> {
    catalog.replace("{ tokens = 5_000_000, voice", "{ tokens = 6_000_000, voice")?;
    catalog.replace("{ tokens = 10_000_000, voice", "{ tokens = 8_000_000, voice")?;
    for (old, new) in [
        ("rank = 3", "rank = 9"),
        ("rank = 2", "rank = 7"),
        ("rank = 1", "rank = 4"),
    ] {
        catalog.replace(old, new)?;
    }
    Ok(())
}
