//! The ledger row by row, and `billing.ledger_sum`.

use crate::{
    domain::{
        balance::{
            ledger::RecordedLines,
            timeline::{EntryKind, UsageSum},
            waterfall::BalanceChange,
        },
        fact::Seconds,
        ids::UserId,
    },
    store::{
        balance::ByMeter,
        convert::{column, users_as_text},
        ledger::{kind, window},
    },
};
use sqlx::PgConnection;

/// What the rows of the ledger record of these users, without `billing.ledger_sum`: sums
/// by period, causes, and usage summed up between the cuts of each user's timeline.
/// `cuts` must be sorted.
pub async fn lines(
    connection: &mut PgConnection,
    users: &[UserId],
    cuts: &[(&UserId, Seconds)],
) -> Result<ByMeter<RecordedLines>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"WITH cut AS (
               SELECT user_id, array_agg(cut ORDER BY cut) AS cuts
               FROM UNNEST($2::text[], $3::bigint[]) AS t (user_id, cut) GROUP BY user_id
           ), line AS (
               SELECT l.*, CASE WHEN kind = 'usage' THEN coalesce(width_bucket(at, cuts), 0) END AS cell
               FROM billing.ledger l LEFT JOIN cut USING (user_id) WHERE user_id = ANY($1)
           )
           SELECT user_id AS "user!", meter AS "meter!", period AS "period!", cell, min(at) AS "at!",
                  sum(amount)::bigint AS "amount!", sum(used)::bigint AS "used!", sum(rollover)::bigint AS "rollover!",
                  sum(purchased)::bigint AS "purchased!",
                  coalesce(array_agg(kind) FILTER (WHERE cell IS NULL), '{}') AS "kinds!",
                  coalesce(array_agg(cause) FILTER (WHERE cell IS NULL), '{}') AS "causes!"
           FROM line GROUP BY user_id, meter, period, cell"#,
        &users_as_text(users),
        &column(cuts, |(user, _)| user.as_str()) as &[&str],
        &column(cuts, |(_, cut)| *cut),
    )
    .fetch_all(connection)
    .await?;
    let mut by_meter = ByMeter::<RecordedLines>::new();
    for row in rows {
        let lines = by_meter
            .entry(UserId::new(row.user))
            .or_default()
            .entry(row.meter)
            .or_default();
        let sum = lines.sums.entry(window(&row.period)).or_default();
        let change = BalanceChange {
            used: row.used,
            rollover: row.rollover,
            purchased: row.purchased,
        };
        *sum = sum.plus(change).map_err(|e| sqlx::Error::Decode(e.into()))?;
        if row.cell.is_some() {
            lines.usage.push(UsageSum {
                at: row.at,
                amount: row.amount,
            });
        }
        let causes = row.kinds.iter().filter_map(|k| kind(k)).zip(row.causes);
        lines
            .causes
            .extend(causes.filter(|(kind, _)| *kind != EntryKind::Correction));
    }
    Ok(by_meter)
}

/// A row of `billing.ledger_sum` that is not the sum of its ledger rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OddSum {
    /// `user_id`
    pub user: String,
    /// `meter`
    pub meter: String,
    /// The first second of its hour, since 1970.
    pub hour: Seconds,
    /// `period`
    pub period: String,
    /// Its columns, if there is a row.
    pub stored: Option<String>,
    /// What its columns should be, if there are ledger rows.
    pub expected: Option<String>,
}

/// The users' sums that are not those of their ledger rows. At most `limit`.
pub async fn odd_sums(connection: &mut PgConnection, users: &[UserId], limit: i64) -> Result<Vec<OddSum>, sqlx::Error> {
    sqlx::query_as!(
        OddSum,
        r#"WITH stored AS (
               SELECT user_id, meter, hour, period,
                      concat_ws(' ', first_at, last_at, amount, used, rollover, purchased) AS sum
               FROM billing.ledger_sum WHERE user_id = ANY($1)
           ), expected AS (
               SELECT user_id, meter, at / 3600 AS hour, period,
                      concat_ws(' ', min(at) FILTER (WHERE kind = 'usage'), max(at) FILTER (WHERE kind = 'usage'),
                                coalesce(sum(amount) FILTER (WHERE kind = 'usage'), 0),
                                sum(used), sum(rollover), sum(purchased)) AS sum
               FROM billing.ledger WHERE user_id = ANY($1) GROUP BY 1, 2, 3, 4
           )
           SELECT user_id AS "user!", meter AS "meter!", hour * 3600 AS "hour!", period AS "period!",
                  stored.sum AS stored, expected.sum AS expected
           FROM stored FULL JOIN expected USING (user_id, meter, hour, period)
           WHERE stored.sum IS DISTINCT FROM expected.sum ORDER BY 1, 2, 3, 4 LIMIT $2"#,
        &users_as_text(users),
        limit,
    )
    .fetch_all(connection)
    .await
}
