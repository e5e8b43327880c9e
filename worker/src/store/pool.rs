//! The connection pool, the migrations, and whether the database can be used.

use super::settings::{Database, unreadable_url};
use shared::settings::SettingError;
use sqlx::{
    PgPool, Row,
    migrate::{MigrateError, Migrator},
    postgres::{PgConnectOptions, PgPoolOptions},
};
use std::{str::FromStr, time::Duration};

/// The schema, as this build knows it.
pub static MIGRATIONS: Migrator = sqlx::migrate!("../migrations");

/// Opens a pool. It connects when the first connection is needed.
///
/// # Errors
/// When the URL cannot be read.
pub fn open(database: &Database) -> Result<PgPool, SettingError> {
    let url = database.url.expose();
    // The parser itself accepts any scheme.
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err(unreadable_url());
    }
    let options = PgConnectOptions::from_str(url)
        .map_err(|_| unreadable_url())?
        .application_name("tollbridge worker")
        .options([
            ("statement_timeout", database.statement_timeout.as_millis().to_string()),
            ("lock_timeout", database.lock_timeout.as_millis().to_string()),
            // Every statement here looks rows up by key. A plan made while the tables were
            // small, or one for each batch, would be slower, and a scan is never better.
            ("plan_cache_mode", "force_generic_plan".to_owned()),
            ("enable_seqscan", "off".to_owned()),
            ("jit", "off".to_owned()),
            // In milliseconds: a transaction that was forgotten must not keep its locks.
            ("idle_in_transaction_session_timeout", "60000".to_owned()),
        ]);
    Ok(PgPoolOptions::new()
        .max_connections(database.pool_size)
        .acquire_timeout(Duration::from_secs(5))
        // A begin that was cancelled may leave its transaction open, and the next
        // borrower's writes would vanish with it (transact-rs/sqlx#4385). So such a
        // connection is closed. Outside of a transaction both times are those of this
        // statement, if it is sent as a simple query: the extended protocol begins a
        // transaction of its own before it executes.
        .after_release(|connection, _| {
            Box::pin(async move {
                let idle = sqlx::raw_sql("SELECT now() = statement_timestamp() AS idle")
                    .fetch_one(connection)
                    .await?;
                idle.try_get("idle")
            })
        })
        .connect_lazy_with(options))
}

/// Brings the schema up to date. Replicas that do it at the same time wait for each other.
pub async fn migrate(pool: &PgPool) -> Result<(), MigrateError> {
    // Not from the pool: the setting below ends with this connection.
    let mut connection = pool.acquire().await?.detach();
    // sqlx creates its table "if not exists". PostgreSQL would report that as a notice each time.
    sqlx::raw_sql("SET client_min_messages = warning")
        .execute(&mut connection)
        .await?;
    MIGRATIONS.run(&mut connection).await
}

/// Why the database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NotReady {
    /// It does not answer, or with an error. The error is part of the message, not a
    /// source, so that a log line that prints the whole chain names it once.
    #[error("the database does not answer: {0}")]
    NoAnswer(sqlx::Error),
    /// It accepts no writes.
    #[error("the database is read-only, perhaps a standby")]
    ReadOnly,
    /// Its schema is older than this program.
    #[error("the schema is not up to date ({applied} of {known} migrations); run `worker migrate`")]
    Behind {
        /// Migrations that were applied.
        applied: usize,
        /// Migrations that this build contains.
        known: usize,
    },
}

impl From<sqlx::Error> for NotReady {
    fn from(error: sqlx::Error) -> Self {
        Self::NoAnswer(error)
    }
}

/// Checks that the database answers, accepts writes, and has every migration of this build.
///
/// # Errors
/// The first of these that fails.
pub async fn ready(pool: &PgPool) -> Result<(), NotReady> {
    let known: Vec<i64> = MIGRATIONS.iter().map(|m| m.version).collect();
    let applied = match sqlx::query_scalar::<_, i64>("SELECT version FROM billing.migration WHERE success")
        .fetch_all(pool)
        .await
    {
        Ok(applied) => applied,
        // Before the first migration there is no table, or not even a schema.
        Err(sqlx::Error::Database(e)) if matches!(e.code().as_deref(), Some("42P01" | "3F000")) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let missing = known.iter().filter(|v| !applied.contains(v)).count();
    let read_only: String = sqlx::query_scalar("SHOW transaction_read_only").fetch_one(pool).await?;
    if read_only == "on" {
        return Err(NotReady::ReadOnly);
    }
    if missing == 0 {
        Ok(())
    } else {
        Err(NotReady::Behind {
            applied: known.len() - missing,
            known: known.len(),
        })
    }
}
