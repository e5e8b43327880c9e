//! Reads what reconcile and backfill compare with Stripe's lists.

use super::subscription::read;
use crate::domain::{
    ids::{EventId, SubscriptionId},
    subscription::state::Subscription,
};
use sqlx::PgConnection;
use std::collections::{HashMap, HashSet};

/// The stored ones of these subscriptions.
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

/// Forgets what Stripe has listed in an earlier run.
pub async fn begin(session: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!("DELETE FROM billing.reconcile_listed")
        .execute(session)
        .await
        .map(|_| ())
}

/// Records what Stripe has listed in this run.
pub async fn listed(session: &mut PgConnection, ids: &[&str]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO billing.reconcile_listed SELECT unnest($1::text[]) ON CONFLICT DO NOTHING",
        ids as &[&str],
    )
    .execute(session)
    .await
    .map(|_| ())
}

/// A page of the stored subscriptions.
#[derive(Debug)]
pub struct UnlistedPage {
    /// The last id of the page; `None` after the last page.
    pub until: Option<String>,
    /// Those of the page that have not ended and that Stripe has not listed.
    pub unlisted: Vec<(SubscriptionId, Subscription)>,
}

/// The next `limit` subscriptions after the id `after`. Ended and listed ones count
/// too, so that each page is a bounded amount of work.
pub async fn unlisted(session: &mut PgConnection, after: &str, limit: i64) -> Result<UnlistedPage, sqlx::Error> {
    let until = sqlx::query_scalar!(
        r#"SELECT max(subscription_id) AS until FROM (
               SELECT subscription_id FROM billing.subscription WHERE subscription_id > $1
               ORDER BY subscription_id LIMIT $2) AS page"#,
        after,
        limit,
    )
    .fetch_one(&mut *session)
    .await?;
    let Some(until) = until else {
        return Ok(UnlistedPage {
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
    Ok(UnlistedPage {
        until: Some(until),
        unlisted: unlisted.collect::<Result<_, sqlx::Error>>()?,
    })
}

/// A few subscriptions that have not ended.
pub async fn some(session: &mut PgConnection, limit: i64) -> Result<Vec<SubscriptionId>, sqlx::Error> {
    let ids = sqlx::query_scalar!(
        "SELECT subscription_id FROM billing.subscription WHERE NOT unseen AND NOT (state ->> 'ended')::boolean
         ORDER BY subscription_id LIMIT $1",
        limit,
    )
    .fetch_all(session)
    .await?;
    Ok(ids.into_iter().map(SubscriptionId::new).collect())
}

/// Which of these events were received.
pub async fn received(connection: &mut PgConnection, ids: &[&str]) -> Result<HashSet<EventId>, sqlx::Error> {
    let rows = sqlx::query_scalar!(
        "SELECT event_id FROM billing.event WHERE event_id = ANY($1)",
        ids as &[&str]
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(EventId::new).collect())
}
