//! sqlx 0.9.0 may put a connection back into the pool in the middle of a transaction
//! (transact-rs/sqlx#4385). Our pool closes such a connection and keeps every other.

use anyhow::{Result, ensure};
use shared::settings::Secret;
use sqlx::{PgConnection, PgPool};
use std::time::Duration;
use tests::harness::TestEnv;
use worker::store::{pool, settings::Database};

/// The worker's own pool of so many connections to the database of `env`, with a table in it.
async fn stage(env: &TestEnv, connections: u32) -> Result<PgPool> {
    sqlx::raw_sql("CREATE TABLE mark (number bigint)")
        .execute(env.pool())
        .await?;
    Ok(pool::open(&Database {
        url: Secret::new(env.database_url()),
        pool_size: connections,
        statement_timeout: Duration::from_secs(10),
        lock_timeout: Duration::from_secs(5),
    })?)
}

async fn write(connection: &mut PgConnection, number: i64) -> Result<()> {
    let insert = sqlx::query("INSERT INTO mark VALUES ($1)").bind(number);
    insert.execute(connection).await?;
    Ok(())
}

async fn backend(connection: &mut PgConnection) -> Result<i32> {
    Ok(sqlx::query_scalar("SELECT pg_backend_pid()")
        .fetch_one(connection)
        .await?)
}

/// What others see.
async fn written(env: &TestEnv) -> Result<Vec<i64>> {
    let numbers = sqlx::query_scalar("SELECT number FROM mark ORDER BY number");
    Ok(numbers.fetch_all(env.pool()).await?)
}

#[tokio::test]
async fn a_connection_returned_inside_a_transaction_is_not_lent_again() -> Result<()> {
    let env = TestEnv::new("pool_open").await?;
    let pool = stage(&env, 1).await?;
    for begin in ["BEGIN", "BEGIN; SELECT 1", "BEGIN; SAVEPOINT within"] {
        let mut connection = pool.acquire().await?;
        let before = backend(&mut connection).await?;
        sqlx::raw_sql(begin).execute(&mut *connection).await?;
        write(&mut connection, 1).await?;
        drop(connection);
        let mut connection = pool.acquire().await?;
        ensure!(backend(&mut connection).await? != before, "{begin}: lent again");
        write(&mut connection, 2).await?;
    }
    ensure!(written(&env).await? == [2, 2, 2], "{:?}", written(&env).await?);
    Ok(())
}

#[tokio::test]
async fn a_connection_that_failed_in_a_transaction_is_not_lent_again() -> Result<()> {
    let env = TestEnv::new("pool_failed").await?;
    let pool = stage(&env, 1).await?;
    let mut connection = pool.acquire().await?;
    sqlx::raw_sql("BEGIN").execute(&mut *connection).await?;
    ensure!(sqlx::raw_sql("SELECT 1 / 0").execute(&mut *connection).await.is_err());
    drop(connection);
    write(&mut *pool.acquire().await?, 1).await?;
    ensure!(written(&env).await? == [1]);
    Ok(())
}

#[tokio::test]
async fn a_connection_without_a_transaction_is_kept() -> Result<()> {
    let env = TestEnv::new("pool_kept").await?;
    let pool = stage(&env, 1).await?;
    let first = backend(&mut *pool.acquire().await?).await?;
    write(&mut *pool.acquire().await?, 1).await?;
    let mut transaction = pool.begin().await?;
    write(&mut transaction, 2).await?;
    transaction.commit().await?;
    let mut transaction = pool.begin().await?;
    write(&mut transaction, 3).await?;
    drop(transaction);
    let failed = sqlx::raw_sql("SELECT 1 / 0").execute(&pool).await;
    ensure!(failed.is_err());
    ensure!(
        backend(&mut *pool.acquire().await?).await? == first,
        "closed without need"
    );
    ensure!(written(&env).await? == [1, 2], "{:?}", written(&env).await?);
    Ok(())
}

/// Begun and given up at every moment from before the first byte to after the answer.
#[tokio::test]
async fn a_begin_that_was_given_up_takes_no_later_write_with_it() -> Result<()> {
    const TIMES: i64 = 300;
    let env = TestEnv::new("pool_cancelled").await?;
    let pool = stage(&env, 2).await?;
    let mut given_up = 0;
    for number in 0..TIMES {
        let patience = Duration::from_micros(u64::try_from(number)? * 5);
        let begun = tokio::time::timeout(patience, pool.begin()).await;
        given_up += u32::from(begun.is_err());
        drop(begun);
        write(&mut *pool.acquire().await?, number).await?;
    }
    ensure!(given_up > 0, "every begin was in time");
    let expected: Vec<i64> = (0..TIMES).collect();
    ensure!(
        written(&env).await? == expected,
        "{} of {TIMES} writes are there",
        written(&env).await?.len()
    );
    Ok(())
}
