//! Stored facts.

use super::convert::{accounts_as_text, column, to_json, unreadable};
use crate::domain::{fact::Fact, ids::AccountId, subscription::ranks::Ranks};
use sqlx::PgConnection;

fn read(event: &str, body: &str, ranks: &Ranks) -> Result<Fact, sqlx::Error> {
    let mut fact: Fact = serde_json::from_str(body).map_err(|e| unreadable("fact", event, &e))?;
    ranks.put_in_force(&mut fact);
    Ok(fact)
}

/// All facts that concern the accounts, in any order: their own, and those about their
/// returned payments. They have the ranks in force.
pub async fn of_accounts(
    connection: &mut PgConnection,
    accounts: &[AccountId],
    ranks: &Ranks,
) -> Result<Vec<Fact>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT event_id AS "event_id!", body::text AS "body!" FROM billing.fact WHERE account = ANY($1)
           UNION ALL
           SELECT event_id, body::text FROM billing.fact
           WHERE payment IN (SELECT payment FROM billing.payment WHERE account = ANY($1)) AND account <> ALL($1)"#,
        &accounts_as_text(accounts),
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| read(&row.event_id, &row.body, ranks))
        .collect()
}

/// The facts about these payments that belong to other accounts than `but_of`.
pub async fn of_payments(
    connection: &mut PgConnection,
    payments: &[&str],
    but_of: &[AccountId],
    ranks: &Ranks,
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
        .map(|row| read(&row.event_id, &row.body, ranks))
        .collect()
}

/// Overwrites facts that this transaction has just stored.
pub async fn rewrite(connection: &mut PgConnection, facts: &[Fact]) -> Result<(), sqlx::Error> {
    let bodies = facts.iter().map(to_json).collect::<Result<Vec<_>, _>>()?;
    sqlx::query!(
        "UPDATE billing.fact SET body = t.body::json FROM UNNEST($1::text[], $2::text[]) AS t (event_id, body)
         WHERE fact.event_id = t.event_id",
        &column(facts, |f| f.event_id.as_str()) as &[&str],
        &bodies,
    )
    .execute(connection)
    .await
    .map(|_| ())
}
