//! What is compared with Stripe: subscriptions by page, and those that its list lacked.

use super::subscription::read;
use crate::domain::{
    ids::{EventId, SubscriptionId},
    subscription::state::Subscription,
};
use sqlx::PgConnection;
use std::collections::{HashMap, HashSet};

/// These subscriptions, as far as they are known.
pub async fn by_ids(
    connection: &mut PgConnection,
    ids: &[&str],
) -> Result<HashMap<SubscriptionId, Subscription>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT subscription_id, state::text AS "state!" FROM billing.subscription WHERE subscription_id = ANY($1)"#,
        ids as &[&str],
    )
    .fetch_all(connection)
    .await?;
    let known = rows.iter().map(|row| {
        let state = read(&row.subscription_id, &row.state)?;
        Ok((SubscriptionId::new(row.subscription_id.as_str()), state))
    });
    known.collect()
}

/// Forgets what lists have shown.
pub async fn begin(session: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!("DELETE FROM billing.reconcile_listed")
        .execute(session)
        .await
        .map(|_| ())
}

/// Remembers what a list has shown.
pub async fn listed(session: &mut PgConnection, ids: &[&str]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO billing.reconcile_listed SELECT unnest($1::text[]) ON CONFLICT DO NOTHING",
        ids as &[&str],
    )
    .execute(session)
    .await
    .map(|_| ())
}

/// A step through all subscriptions.
#[derive(Debug)]
pub struct Step {
    /// Where it ends; none: it was the last.
    pub until: Option<String>,
    /// Those in it that have not ended and that no list has shown.
    pub unlisted: Vec<(SubscriptionId, Subscription)>,
}

/// The next `most` subscriptions by id after `after`, ended ones too: a bounded
/// piece of work, however few of them are not listed.
pub async fn unlisted(session: &mut PgConnection, after: &str, most: i64) -> Result<Step, sqlx::Error> {
    let until = sqlx::query_scalar!(
        r#"SELECT max(subscription_id) AS until FROM (
               SELECT subscription_id FROM billing.subscription WHERE subscription_id > $1
               ORDER BY subscription_id LIMIT $2) AS step"#,
        after,
        most,
    )
    .fetch_one(&mut *session)
    .await?;
    let Some(until) = until else {
        return Ok(Step {
            until: None,
            unlisted: Vec::new(),
        });
    };
    let rows = sqlx::query!(
        r#"SELECT subscription_id, state::text AS "state!" FROM billing.subscription AS known
           WHERE subscription_id > $1 AND subscription_id <= $2 AND NOT unseen
             AND NOT EXISTS (SELECT FROM billing.reconcile_listed AS l WHERE l.subscription_id = known.subscription_id)
             AND NOT (state ->> 'ended')::boolean
           ORDER BY subscription_id"#,
        after,
        until,
    )
    .fetch_all(&mut *session)
    .await?;
    let read = |id: &str, state: &str| Ok((SubscriptionId::new(id), read(id, state)?));
    let unlisted = rows.iter().map(|row| read(&row.subscription_id, &row.state));
    Ok(Step {
        until: Some(until),
        unlisted: unlisted.collect::<Result<_, sqlx::Error>>()?,
    })
}

/// Some subscriptions that have not ended.
pub async fn some(session: &mut PgConnection, most: i64) -> Result<Vec<SubscriptionId>, sqlx::Error> {
    let ids = sqlx::query_scalar!(
        "SELECT subscription_id FROM billing.subscription WHERE NOT unseen AND NOT (state ->> 'ended')::boolean
         ORDER BY subscription_id LIMIT $1",
        most,
    )
    .fetch_all(session)
    .await?;
    Ok(ids.into_iter().map(SubscriptionId::new).collect())
}

/// Those of the events that were received.
pub async fn received(connection: &mut PgConnection, ids: &[&str]) -> Result<HashSet<EventId>, sqlx::Error> {
    let rows = sqlx::query_scalar!(
        "SELECT event_id FROM billing.event WHERE event_id = ANY($1)",
        ids as &[&str]
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(EventId::new).collect())
}
