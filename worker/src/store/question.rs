//! Questions to Stripe: subscriptions whose events do not show their order.

use super::convert::column;
use crate::domain::{fact::Seconds, ids::SubscriptionId};
use sqlx::PgConnection;

/// A subscription that Stripe must be asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StripeQuestion {
    /// The subscription.
    pub subscription: SubscriptionId,
    /// In seconds since 1970. Only an answer of a later second counts.
    pub after: Seconds,
    /// Attempts without an answer.
    pub tries: i32,
}

/// Records questions. A subscription that already has one is asked about again.
pub async fn ask(connection: &mut PgConnection, about: &[(&SubscriptionId, Seconds)]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO billing.stripe_question AS known (subscription_id, answer_after)
         SELECT subscription_id, to_timestamp(after) FROM UNNEST($1::text[], $2::bigint[]) AS t (subscription_id, after)
         ON CONFLICT (subscription_id) DO UPDATE
         SET answer_after = greatest(known.answer_after, excluded.answer_after), due_at = now(), tries = 0",
        &column(about, |(id, _)| id.as_str()) as &[&str],
        &column(about, |(_, after)| *after),
    )
    .execute(connection)
    .await
    .map(|_| ())
}

/// Takes questions that are due, at most `limit`. No other worker gets them for
/// `lease_s` seconds, and longer after each attempt without an answer.
pub async fn take(connection: &mut PgConnection, limit: i64, lease_s: i32) -> Result<Vec<StripeQuestion>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"UPDATE billing.stripe_question
           SET due_at = now() + make_interval(secs => $2::integer * 2 ^ least(tries, 4)), tries = tries + 1
           WHERE subscription_id IN (
               SELECT subscription_id FROM billing.stripe_question WHERE due_at <= now()
               ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED)
           RETURNING subscription_id, extract(epoch FROM answer_after)::bigint AS "after!", tries"#,
        limit,
        lease_s,
    )
    .fetch_all(connection)
    .await?;
    let questions = rows.into_iter().map(|row| StripeQuestion {
        subscription: SubscriptionId::new(row.subscription_id),
        after: row.after,
        tries: row.tries,
    });
    Ok(questions.collect())
}

/// Asks the question again after `seconds`.
pub async fn postpone(
    connection: &mut PgConnection,
    question: &StripeQuestion,
    seconds: i32,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE billing.stripe_question SET due_at = now() + make_interval(secs => $2::integer), tries = 0
         WHERE subscription_id = $1",
        question.subscription.as_str(),
        seconds,
    )
    .execute(connection)
    .await
    .map(|_| ())
}

/// Deletes an answered question, unless it was asked again meanwhile.
pub async fn answered(connection: &mut PgConnection, question: &StripeQuestion) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "DELETE FROM billing.stripe_question WHERE subscription_id = $1 AND answer_after <= to_timestamp($2::bigint)",
        question.subscription.as_str(),
        question.after,
    )
    .execute(connection)
    .await
    .map(|_| ())
}

/// How many questions are open.
pub async fn waiting(connection: &mut PgConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM billing.stripe_question"#)
        .fetch_one(connection)
        .await
}
