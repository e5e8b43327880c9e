//! Facts, and the lock under which they are folded.

use super::{accounts_as_text, unreadable, written};
use crate::domain::{fact::Fact, ids::AccountId};
use sqlx::PgConnection;

/// Locks the accounts, which must be sorted, until the transaction ends.
pub async fn lock_accounts(connection: &mut PgConnection, accounts: &[AccountId]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO billing.account AS known (account) SELECT * FROM UNNEST($1::text[])
         ON CONFLICT (account) DO UPDATE SET folds = known.folds + 1",
        &accounts_as_text(accounts),
    )
    .execute(connection)
    .await
    .map(|_| ())
}

/// All facts of the accounts, in no particular order.
pub async fn load(connection: &mut PgConnection, accounts: &[AccountId]) -> Result<Vec<Fact>, sqlx::Error> {
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

/// Keeps new facts.
pub async fn insert(connection: &mut PgConnection, facts: &[&Fact]) -> Result<(), sqlx::Error> {
    let ids: Vec<&str> = facts.iter().map(|f| f.event_id.as_str()).collect();
    let accounts: Vec<&str> = facts.iter().map(|f| f.account.as_str()).collect();
    let created: Vec<i64> = facts.iter().map(|f| f.created).collect();
    let bodies = facts.iter().map(written).collect::<Result<Vec<_>, _>>()?;
    sqlx::query!(
        "INSERT INTO billing.fact (event_id, account, created, body)
         SELECT event_id, account, to_timestamp(created), body::json
         FROM UNNEST($1::text[], $2::text[], $3::bigint[], $4::text[]) AS t (event_id, account, created, body)",
        &ids as &[&str],
        &accounts as &[&str],
        &created,
        &bodies,
    )
    .execute(connection)
    .await
    .map(|_| ())
}
