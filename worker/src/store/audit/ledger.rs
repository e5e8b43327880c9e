//! The ledger line by line, and the sums that are kept of it.

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
        balance::{self, ByMeter},
        column, users_as_text,
    },
};
use sqlx::PgConnection;

/// What the ledger itself holds of users, whatever its sums say: by period, its
/// causes, and usage summed up between the cuts of each user's story, which must
/// be sorted.
pub async fn held(
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
        let held = balance::of_meter(&mut by_meter, row.user, row.meter);
        let sum = held.sums.entry(balance::window(&row.period)).or_default();
        let change = BalanceChange {
            used: row.used,
            rollover: row.rollover,
            purchased: row.purchased,
        };
        *sum = sum.plus(change).map_err(|e| sqlx::Error::Decode(e.into()))?;
        if row.cell.is_some() {
            held.usage.push(UsageSum {
                at: row.at,
                amount: row.amount,
            });
        }
        let causes = row.kinds.iter().filter_map(|k| balance::kind(k)).zip(row.causes);
        held.causes
            .extend(causes.filter(|(kind, _)| *kind != EntryKind::Correction));
    }
    Ok(by_meter)
}

/// A sum that is not that of its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OddSum {
    /// `user_id`
    pub user: String,
    /// `meter`
    pub meter: String,
    /// Its first second.
    pub hour: Seconds,
    /// `period`
    pub period: String,
    /// What is kept, if there is a row.
    pub kept: Option<String>,
    /// What the lines say, if there are any.
    pub said: Option<String>,
}

/// The sums of users that are not those of their lines, at most so many.
pub async fn odd_sums(connection: &mut PgConnection, users: &[UserId], limit: i64) -> Result<Vec<OddSum>, sqlx::Error> {
    sqlx::query_as!(
        OddSum,
        r#"WITH kept AS (
               SELECT user_id, meter, hour, period,
                      concat_ws(' ', first_at, last_at, amount, used, rollover, purchased) AS sum
               FROM billing.ledger_sum WHERE user_id = ANY($1)
           ), said AS (
               SELECT user_id, meter, at / 3600 AS hour, period,
                      concat_ws(' ', min(at) FILTER (WHERE kind = 'usage'), max(at) FILTER (WHERE kind = 'usage'),
                                coalesce(sum(amount) FILTER (WHERE kind = 'usage'), 0),
                                sum(used), sum(rollover), sum(purchased)) AS sum
               FROM billing.ledger WHERE user_id = ANY($1) GROUP BY 1, 2, 3, 4
           )
           SELECT user_id AS "user!", meter AS "meter!", hour * 3600 AS "hour!", period AS "period!",
                  kept.sum AS kept, said.sum AS said
           FROM kept FULL JOIN said USING (user_id, meter, hour, period)
           WHERE kept.sum IS DISTINCT FROM said.sum ORDER BY 1, 2, 3, 4 LIMIT $2"#,
        &users_as_text(users),
        limit,
    )
    .fetch_all(connection)
    .await
}
