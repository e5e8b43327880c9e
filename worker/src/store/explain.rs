//! What is known of a user.

use super::{accounts_as_text, balance, unreadable};
use crate::domain::{
    explain::Recorded,
    fact::{Fact, Seconds},
    ids::{AccountId, EventId, UserId},
    purse::Change,
    wallet::Entry,
};
use sqlx::PgConnection;
use std::collections::BTreeMap;

/// The accounts that have a subscription or a pack of the user, or whose
/// customer is said to be them; sorted.
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
    let rows = sqlx::query_as!(
        Line,
        r#"SELECT meter, kind, cause, at, amount, used, rollover, purchased, 1::bigint AS "count!" FROM billing.ledger
           WHERE user_id = $1 AND kind IN ('usage', 'correction') ORDER BY at, recorded_at, cause, period"#,
        user.as_str(),
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().filter_map(Line::entry).collect())
}

/// The same of a user who may have any number of usages: the newest as they are,
/// older ones summed up between the `cuts` of their story, so that all they come
/// to stays right; and the newest corrections.
pub async fn recorded_in_short(
    connection: &mut PgConnection,
    user: &UserId,
    cuts: &[Seconds],
    newest: i64,
) -> Result<Vec<Recorded>, sqlx::Error> {
    let rows = sqlx::query_as!(
        Line,
        r#"WITH edge AS (
               SELECT coalesce((
                   SELECT at FROM billing.ledger WHERE user_id = $1 AND kind = 'usage'
                   ORDER BY at DESC OFFSET $3 LIMIT 1), -9223372036854775808) AS at
           ), line AS (
               (SELECT meter, kind, cause, at, recorded_at, period, amount, used, rollover, purchased, 1::bigint AS count
                FROM billing.ledger WHERE user_id = $1 AND kind = 'usage' AND at > (SELECT at FROM edge))
               UNION ALL
               (SELECT meter, min(kind), min(cause), min(at), min(recorded_at), '', least(sum(amount), 9223372036854775807)::bigint, least(sum(used), 9223372036854775807)::bigint,
                       least(sum(rollover), 9223372036854775807)::bigint, least(sum(purchased), 9223372036854775807)::bigint, count(*)
                FROM billing.ledger WHERE user_id = $1 AND kind = 'usage' AND at <= (SELECT at FROM edge)
                GROUP BY meter, coalesce(width_bucket(at, $2::bigint[]), 0))
               UNION ALL
               (SELECT meter, kind, cause, at, recorded_at, period, amount, used, rollover, purchased, 1
                FROM billing.ledger WHERE user_id = $1 AND kind = 'correction' ORDER BY at DESC LIMIT $3)
           )
           SELECT meter AS "meter!", kind AS "kind!", cause AS "cause!", at AS "at!", amount AS "amount!",
                  used AS "used!", rollover AS "rollover!", purchased AS "purchased!", count AS "count!"
           FROM line ORDER BY at, recorded_at, cause, period"#,
        user.as_str(),
        cuts,
        newest,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().filter_map(Line::entry).collect())
}

/// A line of the ledger, or the sum of some.
struct Line {
    meter: String,
    kind: String,
    cause: String,
    at: i64,
    amount: i64,
    used: i64,
    rollover: i64,
    purchased: i64,
    count: i64,
}

impl Line {
    fn entry(self) -> Option<Recorded> {
        let cause = match self.count {
            1 => self.cause,
            many => format!("({many} reports, summed up)"),
        };
        Some(Recorded {
            meter: self.meter,
            entry: Entry {
                at: self.at,
                kind: balance::kind(&self.kind)?,
                cause,
                amount: self.amount,
                change: Change {
                    used: self.used,
                    rollover: self.rollover,
                    purchased: self.purchased,
                },
            },
        })
    }
}
