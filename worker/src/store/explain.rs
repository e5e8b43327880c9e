//! What is known of a user.

use super::{accounts_as_text, balance, unreadable};
use crate::domain::{
    explain::Recorded,
    fact::Fact,
    ids::{AccountId, EventId, UserId},
    purse::Change,
    wallet::Entry,
};
use sqlx::PgConnection;
use std::collections::BTreeMap;

/// The accounts that have a subscription or a pack of the user, or whose
/// customer is said to be them; sorted. The last have no index, which would cost
/// every worker more than reading all accounts costs an operator now and then.
pub async fn accounts_of(connection: &mut PgConnection, user: &UserId) -> Result<Vec<AccountId>, sqlx::Error> {
    let rows = sqlx::query_scalar!(
        r#"SELECT account AS "account!" FROM billing.subscription WHERE user_id = $1
           UNION SELECT account FROM billing.pack WHERE user_id = $1
           UNION SELECT account FROM billing.account WHERE claim ->> 'user' = $1
           ORDER BY 1"#,
        user.as_str(),
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(AccountId::new).collect())
}

/// All facts of the accounts, and of the payments of these, in no particular
/// order, and the types of their events.
pub async fn told_of(
    connection: &mut PgConnection,
    accounts: &[AccountId],
) -> Result<(Vec<Fact>, BTreeMap<EventId, String>), sqlx::Error> {
    let rows = sqlx::query!(
        r#"WITH own AS (
               SELECT event_id, body, payment FROM billing.fact WHERE account = ANY($1)
           )
           SELECT f.event_id AS "event_id!", e.event_type AS "event_type?", f.body::text AS "body!"
           FROM (
               SELECT event_id, body FROM own
               UNION ALL
               SELECT event_id, body FROM billing.fact
               WHERE payment IN (SELECT payment FROM own) AND account <> ALL($1)
           ) AS f LEFT JOIN billing.event e USING (event_id)"#,
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

/// The usage of a user, and what was corrected of their balances; in order.
pub async fn recorded_of(connection: &mut PgConnection, user: &UserId) -> Result<Vec<Recorded>, sqlx::Error> {
    let rows = sqlx::query!(
        "SELECT meter, kind, cause, at, amount, used, rollover, purchased FROM billing.ledger
         WHERE user_id = $1 AND kind IN ('usage', 'correction') ORDER BY at, recorded_at, cause, period",
        user.as_str(),
    )
    .fetch_all(connection)
    .await?;
    let recorded = rows.into_iter().filter_map(|r| {
        Some(Recorded {
            meter: r.meter,
            entry: Entry {
                at: r.at,
                kind: balance::kind(&r.kind)?,
                cause: r.cause,
                amount: r.amount,
                change: Change {
                    used: r.used,
                    rollover: r.rollover,
                    purchased: r.purchased,
                },
            },
        })
    });
    Ok(recorded.collect())
}
