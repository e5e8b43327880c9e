//! Reads what `worker explain` and the console show about a user.

use super::{
    convert::{accounts_as_text, unreadable},
    ledger,
};
use crate::domain::{
    balance::{timeline::TimelineEntry, waterfall::BalanceChange},
    explain::{EARLIER_USAGE, LedgerRecord},
    fact::{Fact, Seconds},
    ids::{AccountId, EventId, UserId},
};
use sqlx::PgConnection;
use std::collections::BTreeMap;

/// The accounts of a user, sorted: those with a subscription that is or was the user's, or
/// a pack, and those whose owner claim names the user.
pub async fn accounts_of(connection: &mut PgConnection, user: &UserId) -> Result<Vec<AccountId>, sqlx::Error> {
    let rows = sqlx::query_scalar!(
        r#"SELECT account AS "account!" FROM billing.subscription WHERE user_id = $1
           UNION SELECT account FROM billing.subscription WHERE past_users <> '{}' AND past_users && ARRAY[$1]
           UNION SELECT account FROM billing.pack WHERE user_id = $1
           UNION SELECT account FROM billing.account WHERE owner_claim ->> 'user' = $1
           ORDER BY 1"#,
        user.as_str(),
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(AccountId::new).collect())
}

/// All facts of the accounts and of the accounts' payments, in any order, with the ranks in
/// force, and the types of their events.
pub async fn facts_of(
    connection: &mut PgConnection,
    accounts: &[AccountId],
) -> Result<(Vec<Fact>, BTreeMap<EventId, String>), sqlx::Error> {
    let ranks = super::catalog::ranks(connection).await?;
    let rows = sqlx::query!(
        r#"WITH own AS (
               SELECT event_id, body, payment FROM billing.fact WHERE account = ANY($1)
           )
           SELECT f.event_id AS "event_id!", e.event_type AS "event_type?", f.body::text AS "body!"
           FROM (
               SELECT event_id, body FROM own
               UNION ALL
               SELECT event_id, body FROM billing.fact
               WHERE account <> ALL($1) AND payment IN (
                   SELECT payment FROM own UNION SELECT payment FROM billing.payment WHERE account = ANY($1))
           ) AS f LEFT JOIN billing.event e USING (event_id)"#,
        &accounts_as_text(accounts),
    )
    .fetch_all(connection)
    .await?;
    let mut facts = Vec::with_capacity(rows.len());
    let mut types = BTreeMap::new();
    for row in rows {
        let mut fact = serde_json::from_str(&row.body).map_err(|e| unreadable("fact", &row.event_id, &e))?;
        ranks.put_in_force(&mut fact);
        facts.push(fact);
        types.extend(row.event_type.map(|kind| (EventId::new(row.event_id), kind)));
    }
    Ok((facts, types))
}

/// The ledger's usage and corrections of a user, in order of time.
pub async fn recorded_of(connection: &mut PgConnection, user: &UserId) -> Result<Vec<LedgerRecord>, sqlx::Error> {
    let rows = sqlx::query_as!(
        LedgerRow,
        r#"SELECT meter, kind, cause, at, amount, used, rollover, purchased FROM billing.ledger
           WHERE user_id = $1 AND kind IN ('usage', 'correction') ORDER BY at, recorded_at, cause, period"#,
        user.as_str(),
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().filter_map(LedgerRow::entry).collect())
}

/// The same in a bounded number of entries: the `newest` usage rows and corrections
/// as they are, and older usage summed up between the `cuts` of the user's timeline,
/// so that totals stay right. Older usage comes from `billing.ledger_sum`; single rows
/// are read only in hours that contain a cut.
pub async fn recorded_in_short(
    connection: &mut PgConnection,
    user: &UserId,
    cuts: &[Seconds],
    newest: i64,
) -> Result<Vec<LedgerRecord>, sqlx::Error> {
    // LATERAL makes PostgreSQL look rows up by the index, even if its statistics are wrong.
    let rows = sqlx::query_as!(
        LedgerRow,
        r#"WITH sum AS MATERIALIZED (
               SELECT *, coalesce(width_bucket(first_at, $2::bigint[]), 0) AS cell,
                      coalesce(width_bucket(last_at, $2::bigint[]), 0) AS last_cell
               FROM billing.ledger_sum WHERE user_id = $1
           ), meter AS MATERIALIZED (
               SELECT DISTINCT meter FROM sum
           ), newest AS MATERIALIZED (
               SELECT line.* FROM meter, LATERAL (
                   SELECT * FROM billing.ledger l WHERE user_id = $1 AND l.meter = meter.meter AND kind = 'usage'
                   ORDER BY at DESC LIMIT $3::bigint + 1) AS line
               ORDER BY at DESC LIMIT $3::bigint + 1
           ), edge AS MATERIALIZED (
               SELECT coalesce((SELECT at FROM newest ORDER BY at DESC OFFSET $3 LIMIT 1), -9223372036854775808) AS at
           ), shown AS (
               SELECT * FROM newest WHERE at > (SELECT at FROM edge)
           ), shown_of AS (
               SELECT meter, at / 3600 AS hour, period, sum(amount) AS amount FROM shown GROUP BY 1, 2, 3
           ), earlier AS (
               SELECT meter, cell, first_at AS at, sum.amount - coalesce(shown_of.amount, 0) AS amount
               FROM sum LEFT JOIN shown_of USING (meter, hour, period)
               WHERE cell = last_cell AND first_at <= (SELECT at FROM edge)
               UNION ALL
               SELECT line.meter, width_bucket(line.at, $2::bigint[]), line.at, line.amount
               FROM (SELECT * FROM sum WHERE cell <> last_cell) AS cut_through, LATERAL (
                   SELECT * FROM billing.ledger l
                   WHERE user_id = $1 AND l.meter = cut_through.meter AND kind = 'usage' AND l.period = cut_through.period
                         AND at BETWEEN first_at AND least(last_at, (SELECT at FROM edge)) OFFSET 0) AS line
           ), line AS (
               SELECT meter, kind, cause, at, recorded_at, period, amount, used, rollover, purchased FROM shown
               UNION ALL
               (SELECT line.meter, kind, cause, at, recorded_at, period, amount, used, rollover, purchased
                FROM meter, LATERAL (
                    SELECT * FROM billing.ledger l WHERE user_id = $1 AND l.meter = meter.meter AND kind = 'correction'
                    ORDER BY at DESC LIMIT $3) AS line
                ORDER BY at DESC LIMIT $3)
               UNION ALL
               SELECT meter, 'usage', $4, min(at), '-infinity', '',
                      least(sum(amount), 9223372036854775807)::bigint, 0, 0, 0
               FROM earlier GROUP BY meter, cell
           )
           SELECT meter AS "meter!", kind AS "kind!", cause AS "cause!", at AS "at!", amount AS "amount!",
                  used AS "used!", rollover AS "rollover!", purchased AS "purchased!"
           FROM line ORDER BY at, recorded_at, cause, period"#,
        user.as_str(),
        cuts,
        newest,
        EARLIER_USAGE,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().filter_map(LedgerRow::entry).collect())
}

/// A row of the ledger, or a sum of usage rows. A sum has zero in `used`, `rollover`
/// and `purchased`: the timeline computes these.
struct LedgerRow {
    meter: String,
    kind: String,
    cause: String,
    at: i64,
    amount: i64,
    used: i64,
    rollover: i64,
    purchased: i64,
}

impl LedgerRow {
    fn entry(self) -> Option<LedgerRecord> {
        Some(LedgerRecord {
            meter: self.meter,
            entry: TimelineEntry {
                at: self.at,
                kind: ledger::kind(&self.kind)?,
                cause: self.cause,
                amount: self.amount,
                change: BalanceChange {
                    used: self.used,
                    rollover: self.rollover,
                    purchased: self.purchased,
                },
            },
        })
    }
}
