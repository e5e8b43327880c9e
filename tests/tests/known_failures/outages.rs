//! What other systems' trackers report of outages: events that were acknowledged and lost, backfills that did
//! nothing, and locks that swallowed a change.

use crate::stage::DEADLINE;
use anyhow::{Context, Result, ensure};
use tests::crowd::{Senders, all_applied, deliver, ids, lives, newcomers, outcomes};
use tests::fixtures::Event;
use tests::harness::{Pair, Setup, TestEnv, eventually};
use tests::stripe::{Fault, Stripe, When};
use tests::stripe_state::{list_events, put_subscriptions};

/// A pair that asks `stripe`, and only on command.
fn asking(stripe: &Stripe) -> Setup {
    Setup::default()
        .worker("STRIPE_SECRET_KEY", "rk_test_tollbridge_hush_0123456789")
        .worker("STRIPE_API_BASE", stripe.base())
        .worker("STRIPE_LIVEMODE", "test")
        .worker("STRIPE_REQUESTS_PER_SECOND", "100")
        .worker("BACKFILL_INTERVAL", "off")
        .worker("RECONCILE_INTERVAL", "off")
}

/// The first events of `count` customers, which Stripe could not deliver.
fn missed(stripe: &Stripe, seed: &str, count: usize) -> Result<Vec<Event>> {
    let events = newcomers(seed, count);
    list_events(stripe, &events, false)?;
    put_subscriptions(stripe, &events)?;
    Ok(events)
}

/// stripe/sync-engine #111.
#[tokio::test]
async fn a_backfill_after_a_downtime_fetches_every_customer_that_was_missed() -> Result<()> {
    let stripe = Stripe::start().await?;
    let env = TestEnv::new("known_backfill").await?;
    let pair = Pair::start(&env, asking(&stripe)).await?;
    let events = missed(&stripe, "backfilled", 40)?;
    let printed = pair.operate(&["backfill"]).await?;
    ensure!(printed.contains("40 had never arrived, 40 put"), "{printed}");
    all_applied(env.pool(), &ids(&events), DEADLINE).await?;
    let rows = sqlx::query_scalar("SELECT count(*) FROM billing.entitlements WHERE effective_tier = 'plus'");
    let rows: i64 = rows.fetch_one(env.pool()).await?;
    ensure!(rows == 40, "{rows} rows");
    Ok(())
}

/// stripe/sync-engine #300.
#[tokio::test]
async fn a_backfill_that_stripe_broke_off_is_not_taken_for_done() -> Result<()> {
    let stripe = Stripe::start().await?;
    let env = TestEnv::new("known_broken_off").await?;
    let pair = Pair::start(&env, asking(&stripe)).await?;
    let events = missed(&stripe, "broken", 120)?;
    // Refused for good, after the first page.
    stripe.inject(Fault::FailsBefore(403), When::below("/v1/events").after(1));
    let failed = pair.operate(&["backfill"]).await;
    ensure!(failed.is_err(), "it says that it is done: {failed:?}");
    ensure!(outcomes(env.pool(), &ids(&events)).await?.contains_key("lost"));

    // The next one does not wait for its time, and goes on through the limit of requests.
    stripe.heal();
    let limit = Fault::TooMany { retry_after: Some(1) };
    stripe.inject(limit, When::below("/v1/events").times(2));
    pair.operate(&["backfill"]).await?;
    all_applied(env.pool(), &ids(&events), DEADLINE).await?;
    Ok(())
}

/// Autumn #2396.
#[tokio::test]
async fn an_event_that_was_acknowledged_is_applied_although_the_worker_died() -> Result<()> {
    let env = TestEnv::new("known_acknowledged").await?;
    let mut pair = Pair::start(&env, Setup::default().workers(0).worker("BATCH_SIZE", "5")).await?;
    let events = newcomers(env.namespace(), 300);
    // Each is answered 200, and nobody works.
    Senders::start(&pair.client, &events, 8).finish().await?;
    ensure!(outcomes(env.pool(), &ids(&events)).await?.get("lost") == Some(&300));
    pair.add_worker().await?;
    eventually(DEADLINE, "it has begun", async || {
        let lost = outcomes(env.pool(), &ids(&events)).await?;
        ensure!(lost.get("lost").is_none_or(|lost| *lost < 300));
        Ok(())
    })
    .await;
    pair.workers[0].kill_9().await?;
    pair.workers[0].start().await?;
    all_applied(env.pool(), &ids(&events), DEADLINE).await?;
    Ok(())
}

const REFUSE: &str = "
    CREATE FUNCTION billing.refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'refused by the test'; END $$;
    CREATE TRIGGER refuse BEFORE INSERT ON billing.fact FOR EACH ROW EXECUTE FUNCTION billing.refuse()";

/// Autumn #3277.
#[tokio::test]
async fn an_event_that_failed_is_tried_again_in_seconds_without_stripe() -> Result<()> {
    let env = TestEnv::new("known_retry").await?.with("RETRY_DELAYS", "1s,2s,3s,1h");
    let pair = Pair::start(&env, Setup::default()).await?;
    sqlx::raw_sql(REFUSE).execute(env.pool()).await?;
    let events = newcomers(env.namespace(), 1);
    // The only post: it is answered 200, so Stripe will not send it again.
    pair.client.post_event(&events[0]).await?.accepted()?;
    eventually(DEADLINE, "it has failed", async || {
        let metrics = pair.workers[0].metrics().await?;
        ensure!(metrics.sum("tollbridge_worker_retries_total", &[]) > 0);
        Ok(())
    })
    .await;
    sqlx::raw_sql("DROP TRIGGER refuse ON billing.fact")
        .execute(env.pool())
        .await?;
    all_applied(env.pool(), &ids(&events), DEADLINE).await?;
    ensure!(pair.dead_letters(&[]).await?.is_empty());
    Ok(())
}

/// Autumn #3145.
#[tokio::test]
async fn a_cancellation_that_comes_while_the_customer_is_locked_is_applied_afterwards() -> Result<()> {
    let env = TestEnv::new("known_locked").await?;
    // Longer than the story, so that no attempt is given up.
    let pair = Pair::start(&env, Setup::default().worker("LOCK_TIMEOUT", "300s")).await?;
    let mut events = lives(env.namespace(), 1);
    let canceled = events.pop().context("a life ends with a cancellation")?;
    for event in &events {
        deliver(&pair.client, event).await?;
    }
    all_applied(env.pool(), &ids(&events), DEADLINE).await?;
    let mut lock = env.pool().begin().await?;
    let locked: Vec<String> = sqlx::query_scalar("SELECT account FROM billing.account FOR UPDATE")
        .fetch_all(&mut *lock)
        .await?;
    ensure!(!locked.is_empty());

    let others = newcomers(&format!("{}other", env.namespace()), 20);
    deliver(&pair.client, &canceled).await?;
    Senders::start(&pair.client, &others, 4).finish().await?;
    all_applied(env.pool(), &ids(&others), DEADLINE).await?;
    let waiting = outcomes(env.pool(), std::slice::from_ref(&canceled.id)).await?;
    ensure!(
        waiting.get("lost") == Some(&1),
        "applied in spite of the lock: {waiting:?}"
    );

    lock.rollback().await?;
    all_applied(env.pool(), std::slice::from_ref(&canceled.id), DEADLINE).await?;
    let canceling = sqlx::query_scalar("SELECT count(*) FROM billing.entitlements WHERE is_canceling");
    let canceling: i64 = canceling.fetch_one(env.pool()).await?;
    ensure!(canceling == 1, "{canceling} are canceling");
    Ok(())
}
