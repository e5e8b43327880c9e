//! Accounts: their folded state, and the lock that folding needs.

use super::{
    convert::{accounts_as_text, unreadable},
    subscription,
};
use crate::domain::{
    ids::AccountId,
    subscription::{account::Account, state::VERSION},
};
use sqlx::PgConnection;
use std::{collections::BTreeMap, time::Duration};

/// Locks these accounts until the transaction ends. `accounts` must be sorted. An
/// account without a row is skipped.
pub async fn lock(connection: &mut PgConnection, accounts: &[AccountId]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "SELECT account FROM billing.account WHERE account = ANY($1) ORDER BY account FOR UPDATE",
        &accounts_as_text(accounts),
    )
    .fetch_all(connection)
    .await
    .map(|_| ())
}

/// Locks one account until the transaction ends. Waits at most `limit` for it;
/// false after that, and then the transaction can only be rolled back.
pub async fn wait_for(
    connection: &mut PgConnection,
    account: &AccountId,
    limit: Duration,
) -> Result<bool, sqlx::Error> {
    let limit = limit.as_millis().to_string();
    sqlx::query!("SELECT set_config('lock_timeout', $1, true)", limit)
        .fetch_one(&mut *connection)
        .await?;
    match lock(connection, std::slice::from_ref(account)).await {
        Err(error) if is_lock_timeout(&error) => return Ok(false),
        done => done?,
    }
    // The short limit is for this lock alone.
    sqlx::query!("SET LOCAL lock_timeout TO DEFAULT")
        .execute(connection)
        .await?;
    Ok(true)
}

/// PostgreSQL's error `lock_not_available` ("PostgreSQL Error Codes").
fn is_lock_timeout(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .is_some_and(|e| e.code().as_deref() == Some("55P03"))
}

/// The folded state of these accounts. They must be locked. `version` is that of the ranks
/// in force.
pub async fn load(
    connection: &mut PgConnection,
    accounts: &[AccountId],
    version: i32,
) -> Result<BTreeMap<AccountId, Account>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT account AS "account!", NULL AS subscription_id, owner_claim::text AS state, version, has_returns
           FROM billing.account WHERE account = ANY($1)
           UNION ALL
           SELECT account, subscription_id, state::text, NULL, NULL FROM billing.subscription WHERE account = ANY($1)"#,
        &accounts_as_text(accounts),
    )
    .fetch_all(connection)
    .await?;
    let mut known: BTreeMap<AccountId, Account> = BTreeMap::new();
    for row in rows {
        let account = known.entry(AccountId::new(row.account.as_str())).or_default();
        let Some(id) = row.subscription_id else {
            let claim = row.state.map(|claim| serde_json::from_str(&claim)).transpose();
            account.claim = claim.map_err(|e| unreadable("owner claim", &row.account, &e))?;
            account.is_outdated = row.version != Some(version);
            account.has_returns = row.has_returns.unwrap_or_default();
            continue;
        };
        if let Some(state) = row.state {
            account.subscriptions.push(subscription::read(&id, &state)?);
        }
    }
    for account in known.values_mut() {
        account.subscriptions.sort_by(|a, b| a.id.cmp(&b.id));
    }
    Ok(known)
}

/// The next accounts after `after` that were folded by other rules or ranks than those of
/// `version`, or have a subscription of another version.
pub async fn outdated(
    connection: &mut PgConnection,
    version: i32,
    after: &str,
    limit: i64,
) -> Result<Vec<AccountId>, sqlx::Error> {
    let rows = sqlx::query_scalar!(
        r#"SELECT account AS "account!" FROM billing.account WHERE account > $1 AND version IS DISTINCT FROM $2
           UNION
           SELECT account FROM billing.subscription
           WHERE account > $1 AND (state ->> 'version')::integer IS DISTINCT FROM $3
           ORDER BY 1 LIMIT $4"#,
        after,
        version,
        VERSION,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(AccountId::new).collect())
}
