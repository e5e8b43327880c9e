//! Usage reports, from the application's post to the balance.

use anyhow::{Context, Result, ensure};
use lapin::BasicProperties;
use serde_json::{Value, json};
use shared::message::{Meta, now_ms, properties};
use shared::usage::AMOUNT_MAX;
use sqlx::PgPool;
use std::path::PathBuf;
use std::time::Duration;
use tests::crowd::{Senders, all_recorded, ids};
use tests::fixtures::price::BASIC_MONTHLY;
use tests::fixtures::{ApiVersion, Customer, DAY, Event, Mint, Pack};
use tests::harness::{
    Balance, Pair, Queues, Recorded, Setup, TestEnv, eventually, every_balance_is_the_sum_of_its_ledger, recorded,
    report, report_key, unix_now,
};
use tokio::task::JoinSet;

const DEADLINE: Duration = Duration::from_mins(1);

async fn post(pair: &Pair, reports: &Value) -> Result<()> {
    let answer = pair.client.post_usage(reports).await?;
    ensure!(answer.status == 202, "{} {}", answer.status, answer.body);
    Ok(())
}

async fn used(env: &TestEnv, pair: &Pair, report: &Value) -> Result<()> {
    post(pair, report).await?;
    all_recorded(env.pool(), &[report_key(report)?], DEADLINE).await
}

async fn told(env: &TestEnv, pair: &Pair, events: &[Event]) -> Result<()> {
    Senders::start(&pair.client, events, 1).finish().await?;
    all_recorded(env.pool(), &ids(events), DEADLINE).await
}

async fn tokens(pool: &PgPool, user: &str) -> Result<Balance> {
    let rows = Balance::load(pool, user).await?;
    rows.get("tokens").copied().context("no tokens")
}

#[tokio::test]
async fn fifty_clients_that_report_for_one_user_at_once_are_counted_to_the_unit() -> Result<()> {
    const CLIENTS: i64 = 50;
    const EACH: i64 = 40;
    let env = TestEnv::new("usage_hot").await?;
    let pair = Pair::start(&env, Setup::default().workers(2)).await?;
    let now = unix_now();
    let mut customer = Customer::new(ApiVersion::Basil, "user_hot", now - DAY, BASIC_MONTHLY, true);
    told(&env, &pair, &customer.subscribed()).await?;
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        let client = pair.client.clone();
        clients.spawn(async move {
            for id in 0..EACH {
                let mut report = report(&id.to_string(), "user_hot", "tokens", 3_001, now)?;
                // Every client counts its own reports.
                report["source"] = json!(format!("/client/{number}"));
                for _ in 0..=i64::from(id % 5 == 0) {
                    let answer = client.post_usage(&report).await?;
                    ensure!(answer.status == 202, "{} {}", answer.status, answer.body);
                }
            }
            Ok(())
        });
    }
    for client in clients.join_all().await {
        client?;
    }
    pair.settles(3 + CLIENTS * (EACH + EACH / 5)).await;
    // 6,002,000 in all, 5 million of which are included.
    let expected = Balance::new(5_000_000, 5_000_000, -1_002_000, 0, -1_002_000);
    let seen = tokens(env.pool(), "user_hot").await?;
    ensure!(seen == expected, "{seen:?}");
    let entries = "SELECT count(*) FROM billing.ledger WHERE kind = 'usage'";
    let entries: i64 = sqlx::query_scalar(entries).fetch_one(env.pool()).await?;
    ensure!(entries == CLIENTS * EACH, "{entries} entries");
    every_balance_is_the_sum_of_its_ledger(env.pool()).await
}

#[tokio::test]
async fn usage_moves_to_its_period_once_that_is_known_and_a_closed_period_takes_no_more() -> Result<()> {
    let env = TestEnv::new("usage_periods").await?;
    let pair = Pair::start(&env, Setup::default()).await?;
    let (user, start) = ("user_early", unix_now() - 40 * DAY);
    let mut customer = Customer::new(ApiVersion::V2024, user, start, BASIC_MONTHLY, true);
    let shows = async |when: &str, expected: Balance| {
        let seen = tokens(env.pool(), user).await?;
        ensure!(seen == expected, "{when}: {seen:?}, not {expected:?}");
        Ok(())
    };
    let use_at =
        async |id: &str, amount: i64, time: i64| used(&env, &pair, &report(id, user, "tokens", amount, time)?).await;
    use_at("before", 100, start - DAY).await?;
    use_at("early", 2_000_000, start + DAY).await?;
    shows("nothing is known", Balance::new(0, 0, -2_000_100, 0, -2_000_100)).await?;
    told(&env, &pair, &customer.subscribed()).await?;
    shows("subscribed", Balance::new(5_000_000, 2_000_000, -100, 0, 2_999_900)).await?;

    // Used in the second period, of which no event came yet: the rest of the first period pays
    // until the second is known.
    use_at("ahead", 4_000_000, start + 35 * DAY).await?;
    shows("ahead", Balance::new(5_000_000, 5_000_000, -1_000_100, 0, -1_000_100)).await?;
    let renewed = customer.renewed();
    told(&env, &pair, &renewed[..1]).await?;
    shows("renewed", Balance::new(5_000_000, 4_000_000, -100, 0, 999_900)).await?;
    // The first period is not closed before the second is paid.
    use_at("late", 500_000, start + 20 * DAY).await?;
    shows("late", Balance::new(5_000_000, 4_000_000, -100, 0, 999_900)).await?;
    // 2.5 million are left over, 100 of which are owed.
    told(&env, &pair, &renewed[1..]).await?;
    shows("paid", Balance::new(5_000_000, 4_000_000, 2_499_900, 0, 3_499_900)).await?;
    use_at("too late", 500_000, start + 20 * DAY).await?;
    shows("too late", Balance::new(5_000_000, 4_500_000, 2_499_900, 0, 2_999_900)).await?;
    every_balance_is_the_sum_of_its_ledger(env.pool()).await?;
    pair.operate(&["audit"]).await.map(drop)
}

/// The shipped catalog with other limits and packs, and a meter more.
fn other_catalog(env: &TestEnv) -> Result<PathBuf> {
    let shipped = std::fs::read_to_string(&env.settings()["CATALOG_FILE"])?;
    let dearer = shipped.replace("credits = 5_000_000", "credits = 7_000_000");
    let other = dearer.replace("{ tokens = 5_000_000", "{ tokens = 6_000_000");
    let other = other.replace("limits = {", "limits = { images = 0,");
    ensure!(
        other != dearer && dearer != shipped,
        "the shipped catalog has other numbers"
    );
    let more = "\n[[meter]]\nname = \"images\"\n\n[[pack]]\nname = \"images_10\"\nproduct = \"prod_tokens\"\nmeter = \"images\"\n\
                credits = 10\namount = 1000\ncurrency = \"eur\"\n";
    let path = env.logs().join("catalog.toml");
    std::fs::write(&path, other + more)?;
    Ok(path)
}

async fn outcome(pool: &PgPool, id: &str) -> Result<(String, Option<String>)> {
    let seen = recorded(pool, &[id.to_owned()]).await?.remove(0);
    let Recorded { outcome, reason } = seen.with_context(|| format!("{id} is not on record"))?;
    Ok((outcome, reason))
}

#[tokio::test]
async fn an_unknown_meter_or_pack_is_dead_until_the_catalog_has_it_and_granted_credits_stay() -> Result<()> {
    let env = TestEnv::new("usage_catalog").await?;
    let pair = Pair::start(&env, Setup::default()).await?;
    let (user, start) = ("user_catalog", unix_now() - 2 * DAY);
    let mut customer = Customer::new(ApiVersion::Y2026, user, start, BASIC_MONTHLY, true);
    told(&env, &pair, &customer.subscribed()).await?;
    let sold = customer.pack("tokens_5m", 1, start + 60);
    let sold_event = sold.completed(&mut customer.mint);
    told(&env, &pair, std::slice::from_ref(&sold_event)).await?;
    let unknown = customer.pack("images_10", 2, start + 120).completed(&mut customer.mint);
    let drawn = report("drawn", user, "images", 3, start + DAY)?;
    told(&env, &pair, std::slice::from_ref(&unknown)).await?;
    used(&env, &pair, &drawn).await?;
    let key = report_key(&drawn)?;
    for (id, why) in [(&unknown.id, "unknown_pack"), (&key, "unknown_meter")] {
        let seen = outcome(env.pool(), id).await?;
        ensure!(seen == ("dead".to_owned(), Some(why.to_owned())), "{id}: {seen:?}");
    }
    let before = Balance::load(env.pool(), user).await?;
    let expected = Balance::new(5_000_000, 0, 0, 5_000_000, 10_000_000);
    ensure!(before["tokens"] == expected && before.len() == 3, "{before:?}");

    let queues = env.queues().await?;
    let (work, dead) = (env.topology().work(), env.topology().dead());
    eventually(DEADLINE, "both dead letters are there", async || {
        ensure!(queues.depth(&dead).await? == 2);
        Ok(())
    })
    .await;
    drop(pair);
    let catalog = other_catalog(&env)?;
    let setup = Setup::default().worker("CATALOG_FILE", &catalog.display().to_string());
    let pair = Pair::start(&env, setup).await?;
    for letter in queues.take_all(&dead).await? {
        queues.publish(&work, letter.properties.clone(), &letter.data).await?;
    }
    pair.settles(2).await;
    for id in [&unknown.id, &key] {
        let seen = outcome(env.pool(), id).await?;
        ensure!(seen == ("applied".to_owned(), None), "{id}: {seen:?}");
    }
    ensure!(pair.dead_letters(&[]).await?.is_empty() && queues.depth(&dead).await? == 0);
    let mut expected = before;
    expected.insert("images".to_owned(), Balance::new(0, 0, 0, 17, 17));
    let seen = Balance::load(env.pool(), user).await?;
    ensure!(seen == expected, "{seen:?}");

    // Told once more, what was sold under the old catalog is not another pack.
    told(&env, &pair, &[sold.paid_later(&mut customer.mint, start + 7_200)]).await?;
    let seen = Balance::load(env.pool(), user).await?;
    ensure!(seen == expected, "{seen:?}");
    // Nor is a twin that comes only now, whatever its id.
    let twin = |number| Mint::new(ApiVersion::Y2026, &format!("twin {number}")).twin(&sold_event);
    let twins: Vec<Event> = (0..6).map(twin).collect();
    ensure!(twins.iter().any(|twin| twin.id < sold_event.id));
    told(&env, &pair, &twins).await?;
    let seen = Balance::load(env.pool(), user).await?;
    ensure!(seen == expected, "twins: {seen:?}");
    let dearer = customer.pack("tokens_5m", 1, start + DAY).completed(&mut customer.mint);
    told(&env, &pair, &[dearer]).await?;
    let seen = tokens(env.pool(), user).await?;
    ensure!(
        seen == Balance::new(5_000_000, 0, 0, 12_000_000, 17_000_000),
        "{seen:?}"
    );
    every_balance_is_the_sum_of_its_ledger(env.pool()).await?;
    pair.operate(&["audit"]).await.map(drop)
}

#[tokio::test]
async fn usage_beyond_64_bits_is_a_dead_letter_that_says_so_and_its_siblings_are_applied() -> Result<()> {
    let env = TestEnv::new("usage_overflow").await?;
    let env = env.with("RETRY_DELAYS", "50ms,100ms");
    // One lane that gathers, so that all of them are in one transaction.
    let setup = Setup::default().worker("LANES", "1").worker("BATCH_WAIT", "300ms");
    let pair = Pair::start(&env, setup).await?;
    let now = unix_now();
    let usage = |id: &str, user: &str, amount| report(id, user, "tokens", amount, now);
    let most: Vec<Value> = (0..512)
        .map(|n| usage(&format!("much {n}"), "user_much", AMOUNT_MAX))
        .collect::<Result<_>>()?;
    let keys: Vec<String> = most.iter().map(report_key).collect::<Result<_>>()?;
    post(&pair, &Value::from(most)).await?;
    all_recorded(env.pool(), &keys, DEADLINE).await?;
    let mut reports = vec![
        usage("sibling", "user_much", 512)?,
        usage("too much", "user_much", AMOUNT_MAX)?,
    ];
    for number in 0..20 {
        reports.push(usage(&format!("other {number}"), &format!("user_{number}"), 5)?);
    }
    let keys: Vec<String> = reports.iter().map(report_key).collect::<Result<_>>()?;
    post(&pair, &Value::from(reports)).await?;
    all_recorded(env.pool(), &keys, DEADLINE).await?;
    let letters = pair.dead_letters(&[]).await?;
    ensure!(letters.len() == 1 && letters[0]["id"] == "/app too much", "{letters:?}");
    ensure!(letters[0]["reason"] == "retries_exhausted", "{letters:?}");
    let detail = letters[0]["detail"].as_str().context("no detail")?;
    ensure!(
        detail.contains("64 bits") && detail.contains("check the amount"),
        "{detail}"
    );
    let debt = -(1 << 62);
    let seen = tokens(env.pool(), "user_much").await?;
    ensure!(seen == Balance::new(0, 0, debt, 0, debt), "{seen:?}");
    for number in 0..20 {
        let seen = tokens(env.pool(), &format!("user_{number}")).await?;
        ensure!(seen == Balance::new(0, 0, -5, 0, -5), "{seen:?}");
    }
    // Whatever Stripe sends now, the usage can be settled with it.
    let mut customer = Customer::new(ApiVersion::Y2026, "user_much", now - DAY, BASIC_MONTHLY, true);
    let pack = customer.pack("tokens_5m", 1, now);
    let mut events = customer.subscribed();
    events.push(pack.completed(&mut customer.mint));
    told(&env, &pair, &events).await?;
    let left = debt + 10_000_000;
    let seen = tokens(env.pool(), "user_much").await?;
    ensure!(seen == Balance::new(5_000_000, 5_000_000, left, 0, left), "{seen:?}");
    ensure!(pair.dead_letters(&[]).await?.len() == 1);
    every_balance_is_the_sum_of_its_ledger(env.pool()).await
}

/// One wrong report must not keep a user from what they bought since.
#[tokio::test]
async fn a_user_with_huge_reported_usage_can_still_subscribe_buy_and_use() -> Result<()> {
    let env = TestEnv::new("usage_huge").await?;
    let env = env.with("RETRY_DELAYS", "50ms,100ms");
    let pair = Pair::start(&env, Setup::default()).await?;
    let (user, start) = ("user_huge", unix_now() - DAY);
    let mut customer = Customer::new(ApiVersion::Y2026, user, start, BASIC_MONTHLY, true);
    let (early, later, now) = (start - DAY, start - 3_600, start + 3_600);
    used(&env, &pair, &report("huge", user, "tokens", AMOUNT_MAX, early)?).await?;
    used(&env, &pair, &report("one more", user, "tokens", 1, early)?).await?;
    let pack = customer.pack("tokens_5m", 1, start - 7_200);
    told(&env, &pair, &[pack.completed(&mut customer.mint)]).await?;
    used(&env, &pair, &report("next", user, "tokens", 4_000_000, later)?).await?;
    used(&env, &pair, &report("after", user, "tokens", 1_000_000, later)?).await?;
    told(&env, &pair, &customer.subscribed()).await?;
    used(&env, &pair, &report("own", user, "tokens", 1_000_000, now)?).await?;
    let letters = pair.dead_letters(&[]).await?;
    ensure!(letters.is_empty(), "{letters:?}");
    let seen = tokens(env.pool(), user).await?;
    // The pack paid 5 million of the debt, and as much was used since.
    let debt = -(AMOUNT_MAX + 1);
    ensure!(
        seen == Balance::new(5_000_000, 1_000_000, debt, 0, 4_000_000 + debt),
        "{seen:?}"
    );
    every_balance_is_the_sum_of_its_ledger(env.pool()).await
}

/// Sums are kept by the hour: one that a late event cuts through is read line by line.
#[tokio::test]
async fn the_sum_of_an_hour_is_split_where_a_late_event_starts_a_period_within_it() -> Result<()> {
    let env = TestEnv::new("usage_hour").await?;
    let pair = Pair::start(&env, Setup::default()).await?;
    // Of a whole hour, so that all uses lie in it.
    let (user, start) = ("user_hour", (unix_now() / 3_600 - 30) * 3_600);
    let mut customer = Customer::new(ApiVersion::Y2026, user, start, BASIC_MONTHLY, true);
    told(&env, &pair, &customer.subscribed()).await?;
    let reports: Vec<Value> = (0..40)
        .map(|n| report(&n.to_string(), user, "tokens", 100_000 + n, start + 60 + n * 85))
        .collect::<Result<_>>()?;
    let keys: Vec<String> = reports.iter().map(report_key).collect::<Result<_>>()?;
    post(&pair, &Value::from(reports)).await?;
    all_recorded(env.pool(), &keys, DEADLINE).await?;
    let seen = tokens(env.pool(), user).await?;
    ensure!(seen == Balance::new(5_000_000, 4_000_780, 0, 0, 999_220), "{seen:?}");
    // The pack first: it decides nothing before it. Then the end: the first 20 uses were included.
    let pack = customer.pack("tokens_5m", 1, start + 3_000);
    told(&env, &pair, &[pack.completed(&mut customer.mint)]).await?;
    told(&env, &pair, &customer.ended(start + 60 + 20 * 85)).await?;
    let left = 5_000_000 - 2_000_590;
    let seen = tokens(env.pool(), user).await?;
    ensure!(seen == Balance::new(0, 2_000_190, 0, left, left), "{seen:?}");
    every_balance_is_the_sum_of_its_ledger(env.pool()).await?;
    pair.operate(&["audit"]).await.map(drop)
}

async fn published(queues: &Queues, work: &str, properties: BasicProperties, body: &Value) -> Result<()> {
    queues.publish(work, properties, body.to_string().as_bytes()).await
}

#[tokio::test]
async fn the_usage_token_cannot_post_stripe_events_and_the_webhook_secret_cannot_post_usage() -> Result<()> {
    let env = TestEnv::new("usage_forged").await?;
    let pair = Pair::start(&env, Setup::default()).await?;
    let (queues, work) = (env.queues().await?, env.topology().work());
    let mut mint = Mint::new(ApiVersion::Y2026, "forged");
    let pack = Pack::bought(&mut mint, "user_forger", "tokens_5m", 1, unix_now());
    let event: Value = serde_json::from_str(&pack.completed(&mut mint).body)?;
    let usage = report("forged", "user_forger", "tokens", 1_000, unix_now())?;
    let (of_usage, of_webhook) = (Meta::usage(now_ms()).headers(), Meta::received(now_ms()).headers());

    // Stripe's event as a report of use, also with all that a report has, and its type twice.
    let mut both = event.clone();
    for name in ["specversion", "source", "subject", "time"] {
        both[name] = usage[name].clone();
    }
    both["data"]["meter"] = json!("tokens");
    both["data"]["amount"] = json!(1_000);
    let twice = both.to_string().replacen('{', "{\"type\":\"usage\",", 1);
    for body in [event.to_string(), both.to_string(), twice] {
        let answer = pair
            .client
            .post_usage_raw("application/cloudevents+json", body.clone())
            .await?;
        ensure!(answer.status == 400, "{} {}", answer.status, answer.body);
        let properties = properties("", "usage", of_usage.clone());
        queues.publish(&work, properties, body.as_bytes()).await?;
    }
    pair.settles(3).await;
    // A report of use as Stripe's event, also with all that an event has.
    let mut complete = usage.clone();
    complete["created"] = json!(unix_now());
    complete["livemode"] = json!(false);
    for body in [&usage, &complete] {
        for properties in [
            properties("", "usage", of_webhook.clone()),
            properties("", "usage", Meta::read(&BasicProperties::default()).headers()),
            BasicProperties::default(),
        ] {
            published(&queues, &work, properties, body).await?;
        }
    }
    pair.settles(9).await;
    let rows = "SELECT outcome || ' ' || coalesce(reason, '') FROM billing.events ORDER BY 1";
    let rows: Vec<String> = sqlx::query_scalar(rows).fetch_all(env.pool()).await?;
    let dead = rows.iter().filter(|row| *row == "dead malformed").count();
    let ignored = rows.iter().filter(|row| *row == "ignored not_handled").count();
    ensure!(dead + ignored == rows.len() && dead >= 3, "{rows:?}");
    let changed = "SELECT (SELECT count(*) FROM billing.ledger) + (SELECT count(*) FROM billing.balances) \
                   + (SELECT count(*) FROM billing.entitlements)";
    let changed: i64 = sqlx::query_scalar(changed).fetch_one(env.pool()).await?;
    ensure!(changed == 0, "{changed} rows");
    Ok(())
}
