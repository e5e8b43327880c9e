//! Reading at one moment, while workers run.

use sqlx::{PgPool, Postgres, Transaction};

/// Begins a transaction whose statements all see the database as it is at the
/// first of them, and that can write nothing. Keep it short: what it sees cannot
/// be vacuumed meanwhile.
pub async fn begin(pool: &PgPool) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await
}
