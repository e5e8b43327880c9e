//! Many workers and the same customers: a locked row delays only the events that need it.

use anyhow::{Context, Result, ensure};
use sqlx::{PgPool, Postgres, Row, Transaction};
use std::time::Duration;
use tests::crowd::{Senders, all_applied, deliver, ids, lives, newcomers, outcomes};
use tests::fixtures::Event;
use tests::harness::{Pair, Setup, TestEnv, eventually};
use tokio::task::JoinSet;

const DEADLINE: Duration = Duration::from_secs(30);
/// Longer than any test waits, so that no worker gives up a lock because of it.
const NEVER: &str = "300s";

/// The first events of `customers`, and all their later ones.
fn first_and_later(seed: &str, customers: usize) -> (Vec<Event>, Vec<Event>) {
    let mut events = lives(seed, customers);
    let later = events.split_off(customers);
    (events, later)
}

async fn locked(pool: &PgPool, query: &'static str, key: &str) -> Result<Transaction<'static, Postgres>> {
    let mut transaction = pool.begin().await?;
    let rows = sqlx::query(query).bind(key).fetch_all(&mut *transaction).await?;
    ensure!(rows.len() == 1, "{} rows are {key}", rows.len());
    Ok(transaction)
}

async fn total(pair: &Pair, name: &str) -> Result<i64> {
    let mut total = 0;
    for worker in &pair.workers {
        total += worker.metrics().await?.sum(name, &[]);
    }
    Ok(total)
}

#[tokio::test]
async fn a_customer_whose_rows_are_locked_does_not_hold_up_the_others() -> Result<()> {
    let env = TestEnv::new("concurrency_hot").await?;
    let setup = Setup::default().workers(2).worker("LOCK_TIMEOUT", NEVER);
    let pair = Pair::start(&env, setup).await?;
    let (first, later) = first_and_later(env.namespace(), 1);
    deliver(&pair.client, &first[0]).await?;
    all_applied(env.pool(), &ids(&first), DEADLINE).await?;
    let account: String = sqlx::query_scalar("SELECT account FROM billing.account")
        .fetch_one(env.pool())
        .await?;
    let lock = locked(
        env.pool(),
        "SELECT account FROM billing.account WHERE account = $1 FOR UPDATE",
        &account,
    )
    .await?;

    // The locked customer's events among those of others, in every batch.
    let others = newcomers(&format!("{}other", env.namespace()), 400);
    let copies = others.chunks(10).zip(later.iter().cycle());
    let mixed: Vec<Event> = copies
        .flat_map(|(some, hot)| some.iter().cloned().chain([hot.clone()]))
        .collect();
    Senders::start(&pair.client, &mixed, 8).finish().await?;
    all_applied(env.pool(), &ids(&others), DEADLINE).await?;
    let hot = outcomes(env.pool(), &ids(&later)).await?;
    ensure!(hot.get("lost") == Some(&4), "applied in spite of the lock: {hot:?}");

    lock.rollback().await?;
    all_applied(env.pool(), &ids(&later), DEADLINE).await?;
    ensure!(
        total(&pair, "tollbridge_worker_retries_total").await? == 0,
        "an attempt was counted"
    );
    eventually(DEADLINE, "every copy is settled", async || {
        ensure!(pair.settled().await? == i64::try_from(1 + mixed.len())?);
        Ok(())
    })
    .await;
    Ok(())
}

#[tokio::test]
async fn a_transaction_that_fell_into_a_deadlock_is_repeated_and_loses_nothing() -> Result<()> {
    let env = TestEnv::new("concurrency_deadlock").await?;
    // One lane that waits for both events, so that one transaction locks both users.
    let setup = Setup::default()
        .worker("LANES", "1")
        .worker("BATCH_WAIT", "500ms")
        .worker("LOCK_TIMEOUT", NEVER);
    let pair = Pair::start(&env, setup).await?;
    let (first, later) = first_and_later(env.namespace(), 2);
    Senders::start(&pair.client, &first, 1).finish().await?;
    all_applied(env.pool(), &ids(&first), DEADLINE).await?;
    for both in later.chunks(2) {
        let we_lost = deadlock(env.pool(), &pair, both).await?;
        all_applied(env.pool(), &ids(both), DEADLINE).await?;
        if !we_lost {
            break;
        }
    }
    ensure!(
        total(&pair, "tollbridge_worker_conflicts_total").await? == 1,
        "the worker lost no deadlock"
    );
    for counted in [
        "tollbridge_worker_retries_total",
        "tollbridge_worker_split_batches_total",
    ] {
        ensure!(total(&pair, counted).await? == 0, "{counted}");
    }
    Ok(())
}

/// Locks the last user, lets a worker lock the first and wait for us, then asks for the first.
/// PostgreSQL ends one of both after its `deadlock_timeout`; returns whether it ended our session,
/// which happens if we ask too late.
async fn deadlock(pool: &PgPool, pair: &Pair, both: &[Event]) -> Result<bool> {
    let users: Vec<String> = sqlx::query_scalar("SELECT user_id FROM billing.app_user ORDER BY user_id")
        .fetch_all(pool)
        .await?;
    let one = "SELECT user_id FROM billing.app_user WHERE user_id = $1 FOR UPDATE";
    let mut ours = locked(pool, one, users.last().context("no users")?).await?;
    Senders::start(&pair.client, both, 2).finish().await?;
    eventually(DEADLINE, "the worker waits for our lock", async || {
        let waiting: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
        )
        .fetch_one(pool)
        .await?;
        ensure!(waiting == 1, "{waiting} wait");
        Ok(())
    })
    .await;
    let asked = sqlx::query(one).bind(&users[0]).fetch_one(&mut *ours).await;
    ours.rollback().await?;
    match asked {
        Ok(_) => Ok(false),
        Err(error) => {
            let deadlock = error
                .as_database_error()
                .is_some_and(|e| e.code().as_deref() == Some("40P01"));
            ensure!(deadlock, "{error}");
            Ok(true)
        }
    }
}

/// One customer's changes come from everywhere at once, and others' too.
#[tokio::test]
async fn workers_that_meet_at_the_same_customers_lose_no_update() -> Result<()> {
    let env = TestEnv::new("concurrency_meet").await?;
    let setup = Setup::default()
        .workers(3)
        .worker("BATCH_SIZE", "7")
        .worker("LANES", "4");
    let pair = Pair::start(&env, setup).await?;
    let events = lives(env.namespace(), 12);
    let mut posts = JoinSet::new();
    for sender in 0..8 {
        let (client, mut events) = (pair.client.clone(), events.clone());
        // Everybody posts everything, each from another place on.
        let length = events.len();
        events.rotate_left(sender * length / 8);
        posts.spawn(async move {
            for event in &events {
                deliver(&client, event).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(post) = posts.join_next().await {
        post??;
    }
    all_applied(env.pool(), &ids(&events), DEADLINE).await?;
    eventually(DEADLINE, "every copy is settled", async || {
        ensure!(pair.settled().await? == i64::try_from(8 * events.len())?);
        Ok(())
    })
    .await;
    let rows = sqlx::query("SELECT user_id, tier, is_canceling, ever_paid FROM billing.entitlements")
        .fetch_all(env.pool())
        .await?;
    ensure!(rows.len() == 12, "{} rows", rows.len());
    for row in rows {
        let (tier, canceling, ever_paid): (String, bool, bool) = (row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
        ensure!((tier.as_str(), canceling, ever_paid) == ("max", true, true), "{row:?}");
    }
    ensure!(total(&pair, "tollbridge_worker_retries_total").await? == 0);
    ensure!(pair.dead_letters(&[]).await?.is_empty(), "something is dead");
    Ok(())
}
