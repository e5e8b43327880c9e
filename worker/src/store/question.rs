//! Subscriptions that Stripe is to be asked about.

use super::column;
use crate::domain::{fact::Seconds, ids::SubscriptionId};
use sqlx::PgConnection;

/// A subscription of which no evidence tells what it came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Which one.
    pub subscription: SubscriptionId,
    /// Only an answer of a later second tells.
    pub after: Seconds,
    /// How often it was asked in vain.
    pub tries: i32,
}

/// Notes what is to be asked; of one subscription, once.
pub async fn ask(connection: &mut PgConnection, about: &[(&SubscriptionId, Seconds)]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO billing.question AS known (subscription_id, after)
         SELECT subscription_id, to_timestamp(after) FROM UNNEST($1::text[], $2::bigint[]) AS t (subscription_id, after)
         ON CONFLICT (subscription_id) DO UPDATE
         SET after = greatest(known.after, excluded.after), due = now(), tries = 0",
        &column(about, |(id, _)| id.as_str()) as &[&str],
        &column(about, |(_, after)| *after),
    )
    .execute(connection)
    .await
    .map(|_| ())
}

/// Takes some that are due. Nobody else does for `lease_s` seconds, longer with
/// each try in vain.
pub async fn take(connection: &mut PgConnection, most: i64, lease_s: i32) -> Result<Vec<Question>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"UPDATE billing.question
           SET due = now() + make_interval(secs => $2::integer * 2 ^ least(tries, 4)), tries = tries + 1
           WHERE subscription_id IN (
               SELECT subscription_id FROM billing.question WHERE due <= now()
               ORDER BY due LIMIT $1 FOR UPDATE SKIP LOCKED)
           RETURNING subscription_id, extract(epoch FROM after)::bigint AS "after!", tries"#,
        most,
        lease_s,
    )
    .fetch_all(connection)
    .await?;
    let question = rows.into_iter().map(|row| Question {
        subscription: SubscriptionId::new(row.subscription_id),
        after: row.after,
        tries: row.tries,
    });
    Ok(question.collect())
}

/// It is asked again after so many seconds.
pub async fn postpone(connection: &mut PgConnection, question: &Question, seconds: i32) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE billing.question SET due = now() + make_interval(secs => $2::integer), tries = 0
         WHERE subscription_id = $1",
        question.subscription.as_str(),
        seconds,
    )
    .execute(connection)
    .await
    .map(|_| ())
}

/// Strikes out what was answered, unless it has to be asked anew.
pub async fn answered(connection: &mut PgConnection, question: &Question) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "DELETE FROM billing.question WHERE subscription_id = $1 AND after <= to_timestamp($2::bigint)",
        question.subscription.as_str(),
        question.after,
    )
    .execute(connection)
    .await
    .map(|_| ())
}

/// How many wait.
pub async fn waiting(connection: &mut PgConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM billing.question"#)
        .fetch_one(connection)
        .await
}
