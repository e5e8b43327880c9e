//! Subscriptions that differ from what Stripe shows.

use super::{DEADLINE, asked_as_stripe_says, asking, reconcile, snapshots_applied};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::compare;
use tests::crowd::{Senders, all_applied, all_recorded, ids, newcomers};
use tests::figures::note;
use tests::fixtures::Event;
use tests::harness::{Entitlement, Pair, TestEnv, eventually, unix_now};
use tests::merchant::{Life, lives};
use tests::random;
use tests::stripe::Stripe;
use tests::stripe_state::{put_subscriptions, shows_subscription, subscriptions};
use tests::test_catalog::{TestCatalog, missing_price_events, restart};

/// The lives without the last event that shows their subscription, and whether that event ended it.
fn forgetful(lives: &[Life]) -> Vec<(Vec<Event>, bool)> {
    let without = |life: &Life| {
        let mut events = life.events.clone();
        let newest = events.iter().rposition(shows_subscription);
        let lost = newest.map(|place| events.remove(place));
        // Its twin shows the same.
        events.retain(|event| {
            lost.as_ref()
                .is_none_or(|lost| (event.created, &event.kind) != (lost.created, &lost.kind))
        });
        (
            events,
            lost.is_some_and(|lost| lost.kind == "customer.subscription.deleted"),
        )
    };
    lives.iter().map(without).collect()
}

/// What Stripe itself shows of a row; what depends on how it came to that is left out.
fn shown(row: &Entitlement) -> Entitlement {
    Entitlement {
        grace_tier: None,
        grace_until: None,
        effective_tier: String::new(),
        highest_tier_subscribed: None,
        ..row.clone()
    }
}

/// Waits until a snapshot of each found subscription is applied. The worker itself may ask for further ones, where
/// the order of a second is open.
async fn all_repaired(env: &TestEnv, found: &[Value]) {
    let ids: Vec<&str> = found.iter().filter_map(|one| one["subscription"].as_str()).collect();
    let question = "SELECT count(DISTINCT split_part(event_id, ':', 2)) FROM billing.event WHERE outcome = 'applied' \
                    AND event_type = 'tollbridge.subscription.snapshot' AND split_part(event_id, ':', 2) = ANY($1)";
    eventually(DEADLINE, "what was found is repaired", async || {
        let repaired: i64 = sqlx::query_scalar(question).bind(&ids).fetch_one(env.pool()).await?;
        ensure!(
            usize::try_from(repaired)? == found.len(),
            "{repaired} of {}",
            found.len()
        );
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn changes_without_any_event_are_found_by_comparing_and_repaired_once() -> Result<()> {
    let (seed, now) = (random::seed()?, unix_now());
    let lives = lives(seed + 2, 150, now);
    let stripe = Stripe::start().await?;
    let env = TestEnv::new("recovery_drift").await?;
    let pair = Pair::start(&env, asking(&stripe)).await?;
    let told = forgetful(&lives);
    let events: Vec<Event> = told.iter().flat_map(|(events, _)| events.clone()).collect();
    Senders::start(&pair.client, &events, 8).finish().await?;
    all_recorded(env.pool(), &ids(&events), DEADLINE).await?;
    for life in &lives {
        put_subscriptions(&stripe, &life.events)?;
    }
    // A look changes nothing.
    let (looked, found) = reconcile(&pair, &["--dry-run"]).await?;
    let differing = found.len();
    ensure!(
        looked["put"] == 0 && looked["differing"] == differing && differing > 50,
        "{looked}"
    );
    let drift: i64 = looked["drift"]
        .as_object()
        .context("no drift")?
        .values()
        .filter_map(Value::as_i64)
        .sum();
    let listed = found
        .iter()
        .filter_map(|one| one["drift"].as_array())
        .map(Vec::len)
        .sum::<usize>();
    ensure!(usize::try_from(drift)? == listed, "{looked}");

    let (report, again) = reconcile(&pair, &[]).await?;
    ensure!(again.len() == differing && report["put"] == differing, "{report}");
    all_repaired(&env, &again).await;
    let users: Vec<&str> = lives.iter().map(|life| life.user_id.as_str()).collect();
    let rows = Entitlement::load_all(env.pool(), &users).await?;
    for (life, (_, ended)) in lives.iter().zip(&told) {
        let (row, expected) = (rows.get(&life.user_id), life.entitlement.as_ref());
        let same = match (row, expected) {
            (Some(row), Some(expected)) if *ended => row.differences(expected),
            (Some(row), Some(expected)) => shown(row).differences(&shown(expected)),
            (row, expected) => compare::differences(row, expected),
        };
        ensure!(same.is_empty(), "seed {seed}: {}\n{same:?}", life.description());
    }
    let (clean, found) = reconcile(&pair, &[]).await?;
    ensure!(clean["differing"] == 0 && found.is_empty(), "{found:?}");
    pair.operate(&["audit"]).await?;
    let user = again[0]["user"].as_str().context("nobody's")?;
    let story = pair.operate(&["explain", user]).await?;
    ensure!(story.contains("no event: read from Stripe's API"), "{story}");
    // The worker reads the last report every few seconds.
    eventually(DEADLINE, "the gauge of drift is 0 again", async || {
        let drift = pair.workers[0].metrics().await?.sum("tollbridge_reconcile_drift", &[]);
        ensure!(drift == 0, "{drift}");
        Ok(())
    })
    .await;
    note(&format!("seed {seed}: {report}"));
    asked_as_stripe_says(&stripe)
}

#[tokio::test]
async fn a_subscription_missing_from_the_list_is_looked_up_and_ended_only_if_it_is_gone() -> Result<()> {
    let stripe = Stripe::start().await?;
    let env = TestEnv::new("recovery_gone").await?;
    let pair = Pair::start(&env, asking(&stripe)).await?;
    let events = newcomers("gone", 3);
    Senders::start(&pair.client, &events, 1).finish().await?;
    all_applied(env.pool(), &ids(&events), DEADLINE).await?;
    let users: Vec<String> = (0..3).map(|n| format!("user_gone{n}")).collect();
    let shown: Vec<Value> = subscriptions(&events)?.into_values().collect();
    let of = |user: &str| {
        shown
            .iter()
            .find(|s| s["metadata"]["user_id"] == user)
            .cloned()
            .context("no subscription")
    };
    // One is listed, one is on a test clock, and one is gone.
    stripe.put("subscriptions", &of(&users[0])?);
    let mut on_clock = of(&users[1])?;
    on_clock["test_clock"] = json!("clock_1");
    stripe.put("subscriptions", &on_clock);

    let any = pair.workers[0]
        .command(&["reconcile", "--dry-run", "--json"])?
        .env("STRIPE_LIVEMODE", "any")
        .output()
        .await?;
    let any: Value = serde_json::from_slice(&any.stdout)?;
    ensure!(any["unknown"] == 1 && any["ended"] == 0 && any["asked"] == 2, "{any}");
    let (report, _) = reconcile(&pair, &[]).await?;
    ensure!(
        report["ended"] == 1 && report["unknown"] == 0 && report["asked"] == 2,
        "{report}"
    );
    snapshots_applied(&env, 1).await;
    for (user, status) in users.iter().zip(["active", "active", "canceled"]) {
        let row = Entitlement::load(env.pool(), user).await?.context("no row")?;
        ensure!(row.status == status && row.entitled == (status == "active"), "{row:?}");
    }
    let (clean, found) = reconcile(&pair, &[]).await?;
    ensure!(clean["asked"] == 1 && found.is_empty(), "{clean} {found:?}");
    asked_as_stripe_says(&stripe)
}

#[tokio::test]
async fn a_key_of_another_account_ends_no_subscription() -> Result<()> {
    let stripe = Stripe::start().await?;
    let env = TestEnv::new("recovery_account").await?;
    let pair = Pair::start(&env, asking(&stripe)).await?;
    let events = newcomers("mine", 120);
    Senders::start(&pair.client, &events, 4).finish().await?;
    all_applied(env.pool(), &ids(&events), DEADLINE).await?;
    put_subscriptions(&stripe, &newcomers("theirs", 5))?;
    for command in [&["reconcile"][..], &["reconcile", "--dry-run"]] {
        let failed = pair.workers[0].command(command)?.output().await?;
        let said = String::from_utf8(failed.stderr)?;
        ensure!(failed.status.code() == Some(1), "{said}");
        ensure!(
            said.contains("another account or mode") && said.contains("--end-gone"),
            "{said}"
        );
    }
    let theirs = "SELECT count(*) FROM billing.entitlements WHERE user_id LIKE 'user_theirs%'";
    let theirs: i64 = sqlx::query_scalar(theirs).fetch_one(env.pool()).await?;
    ensure!(theirs == 0, "what another account sold was taken in");
    let entitled = "SELECT count(*) FROM billing.entitlements WHERE entitled AND user_id LIKE 'user_mine%'";
    let entitled: i64 = sqlx::query_scalar(entitled).fetch_one(env.pool()).await?;
    ensure!(entitled == 120, "{entitled}");
    asked_as_stripe_says(&stripe)
}

#[tokio::test]
async fn many_missing_subscriptions_are_ended_only_with_a_confirmation() -> Result<()> {
    let stripe = Stripe::start().await?;
    let env = TestEnv::new("recovery_many_gone").await?;
    let pair = Pair::start(&env, asking(&stripe)).await?;
    let events = newcomers("many", 13);
    Senders::start(&pair.client, &events, 4).finish().await?;
    all_applied(env.pool(), &ids(&events), DEADLINE).await?;
    // In its order by id, so that the proof of the account finds one.
    put_subscriptions(&stripe, &events)?;
    let all = stripe.objects("subscriptions");
    let stripe = Stripe::start().await?;
    let first = all.iter().min_by_key(|shown| shown["id"].as_str()).context("none")?;
    stripe.put("subscriptions", first);
    let reconcile = async |further: &[&str]| {
        let arguments = [&["reconcile", "--json"], further].concat();
        let mut command = pair.workers[0].command(&arguments)?;
        anyhow::Ok(command.env("STRIPE_API_BASE", stripe.base()).output().await?)
    };
    let entitled = async || -> Result<i64> {
        let entitled = "SELECT count(*) FROM billing.entitlements WHERE entitled";
        Ok(sqlx::query_scalar(entitled).fetch_one(env.pool()).await?)
    };
    let failed = reconcile(&[]).await?;
    let said = String::from_utf8(failed.stderr)?;
    ensure!(
        failed.status.code() == Some(1) && said.contains("12 stored subscriptions"),
        "{said}"
    );
    ensure!(entitled().await? == 13);
    let ended = reconcile(&["--end-gone"]).await?;
    ensure!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    snapshots_applied(&env, 12).await;
    ensure!(entitled().await? == 1);
    asked_as_stripe_says(&stripe)
}

#[tokio::test]
async fn one_worker_reconciles_for_all_and_another_takes_over_when_it_is_killed() -> Result<()> {
    let stripe = Stripe::start().await?;
    let env = TestEnv::new("recovery_lead").await?;
    let setup = asking(&stripe).workers(2).worker("RECONCILE_INTERVAL", "1s");
    let mut pair = Pair::start(&env, setup).await?;
    let events = newcomers("lead", 3);
    Senders::start(&pair.client, &events, 1).finish().await?;
    all_applied(env.pool(), &ids(&events), DEADLINE).await?;
    put_subscriptions(&stripe, &events)?;
    for (number, mut shown) in subscriptions(&events)?.into_values().enumerate() {
        // In the first round both run, in the second the one, in the third the other.
        match number {
            1 => pair.workers[0].kill_9().await?,
            2 => {
                pair.workers[0].start().await?;
                pair.workers[1].kill_9().await?;
            }
            _ => {}
        }
        let user = shown["metadata"]["user_id"].as_str().context("nobody's")?.to_owned();
        shown["status"] = json!("past_due");
        stripe.put("subscriptions", &shown);
        eventually(DEADLINE, "it is found and repaired", async || {
            let row = Entitlement::load(env.pool(), &user).await?.context("no row")?;
            ensure!(row.status == "past_due", "{row:?}");
            Ok(())
        })
        .await;
    }
    snapshots_applied(&env, 3).await;
    asked_as_stripe_says(&stripe)
}

#[tokio::test]
async fn a_price_missing_from_the_catalog_is_one_dead_letter_however_often_it_is_compared() -> Result<()> {
    let stripe = Stripe::start().await?;
    let shop = TestCatalog::new("recovery_price")?;
    let env = TestEnv::new("recovery_price").await?.with("CATALOG_FILE", &shop.path());
    let mut pair = Pair::start(&env, asking(&stripe)).await?;
    put_subscriptions(&stripe, &missing_price_events("compared", 1))?;
    for put in [1, 0] {
        let (report, found) = reconcile(&pair, &[]).await?;
        ensure!(report["refused"] == 1 && report["put"] == put, "{report}");
        ensure!(
            found[0]["refused"]
                .as_str()
                .is_some_and(|why| why.contains("lookup key")),
            "{found:?}"
        );
        eventually(DEADLINE, "it is dead", async || {
            let letters = pair.dead_letters(&["--reason", "unknown_price"]).await?;
            ensure!(letters.len() == 1, "{letters:?}");
            Ok(())
        })
        .await;
    }
    shop.add_missing_price()?;
    restart(&mut pair).await?;
    pair.operate(&["dead-letters", "replay", "--all"]).await?;
    let row = Entitlement::load(env.pool(), "user_compared0")
        .await?
        .context("no row")?;
    ensure!(row.entitled, "{row:?}");
    let (clean, _) = reconcile(&pair, &[]).await?;
    ensure!(clean["differing"] == 0 && clean["refused"] == 0, "{clean}");
    Ok(())
}
