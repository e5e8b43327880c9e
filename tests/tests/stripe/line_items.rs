//! A paid session without a pack name: its line items are looked up at Stripe, here a stand-in.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tests::crowd::{all_applied, ids, newcomers};
use tests::fixtures::{ApiVersion, DAY, Event, Mint, Pack};
use tests::harness::{Balance, Pair, Setup, TestEnv, eventually, unix_now};
use tests::stripe::{Fault, Stripe, When};
use tokio::sync::Notify;

const DEADLINE: Duration = Duration::from_secs(30);
/// How long a worker waits for Stripe.
const TIME_LIMIT: Duration = Duration::from_secs(10);
const KEY: &str = "rk_test_tollbridge_hush_0123456789";

/// That the lines of `session` are these from now on.
fn sells(stripe: &Stripe, session: &str, lines: &[Value]) {
    let lines = json!({"object": "list", "data": lines, "has_more": false, "url": "/v1/checkout/sessions"});
    let session = json!({
        "id": session, "object": "checkout.session", "created": unix_now(), "livemode": false, "line_items": lines
    });
    stripe.put("checkout/sessions", &session);
}

/// Has `fault` strike the next so many questions about `session`.
fn fails(stripe: &Stripe, session: &str, fault: Fault, times: usize) {
    stripe.inject(fault, When::below(&path(session)).times(times));
}

fn path(session: &str) -> String {
    format!("/v1/checkout/sessions/{session}/line_items")
}

/// How often it was asked about `session`.
fn times_asked(stripe: &Stripe, session: &str) -> usize {
    let asked = stripe.requests();
    asked.iter().filter(|asked| asked.path == path(session)).count()
}

/// A line as Stripe writes it.
fn line(quantity: i64, lookup_key: Option<&str>, metadata: &Value) -> Value {
    json!({
        "id": "li_1", "object": "item", "amount_discount": 0, "amount_subtotal": 1000, "amount_tax": 0,
        "amount_total": 1000, "currency": "eur", "description": "Credits", "quantity": quantity,
        "price": {
            "id": "price_1", "object": "price", "active": true, "billing_scheme": "per_unit", "currency": "eur",
            "livemode": false, "lookup_key": lookup_key, "metadata": metadata, "product": "prod_1", "recurring": null,
            "type": "one_time", "unit_amount": 1000, "unit_amount_decimal": "1000"
        }
    })
}

fn tokens(quantity: i64) -> Vec<Value> {
    vec![line(quantity, Some("tokens_5m"), &json!({}))]
}

/// That `user` paid for a session that names no pack; its id, and the event.
fn unnamed(mint: &mut Mint, user: &str) -> (String, Event) {
    let mut pack = Pack::bought(mint, user, "tokens_5m", 1, unix_now() - DAY);
    pack.session.metadata.remove("pack");
    pack.session.metadata.remove("quantity");
    (pack.session.id.clone(), pack.completed(mint))
}

async fn has(env: &TestEnv, user: &str, meter: &str, credits: i64) {
    let expected = BTreeMap::from([(meter.to_owned(), Balance::new(0, 0, 0, credits, credits))]);
    eventually(DEADLINE, "the credits are there", async || {
        let balances = Balance::load(env.pool(), user).await?;
        ensure!(balances == expected, "{user}: {balances:?}");
        Ok(())
    })
    .await;
}

async fn dead(pair: &Pair, count: usize) -> Result<Vec<Value>> {
    Ok(eventually(DEADLINE, "the dead letters are there", async || {
        let letters = pair.dead_letters(&[]).await?;
        ensure!(letters.len() == count, "{letters:?}");
        Ok(letters)
    })
    .await)
}

async fn post(pair: &Pair, event: &Event) -> Result<()> {
    pair.client.post_event(event).await?.accepted()
}

#[tokio::test]
async fn a_session_without_a_pack_name_grants_the_packs_of_its_line_items() -> Result<()> {
    let env = TestEnv::new("lines_found").await?;
    let stripe = Stripe::start().await?;
    let key_file = std::env::temp_dir().join(format!("tollbridge-key-{}", std::process::id()));
    std::fs::write(&key_file, format!("{KEY}\n"))?;
    let setup = Setup::default()
        .worker("STRIPE_SECRET_KEY_FILE", &key_file.display().to_string())
        .worker("BACKFILL_INTERVAL", "off")
        .worker("RECONCILE_INTERVAL", "off")
        .worker("STRIPE_API_BASE", stripe.base())
        .worker("RUST_LOG", "trace");
    let pair = Pair::start(&env, setup).await?;
    let mut mint = Mint::new(ApiVersion::Y2026, "lines");
    let voice = json!({"pack": "voice_500k"});
    let (key, none) = (Some("tokens_5m"), json!({}));
    let sold = [
        ("user_key", vec![line(1, key, &none)], "tokens", 5_000_000),
        ("user_noted", vec![line(3, None, &voice)], "voice_chars", 1_500_000),
        (
            "user_two",
            vec![line(1, key, &none), line(2, key, &none)],
            "tokens",
            15_000_000,
        ),
    ];
    for (user, lines, meter, credits) in &sold {
        let (session, event) = unnamed(&mut mint, user);
        sells(&stripe, &session, lines);
        post(&pair, &event).await?;
        has(&env, user, meter, *credits).await;
        let asked = stripe.requests();
        let is_last = asked.last().is_some_and(|asked| {
            asked.method == "GET" && asked.path == path(&session) && asked.params == json!({"limit": "100"})
        });
        ensure!(is_last && asked.iter().all(|asked| asked.key == KEY), "{asked:?}");
    }
    // A session that names its pack needs no look-up.
    let named = Pack::bought(&mut mint, "user_named", "tokens_5m", 2, unix_now() - DAY);
    post(&pair, &named.completed(&mut mint)).await?;
    has(&env, "user_named", "tokens", 10_000_000).await;
    ensure!(stripe.requests().len() == sold.len(), "{:?}", stripe.requests());

    for (count, (lines, why)) in [
        (Some(vec![line(1, Some("gold"), &none)]), "lookup key: gold"),
        (Some(vec![line(0, key, &none), line(1, None, &voice)]), "quantity 0"),
        // Of which Stripe knows nothing.
        (None, "404"),
    ]
    .into_iter()
    .enumerate()
    {
        let (session, event) = unnamed(&mut mint, "user_unknown");
        if let Some(lines) = lines {
            sells(&stripe, &session, &lines);
        }
        post(&pair, &event).await?;
        let letters = dead(&pair, count + 1).await?;
        let letter = letters.iter().find(|letter| letter["id"] == event.id.as_str());
        let detail = letter.and_then(|letter| letter["detail"].as_str()).unwrap_or_default();
        ensure!(detail.contains(why) && detail.contains("replay"), "{letters:?}");
        ensure!(
            letters
                .iter()
                .all(|l| l["reason"] == "unknown_pack" && l["attempts"] == 1)
        );
    }
    ensure!(Balance::load(env.pool(), "user_unknown").await?.is_empty());
    let log = pair.workers[0].log();
    ensure!(
        log.contains("event settled") && !log.contains("hush"),
        "the key is in the log"
    );
    ensure!(stripe.violations().is_empty(), "{:?}", stripe.violations());
    std::fs::remove_file(key_file)?;
    Ok(())
}

#[tokio::test]
async fn a_failing_look_up_is_retried_and_a_refused_key_is_named() -> Result<()> {
    let env = TestEnv::new("lines_failing")
        .await?
        .with("RETRY_DELAYS", "100ms,200ms,300ms");
    let stripe = Stripe::start().await?;
    let setup = Setup::default()
        .worker("STRIPE_SECRET_KEY", KEY)
        .worker("BACKFILL_INTERVAL", "off")
        .worker("RECONCILE_INTERVAL", "off")
        .worker("STRIPE_API_BASE", stripe.base());
    let pair = Pair::start(&env, setup).await?;
    let mut mint = Mint::new(ApiVersion::Y2026, "failing");
    for (user, statuses) in [
        ("user_500", [500, 500]),
        ("user_429", [429, 503]),
        ("user_401", [401, 403]),
    ] {
        let (session, event) = unnamed(&mut mint, user);
        sells(&stripe, &session, &tokens(1));
        for status in statuses {
            fails(&stripe, &session, Fault::FailsBefore(status), 1);
        }
        post(&pair, &event).await?;
        has(&env, user, "tokens", 5_000_000).await;
        ensure!(times_asked(&stripe, &session) == 3, "{:?}", stripe.requests());
    }
    ensure!(pair.dead_letters(&[]).await?.is_empty());

    let (session, event) = unnamed(&mut mint, "user_never");
    fails(&stripe, &session, Fault::FailsBefore(500), 4);
    post(&pair, &event).await?;
    let letters = dead(&pair, 1).await?;
    ensure!(
        letters[0]["reason"] == "retries_exhausted" && letters[0]["attempts"] == 4,
        "{letters:?}"
    );
    let metrics = pair.workers[0].metrics().await?;
    for (outcome, times) in [("ok", 3), ("status", 4 + 4), ("denied", 2), ("timeout", 0)] {
        let label = format!("outcome=\"{outcome}\"");
        let counted = metrics.sum("tollbridge_stripe_requests_total", &[&label]);
        ensure!(counted == times, "{outcome}: {counted}");
    }
    ensure!(metrics.get("tollbridge_stripe_request_seconds_count") == 13);
    let log = pair.workers[0].log();
    ensure!(log.contains("Stripe refuses STRIPE_SECRET_KEY (401)"), "{log}");
    ensure!(
        log.contains("Stripe answered with status 429") && !log.contains("hush"),
        "{log}"
    );
    Ok(())
}

#[tokio::test]
async fn a_stripe_that_hangs_delays_neither_the_rest_of_its_batch_nor_a_shutdown() -> Result<()> {
    let env = TestEnv::new("lines_hang").await?.with("RETRY_DELAYS", "1s,1h");
    let stripe = Stripe::start().await?;
    // One lane, that finds all that is posted here in its queue, for one batch.
    let setup = Setup::default()
        .workers(0)
        .worker("STRIPE_SECRET_KEY", KEY)
        .worker("BACKFILL_INTERVAL", "off")
        .worker("RECONCILE_INTERVAL", "off")
        .worker("STRIPE_API_BASE", stripe.base())
        .worker("LANES", "1")
        .worker("BATCH_WAIT", "500ms");
    let mut pair = Pair::start(&env, setup).await?;
    let mut mint = Mint::new(ApiVersion::Y2026, "hang");
    let buyers: Vec<(String, Event)> = (0..10)
        .map(|number| {
            let user = format!("user_hang{number}");
            let (session, event) = unnamed(&mut mint, &user);
            sells(&stripe, &session, &tokens(1));
            (user, event)
        })
        .collect();
    let others = newcomers(env.namespace(), 5);
    // It is never notified.
    stripe.inject(Fault::Waits(Arc::new(Notify::new())), When::any());
    for event in buyers.iter().map(|(_, event)| event).chain(&others) {
        post(&pair, event).await?;
    }
    let began = Instant::now();
    pair.add_worker().await?;
    all_applied(env.pool(), &ids(&others), DEADLINE).await?;
    let took = began.elapsed();
    ensure!(took < TIME_LIMIT, "{took:?}");
    eventually(DEADLINE, "it is asked", async || {
        ensure!(stripe.requests().len() >= 4);
        Ok(())
    })
    .await;

    // They come back, hang again, and are given back at once when it stops.
    let asked = stripe.requests().len();
    eventually(DEADLINE, "it is asked again", async || {
        ensure!(stripe.requests().len() > asked);
        Ok(())
    })
    .await;
    let metrics = pair.workers[0].metrics().await?;
    let timed_out = metrics.sum("tollbridge_stripe_requests_total", &["outcome=\"timeout\""]);
    ensure!(timed_out >= 4, "{timed_out}");
    let began = Instant::now();
    pair.workers[0].sigterm().await?;
    ensure!(pair.workers[0].exit(DEADLINE).await?.success());
    let took = began.elapsed();
    ensure!(took < Duration::from_secs(5), "{took:?}");
    ensure!(
        !pair.workers[0].log().contains("\"attempts\":2"),
        "interrupted work counted as a failure"
    );

    stripe.heal();
    pair.workers[0].start().await?;
    for (user, _) in &buyers {
        has(&env, user, "tokens", 5_000_000).await;
    }
    Ok(())
}

#[tokio::test]
async fn without_a_key_the_session_is_a_dead_letter_that_is_applied_once_there_is_a_key() -> Result<()> {
    let env = TestEnv::new("lines_no_key").await?;
    let stripe = Stripe::start().await?;
    let mut mint = Mint::new(ApiVersion::Y2026, "nokey");
    let (session, event) = unnamed(&mut mint, "user_late");
    sells(&stripe, &session, &tokens(2));
    let mut pair = Pair::start(
        &env,
        Setup::default()
            .worker("BACKFILL_INTERVAL", "off")
            .worker("RECONCILE_INTERVAL", "off")
            .worker("STRIPE_API_BASE", stripe.base()),
    )
    .await?;
    post(&pair, &event).await?;
    let letters = dead(&pair, 1).await?;
    let detail = letters[0]["detail"].as_str().unwrap_or_default();
    ensure!(
        letters[0]["reason"] == "unknown_pack" && detail.contains("STRIPE_SECRET_KEY"),
        "{letters:?}"
    );
    ensure!(stripe.requests().is_empty(), "{:?}", stripe.requests());
    pair.kill_all().await;

    let setup = Setup::default()
        .worker("BACKFILL_INTERVAL", "off")
        .worker("RECONCILE_INTERVAL", "off")
        .worker("STRIPE_API_BASE", stripe.base());
    let pair = Pair::start(&env, setup.worker("STRIPE_SECRET_KEY", KEY)).await?;
    post(&pair, &event).await?;
    has(&env, "user_late", "tokens", 10_000_000).await;
    ensure!(pair.dead_letters(&[]).await?.is_empty(), "still listed");
    Ok(())
}
