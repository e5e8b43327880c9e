//! Reads that see the database at one moment, while workers write.

use sqlx::{PgPool, Postgres, Transaction};

/// Begins a read-only transaction. All its statements see the database as it is at
/// the first one. Keep it short: PostgreSQL cannot vacuum what it still sees.
pub async fn begin(pool: &PgPool) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await
}
