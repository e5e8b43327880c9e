//! Balances, and the ledger that they are the sum of.

use super::{column, users_as_text};
use crate::domain::{
    fact::Seconds,
    ids::{SubscriptionId, UserId},
    ledger::{Held, Line},
    purse::{Change, Limits, Purse},
    terms::Window,
    wallet::{Balance, Kind, Spent},
};
use sqlx::PgConnection;
use std::collections::BTreeMap;

/// By user, then by meter.
pub type ByMeter<T> = BTreeMap<UserId, BTreeMap<String, T>>;

/// The balances of users, who must be locked.
pub async fn load(connection: &mut PgConnection, users: &[UserId]) -> Result<ByMeter<Balance>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT user_id, meter, subscription_id, period_start, plan_limit, lifted_limit,
                  extract(epoch FROM lifted_until)::bigint AS lifted_until, used, rollover, purchased, reported, since
           FROM billing.balance WHERE user_id = ANY($1)"#,
        &users_as_text(users),
    )
    .fetch_all(connection)
    .await?;
    let mut balances = ByMeter::new();
    for row in rows {
        let window = row.subscription_id.zip(row.period_start);
        let balance = Balance {
            window: window.map(|(id, start)| Window {
                subscription: SubscriptionId::new(id),
                start,
            }),
            limits: Limits {
                own: row.plan_limit,
                lifted: row.lifted_until.map(|until| (row.lifted_limit, until)),
            },
            used: row.used,
            purse: Purse {
                rollover: row.rollover,
                purchased: row.purchased,
            },
            reported: row.reported,
            since: row.since,
        };
        balances
            .entry(UserId::new(row.user_id))
            .or_default()
            .insert(row.meter, balance);
    }
    Ok(balances)
}

/// What the ledger holds of users: its sums by period, its causes, and usage
/// summed up between the cuts of each user's story, which must be sorted.
pub async fn held(
    connection: &mut PgConnection,
    users: &[UserId],
    cuts: &[(&UserId, Seconds)],
) -> Result<ByMeter<Held>, sqlx::Error> {
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
    let mut by_meter = ByMeter::<Held>::new();
    for row in rows {
        let held = by_meter
            .entry(UserId::new(row.user))
            .or_default()
            .entry(row.meter)
            .or_default();
        let sum = held.sums.entry(window(&row.period)).or_default();
        let change = Change {
            used: row.used,
            rollover: row.rollover,
            purchased: row.purchased,
        };
        *sum = sum.and(change).map_err(|e| sqlx::Error::Decode(e.into()))?;
        if row.cell.is_some() {
            held.usage.push(Spent {
                at: row.at,
                amount: row.amount,
            });
        }
        let causes = row.kinds.iter().filter_map(|k| kind(k)).zip(row.causes);
        held.causes.extend(causes.filter(|(kind, _)| *kind != Kind::Correction));
    }
    Ok(by_meter)
}

/// A kind by its word.
pub(super) fn kind(word: &str) -> Option<Kind> {
    let all = [
        Kind::Usage,
        Kind::Rollover,
        Kind::Grant,
        Kind::TakenBack,
        Kind::Returned,
        Kind::Correction,
    ];
    all.into_iter().find(|k| k.as_str() == word)
}

/// A period as the ledger names it.
#[must_use]
pub fn period(window: Option<&Window>) -> String {
    window.map_or_else(String::new, |w| format!("{} {}", w.subscription, w.start))
}

/// A period by its name in the ledger.
pub(super) fn window(period: &str) -> Option<Window> {
    let (subscription, start) = period.rsplit_once(' ')?;
    Some(Window {
        subscription: SubscriptionId::new(subscription),
        start: start.parse().ok()?,
    })
}

/// A line of the ledger, and whose.
#[derive(Debug, Clone)]
pub struct Written<'a> {
    /// Whose.
    pub user: &'a UserId,
    /// Of which meter.
    pub meter: String,
    /// The line.
    pub line: Line,
}

/// Adds lines to the ledger.
pub async fn enter(connection: &mut PgConnection, lines: &[Written<'_>]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO billing.ledger (user_id, meter, kind, cause, period, at, amount, used, rollover, purchased)
         SELECT * FROM UNNEST($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[],
                              $8::bigint[], $9::bigint[], $10::bigint[])",
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

/// Writes balances, each user and meter once.
pub async fn write(connection: &mut PgConnection, rows: &[(&UserId, &str, &Balance)]) -> Result<(), sqlx::Error> {
    let window = |b: &Balance| b.window.clone();
    sqlx::query!(
        "INSERT INTO billing.balance (user_id, meter, subscription_id, period_start, plan_limit, lifted_limit,
                                      lifted_until, used, rollover, purchased, reported, since)
         SELECT user_id, meter, subscription_id, period_start, plan_limit, lifted_limit, to_timestamp(lifted_until),
                used, rollover, purchased, reported, since
         FROM UNNEST($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
                     $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[])
             AS t (user_id, meter, subscription_id, period_start, plan_limit, lifted_limit, lifted_until, used,
                   rollover, purchased, reported, since)
         ON CONFLICT (user_id, meter) DO UPDATE SET
             subscription_id = excluded.subscription_id, period_start = excluded.period_start,
             plan_limit = excluded.plan_limit, lifted_limit = excluded.lifted_limit,
             lifted_until = excluded.lifted_until, used = excluded.used, rollover = excluded.rollover,
             purchased = excluded.purchased, reported = excluded.reported, since = excluded.since, changed_at = now()",
        &column(rows, |(user, ..)| user.as_str()) as &[&str],
        &column(rows, |(_, meter, _)| *meter) as &[&str],
        &column(rows, |(.., b)| window(b).map(|w| w.subscription.to_string())) as &[Option<String>],
        &column(rows, |(.., b)| window(b).map(|w| w.start)) as &[Option<i64>],
        &column(rows, |(.., b)| b.limits.own) as &[Option<i64>],
        &column(rows, |(.., b)| b.limits.lifted.and_then(|l| l.0)) as &[Option<i64>],
        &column(rows, |(.., b)| b.limits.lifted.map(|l| l.1)) as &[Option<i64>],
        &column(rows, |(.., b)| b.used),
        &column(rows, |(.., b)| b.purse.rollover),
        &column(rows, |(.., b)| b.purse.purchased),
        &column(rows, |(.., b)| b.reported),
        &column(rows, |(.., b)| b.since),
    )
    .execute(connection)
    .await
    .map(|_| ())
}
