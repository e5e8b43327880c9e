//! What is known of a user.

use super::{accounts_as_text, unreadable};
use crate::domain::{
    fact::Fact,
    ids::{AccountId, EventId, UserId},
};
use sqlx::PgConnection;
use std::collections::BTreeMap;

/// The accounts that have a subscription of the user, or whose customer is said
/// to be them; sorted. The latter have no index, which would cost every worker
/// more than reading all accounts costs an operator now and then.
pub async fn accounts_of(connection: &mut PgConnection, user: &UserId) -> Result<Vec<AccountId>, sqlx::Error> {
    let rows = sqlx::query_scalar!(
        r#"SELECT account AS "account!" FROM billing.subscription WHERE user_id = $1
           UNION
           SELECT account FROM billing.account WHERE claim ->> 'user' = $1
           ORDER BY 1"#,
        user.as_str(),
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(AccountId::new).collect())
}

/// All facts of the accounts, in no particular order, and the types of their events.
pub async fn told_of(
    connection: &mut PgConnection,
    accounts: &[AccountId],
) -> Result<(Vec<Fact>, BTreeMap<EventId, String>), sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT f.event_id AS "event_id!", e.event_type AS "event_type?", f.body::text AS "body!"
           FROM billing.fact f LEFT JOIN billing.event e USING (event_id) WHERE f.account = ANY($1)"#,
        &accounts_as_text(accounts),
    )
    .fetch_all(connection)
    .await?;
    let mut facts = Vec::with_capacity(rows.len());
    let mut types = BTreeMap::new();
    for row in rows {
        facts.push(serde_json::from_str(&row.body).map_err(|e| unreadable("fact", &row.event_id, &e))?);
        types.extend(row.event_type.map(|kind| (EventId::new(row.event_id), kind)));
    }
    Ok((facts, types))
}
