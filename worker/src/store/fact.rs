//! Facts.

use super::{accounts_as_text, unreadable};
use crate::domain::{fact::Fact, ids::AccountId};
use sqlx::PgConnection;

/// All facts of the accounts, in no particular order.
pub async fn of_accounts(connection: &mut PgConnection, accounts: &[AccountId]) -> Result<Vec<Fact>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT event_id, body::text AS "body!" FROM billing.fact WHERE account = ANY($1)"#,
        &accounts_as_text(accounts),
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| serde_json::from_str(&row.body).map_err(|e| unreadable("fact", &row.event_id, &e)))
        .collect()
}

/// All facts about the payments that are not of these accounts.
pub async fn of_payments(
    connection: &mut PgConnection,
    payments: &[&str],
    but_of: &[AccountId],
) -> Result<Vec<Fact>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT event_id, body::text AS "body!" FROM billing.fact
           WHERE payment = ANY($1) AND account <> ALL($2)"#,
        payments as &[&str],
        &accounts_as_text(but_of),
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| serde_json::from_str(&row.body).map_err(|e| unreadable("fact", &row.event_id, &e)))
        .collect()
}
