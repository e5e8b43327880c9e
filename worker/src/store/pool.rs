//! The connection pool, the migrations, and whether the database can be used.

use crate::config::Database;
use sqlx::{
    PgPool, Row,
    migrate::{MigrateError, Migrator},
    postgres::{PgConnectOptions, PgPoolOptions},
};
use std::{str::FromStr, time::Duration};

/// The schema, as this build knows it.
pub static MIGRATIONS: Migrator = sqlx::migrate!("../migrations");

/// Opens a pool; connects only when the first connection is asked for.
pub fn open(database: &Database) -> Result<PgPool, shared::settings::SettingError> {
    let wrong = |_| {
        // The parser's own message may repeat the URL, and with it the password.
        shared::settings::SettingError::new(
            "DATABASE_URL",
            "is not a PostgreSQL URL; write postgres://user:password@host:5432/database",
        )
    };
    let options = PgConnectOptions::from_str(database.url.expose())
        .map_err(wrong)?
        .application_name("tollbridge worker")
        .options([
            ("statement_timeout", database.statement_timeout.as_millis().to_string()),
            ("lock_timeout", database.lock_timeout.as_millis().to_string()),
            // A transaction that its owner forgot holds locks that nobody waits for in vain.
            ("idle_in_transaction_session_timeout", "60000".to_owned()),
        ]);
    Ok(PgPoolOptions::new()
        .max_connections(database.pool_size)
        .acquire_timeout(Duration::from_secs(5))
        // A begin that was cancelled may leave its transaction open, and the next
        // borrower's writes would vanish with it (transact-rs/sqlx#4385). Outside
        // of a transaction the two times are the same instant; such a connection
        // is closed rather than lent again.
        .after_release(|connection, _| {
            Box::pin(async move {
                let row = sqlx::query("SELECT now() = statement_timestamp() AS idle")
                    .fetch_one(connection)
                    .await?;
                row.try_get("idle")
            })
        })
        .connect_lazy_with(options))
}

/// Brings the schema up to date. Replicas that do it at once wait for each other.
pub async fn migrate(pool: &PgPool) -> Result<(), MigrateError> {
    MIGRATIONS.run(pool).await
}

/// Why the database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NotReady {
    /// It does not answer, or not as it should.
    #[error("the database does not answer: {0}")]
    Away(#[from] sqlx::Error),
    /// It is older than this program.
    #[error("the schema is not up to date ({applied} of {known} migrations); run `worker migrate`")]
    Behind {
        /// Migrations that were applied.
        applied: usize,
        /// Migrations that this build knows.
        known: usize,
    },
}

/// Whether the database answers and has every migration that this build knows.
pub async fn ready(pool: &PgPool) -> Result<(), NotReady> {
    let known: Vec<i64> = MIGRATIONS.iter().map(|m| m.version).collect();
    let applied = match sqlx::query_scalar::<_, i64>("SELECT version FROM billing.migration WHERE success")
        .fetch_all(pool)
        .await
    {
        Ok(applied) => applied,
        // Neither the schema nor the table exist before the first migration.
        Err(sqlx::Error::Database(e)) if matches!(e.code().as_deref(), Some("42P01" | "3F000")) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let missing = known.iter().filter(|v| !applied.contains(v)).count();
    if missing == 0 {
        Ok(())
    } else {
        Err(NotReady::Behind {
            applied: known.len() - missing,
            known: known.len(),
        })
    }
}
