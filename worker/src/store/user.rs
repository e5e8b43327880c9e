//! Entitlements: one row per user and span of time.

use super::convert::{column, users_as_text};
use crate::domain::{ids::UserId, subscription::entitlement::Entitlement};
use shared::catalog::FREE_TIER;
use sqlx::PgConnection;
use std::collections::BTreeSet;

/// Removes the rows of users who have no subscription after all. A user with balances
/// keeps a row with status `none`.
pub async fn remove(connection: &mut PgConnection, users: &[UserId]) -> Result<(), sqlx::Error> {
    let rows = sqlx::query!(
        r#"DELETE FROM billing.entitlement WHERE user_id = ANY($1)
           RETURNING user_id, EXISTS (SELECT FROM billing.balance b WHERE b.user_id = entitlement.user_id) AS "has!""#,
        &users_as_text(users)
    )
    .fetch_all(&mut *connection)
    .await?;
    let left: BTreeSet<String> = rows.into_iter().filter(|r| r.has).map(|r| r.user_id).collect();
    if left.is_empty() {
        return Ok(());
    }
    let left: Vec<UserId> = left.into_iter().map(UserId::new).collect();
    known_by_balance(connection, &left).await
}

/// Removes the row with status `none` of those users who have no balance any more.
pub async fn forget_without_balance(connection: &mut PgConnection, users: &[UserId]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "DELETE FROM billing.entitlement WHERE user_id = ANY($1) AND status = 'none'
             AND NOT EXISTS (SELECT FROM billing.balance b WHERE b.user_id = entitlement.user_id)",
        &users_as_text(users)
    )
    .execute(connection)
    .await
    .map(|_| ())
}

/// Writes rows with status `none`, for users with balances and without a subscription.
pub async fn known_by_balance(connection: &mut PgConnection, users: &[UserId]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO billing.entitlement (user_id, entitled, status, tier, base_tier, is_canceling, ever_paid)
         SELECT user_id, false, 'none', $2, $2, false, false FROM UNNEST($1::text[]) AS t (user_id)
         ON CONFLICT (user_id, since) DO NOTHING",
        &users_as_text(users),
        FREE_TIER,
    )
    .execute(connection)
    .await
    .map(|_| ())
}

/// Writes entitlements, sorted by user and time, and removes the users' other rows.
pub async fn write(connection: &mut PgConnection, rows: &[Entitlement]) -> Result<(), sqlx::Error> {
    let next = |index: usize, row: &Entitlement| rows.get(index + 1).filter(|next| next.user == row.user);
    let until: Vec<Option<i64>> = rows.iter().enumerate().map(|(i, row)| next(i, row)?.since).collect();
    sqlx::query!(
        "WITH new AS MATERIALIZED (
             SELECT user_id, coalesce(to_timestamp(since), '-infinity') AS since,
                    coalesce(to_timestamp(until), 'infinity') AS until, entitled, status, tier, base_tier, grace_tier,
                    to_timestamp(grace_until) AS grace_until, to_timestamp(period_start) AS period_start,
                    to_timestamp(period_end) AS period_end, to_timestamp(trial_end) AS trial_end, is_canceling,
                    to_timestamp(cancel_at) AS cancel_at, to_timestamp(canceled_at) AS canceled_at, ever_paid,
                    highest_tier, highest_rank, customer, subscription
             FROM UNNEST(
                 $1::text[], $2::boolean[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::bigint[],
                 $9::bigint[], $10::bigint[], $11::boolean[], $12::bigint[], $13::bigint[], $14::boolean[], $15::text[],
                 $16::integer[], $17::text[], $18::text[], $19::bigint[], $20::bigint[])
                 AS t (user_id, entitled, status, tier, base_tier, grace_tier, grace_until, period_start, period_end,
                       trial_end, is_canceling, cancel_at, canceled_at, ever_paid, highest_tier, highest_rank, customer,
                       subscription, since, until)
         ), removed AS (
             DELETE FROM billing.entitlement AS old WHERE user_id = ANY($1)
                 AND NOT EXISTS (SELECT FROM new WHERE new.user_id = old.user_id AND new.since = old.since)
         )
         INSERT INTO billing.entitlement (
             user_id, since, until, entitled, status, tier, base_tier, grace_tier, grace_until, current_period_start,
             current_period_end, trial_end, is_canceling, cancel_at, canceled_at, ever_paid,
             highest_tier_subscribed, highest_rank, stripe_customer_id, stripe_subscription_id)
         SELECT * FROM new
         ON CONFLICT (user_id, since) DO UPDATE SET
             until = excluded.until, entitled = excluded.entitled, status = excluded.status, tier = excluded.tier,
             base_tier = excluded.base_tier, grace_tier = excluded.grace_tier, grace_until = excluded.grace_until,
             current_period_start = excluded.current_period_start, current_period_end = excluded.current_period_end,
             trial_end = excluded.trial_end, is_canceling = excluded.is_canceling, cancel_at = excluded.cancel_at,
             canceled_at = excluded.canceled_at, ever_paid = excluded.ever_paid,
             highest_tier_subscribed = excluded.highest_tier_subscribed, highest_rank = excluded.highest_rank,
             stripe_customer_id = excluded.stripe_customer_id,
             stripe_subscription_id = excluded.stripe_subscription_id, changed_at = now()",
        &column(rows, |r| r.user.as_str()) as &[&str],
        &column(rows, |r| r.entitled),
        &column(rows, |r| r.status.as_str()) as &[&str],
        &column(rows, |r| r.tier.as_str()) as &[&str],
        &column(rows, |r| r.base_tier.as_str()) as &[&str],
        &column(rows, |r| r.grace.as_ref().map(|g| g.plan.tier.as_str())) as &[Option<&str>],
        &column(rows, |r| r.grace.as_ref().map(|g| g.until)) as &[Option<i64>],
        &column(rows, |r| r.period.map(|p| p.start)) as &[Option<i64>],
        &column(rows, |r| r.period.map(|p| p.end)) as &[Option<i64>],
        &column(rows, |r| r.trial_end) as &[Option<i64>],
        &column(rows, |r| r.is_canceling),
        &column(rows, |r| r.cancel_at) as &[Option<i64>],
        &column(rows, |r| r.canceled_at) as &[Option<i64>],
        &column(rows, |r| r.ever_paid),
        &column(rows, |r| r.highest.as_ref().map(|p| p.tier.as_str())) as &[Option<&str>],
        &column(rows, |r| r.highest.as_ref().map(|p| p.rank)) as &[Option<i32>],
        &column(rows, |r| r.customer.as_deref()) as &[Option<&str>],
        &column(rows, |r| r.subscription.as_deref()) as &[Option<&str>],
        &column(rows, |r| r.since) as &[Option<i64>],
        &until as &[Option<i64>],
    )
    .execute(connection)
    .await
    .map(|_| ())
}
