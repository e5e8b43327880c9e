//! Balances, and the ledger whose sum they are.

use super::{
    convert::{column, users_as_text},
    ledger::{kind, period, window},
};
use crate::domain::{
    balance::{
        ledger::{LedgerLine, RecordedLines},
        terms::Window,
        timeline::{MeterBalance, UsageSum},
        waterfall::{BalanceChange, CarriedBalance, MeterLimits},
    },
    fact::Seconds,
    ids::{SubscriptionId, UserId},
};
use sqlx::PgConnection;
use std::collections::BTreeMap;

/// By user, then by meter.
pub type ByMeter<T> = BTreeMap<UserId, BTreeMap<String, T>>;

/// The balances of these users. The users must be locked.
pub async fn load(connection: &mut PgConnection, users: &[UserId]) -> Result<ByMeter<MeterBalance>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT user_id, meter, subscription_id, period_start, plan_limit,
                  extract(epoch FROM limit_ends_at)::bigint AS limit_ends_at, used, rollover, purchased, usage_total,
                  settled_until
           FROM billing.balance WHERE user_id = ANY($1)"#,
        &users_as_text(users),
    )
    .fetch_all(connection)
    .await?;
    let mut balances = ByMeter::new();
    for row in rows {
        let window = row.subscription_id.zip(row.period_start);
        let balance = MeterBalance {
            window: window.map(|(id, start)| Window {
                subscription: SubscriptionId::new(id),
                start,
            }),
            limits: MeterLimits {
                own: row.plan_limit,
                ends_at: row.limit_ends_at,
            },
            used: row.used,
            carried: CarriedBalance {
                rollover: row.rollover,
                purchased: row.purchased,
            },
            reported: row.usage_total,
            since: row.settled_until,
        };
        balances
            .entry(UserId::new(row.user_id))
            .or_default()
            .insert(row.meter, balance);
    }
    Ok(balances)
}

/// What the ledger records of these users: sums by period, causes, and usage summed
/// up between the cuts of each user's timeline. `cuts` must be sorted. Single usage
/// rows are read only in hours that contain a cut; other hours come from
/// `billing.ledger_sum`.
pub async fn recorded(
    connection: &mut PgConnection,
    users: &[UserId],
    cuts: &[(&UserId, Seconds)],
) -> Result<ByMeter<RecordedLines>, sqlx::Error> {
    let mut recorded = ByMeter::<RecordedLines>::new();
    sums(connection, users, &mut recorded).await?;
    usage(connection, users, cuts, &mut recorded).await?;
    causes(connection, users, &mut recorded).await?;
    Ok(recorded)
}

fn of_meter(recorded: &mut ByMeter<RecordedLines>, user: String, meter: String) -> &mut RecordedLines {
    recorded.entry(UserId::new(user)).or_default().entry(meter).or_default()
}

async fn sums(
    connection: &mut PgConnection,
    users: &[UserId],
    recorded: &mut ByMeter<RecordedLines>,
) -> Result<(), sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT user_id, meter, period, sum(used)::bigint AS "used!", sum(rollover)::bigint AS "rollover!",
                  sum(purchased)::bigint AS "purchased!"
           FROM billing.ledger_sum WHERE user_id = ANY($1) GROUP BY user_id, meter, period"#,
        &users_as_text(users),
    )
    .fetch_all(connection)
    .await?;
    for row in rows {
        let sum = BalanceChange {
            used: row.used,
            rollover: row.rollover,
            purchased: row.purchased,
        };
        of_meter(recorded, row.user_id, row.meter)
            .sums
            .insert(window(&row.period), sum);
    }
    Ok(())
}

async fn usage(
    connection: &mut PgConnection,
    users: &[UserId],
    cuts: &[(&UserId, Seconds)],
    recorded: &mut ByMeter<RecordedLines>,
) -> Result<(), sqlx::Error> {
    // OFFSET 0 makes PostgreSQL look each hour up by the index. Without it the planner
    // may read all rows of the ledger when its statistics are wrong.
    let rows = sqlx::query!(
        r#"WITH cut AS (
               SELECT user_id, array_agg(cut ORDER BY cut) AS cuts
               FROM UNNEST($2::text[], $3::bigint[]) AS t (user_id, cut) GROUP BY user_id
           ), known AS MATERIALIZED (
               SELECT s.*, cuts, coalesce(width_bucket(first_at, cuts), 0) AS cell,
                      coalesce(width_bucket(last_at, cuts), 0) AS last_cell
               FROM billing.ledger_sum s LEFT JOIN cut USING (user_id)
               WHERE user_id = ANY($1) AND first_at IS NOT NULL
           )
           SELECT user_id AS "user!", meter AS "meter!", min(at) AS "at!", sum(amount)::bigint AS "amount!"
           FROM (
               SELECT user_id, meter, cell, first_at AS at, amount FROM known WHERE cell = last_cell
               UNION ALL
               SELECT user_id, meter, width_bucket(l.at, cuts), l.at, l.amount
               FROM (SELECT * FROM known WHERE cell <> last_cell) AS cut_through, LATERAL (
                   SELECT l.at, l.amount FROM billing.ledger l
                   WHERE l.kind = 'usage' AND l.user_id = cut_through.user_id AND l.meter = cut_through.meter
                         AND l.at BETWEEN first_at AND last_at AND l.period = cut_through.period OFFSET 0
               ) AS l
           ) AS spent
           GROUP BY user_id, meter, cell"#,
        &users_as_text(users),
        &column(cuts, |(user, _)| user.as_str()) as &[&str],
        &column(cuts, |(_, cut)| *cut),
    )
    .fetch_all(connection)
    .await?;
    for row in rows {
        of_meter(recorded, row.user, row.meter).usage.push(UsageSum {
            at: row.at,
            amount: row.amount,
        });
    }
    Ok(())
}

async fn causes(
    connection: &mut PgConnection,
    users: &[UserId],
    recorded: &mut ByMeter<RecordedLines>,
) -> Result<(), sqlx::Error> {
    let rows = sqlx::query!(
        "SELECT user_id, meter, kind, cause FROM billing.ledger
         WHERE user_id = ANY($1) AND kind NOT IN ('usage', 'correction')",
        &users_as_text(users),
    )
    .fetch_all(connection)
    .await?;
    for row in rows {
        let cause = kind(&row.kind).map(|kind| (kind, row.cause));
        of_meter(recorded, row.user_id, row.meter).causes.extend(cause);
    }
    Ok(())
}

/// A row to add to the ledger.
#[derive(Debug, Clone)]
pub struct NewLedgerRow<'a> {
    /// The user.
    pub user: &'a UserId,
    /// The meter.
    pub meter: String,
    /// The line.
    pub line: LedgerLine,
}

/// Adds rows to the ledger and to its sums.
pub async fn enter(connection: &mut PgConnection, lines: &[NewLedgerRow<'_>]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "WITH line AS (
             SELECT * FROM UNNEST($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[],
                                  $8::bigint[], $9::bigint[], $10::bigint[])
                 AS t (user_id, meter, kind, cause, period, at, amount, used, rollover, purchased)
         ), entered AS (
             INSERT INTO billing.ledger (user_id, meter, kind, cause, period, at, amount, used, rollover, purchased)
             SELECT * FROM line
         )
         INSERT INTO billing.ledger_sum AS known
             (user_id, meter, hour, period, first_at, last_at, amount, used, rollover, purchased)
         SELECT user_id, meter, at / 3600, period, min(at) FILTER (WHERE kind = 'usage'),
                max(at) FILTER (WHERE kind = 'usage'), coalesce(sum(amount) FILTER (WHERE kind = 'usage'), 0),
                sum(used), sum(rollover), sum(purchased)
         FROM line GROUP BY 1, 2, 3, 4
         ON CONFLICT (user_id, meter, hour, period) DO UPDATE SET
             first_at = least(known.first_at, excluded.first_at), last_at = greatest(known.last_at, excluded.last_at),
             amount = known.amount + excluded.amount, used = known.used + excluded.used,
             rollover = known.rollover + excluded.rollover, purchased = known.purchased + excluded.purchased",
        &column(lines, |l| l.user.as_str()) as &[&str],
        &column(lines, |l| l.meter.as_str()) as &[&str],
        &column(lines, |l| l.line.entry.kind.as_str()) as &[&str],
        &column(lines, |l| l.line.entry.cause.as_str()) as &[&str],
        &column(lines, |l| period(l.line.window.as_ref())),
        &column(lines, |l| l.line.entry.at),
        &column(lines, |l| l.line.entry.amount),
        &column(lines, |l| l.line.entry.change.used),
        &column(lines, |l| l.line.entry.change.rollover),
        &column(lines, |l| l.line.entry.change.purchased),
    )
    .execute(connection)
    .await
    .map(|_| ())
}

/// Removes balances.
pub async fn remove(connection: &mut PgConnection, balances: &[(&UserId, String)]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "DELETE FROM billing.balance USING UNNEST($1::text[], $2::text[]) AS t (user_id, meter)
         WHERE balance.user_id = t.user_id AND balance.meter = t.meter",
        &column(balances, |(user, _)| user.as_str()) as &[&str],
        &column(balances, |(_, meter)| meter.as_str()) as &[&str],
    )
    .execute(connection)
    .await
    .map(|_| ())
}

/// Writes balances. Each user and meter may occur once.
pub async fn write(connection: &mut PgConnection, rows: &[(&UserId, &str, &MeterBalance)]) -> Result<(), sqlx::Error> {
    let window = |b: &MeterBalance| b.window.clone();
    sqlx::query!(
        "INSERT INTO billing.balance (user_id, meter, subscription_id, period_start, plan_limit, limit_ends_at,
                                      used, rollover, purchased, usage_total, settled_until)
         SELECT user_id, meter, subscription_id, period_start, plan_limit, to_timestamp(limit_ends_at), used,
                rollover, purchased, usage_total, settled_until
         FROM UNNEST($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
                     $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[])
             AS t (user_id, meter, subscription_id, period_start, plan_limit, limit_ends_at, used,
                   rollover, purchased, usage_total, settled_until)
         ON CONFLICT (user_id, meter) DO UPDATE SET
             subscription_id = excluded.subscription_id, period_start = excluded.period_start,
             plan_limit = excluded.plan_limit, limit_ends_at = excluded.limit_ends_at, used = excluded.used, rollover = excluded.rollover,
             purchased = excluded.purchased, usage_total = excluded.usage_total,
             settled_until = excluded.settled_until, changed_at = now()",
        &column(rows, |(user, ..)| user.as_str()) as &[&str],
        &column(rows, |(_, meter, _)| *meter) as &[&str],
        &column(rows, |(.., b)| window(b).map(|w| w.subscription.to_string())) as &[Option<String>],
        &column(rows, |(.., b)| window(b).map(|w| w.start)) as &[Option<i64>],
        &column(rows, |(.., b)| b.limits.own) as &[Option<i64>],
        &column(rows, |(.., b)| b.limits.ends_at) as &[Option<i64>],
        &column(rows, |(.., b)| b.used),
        &column(rows, |(.., b)| b.carried.rollover),
        &column(rows, |(.., b)| b.carried.purchased),
        &column(rows, |(.., b)| b.reported),
        &column(rows, |(.., b)| b.since),
    )
    .execute(connection)
    .await
    .map(|_| ())
}
