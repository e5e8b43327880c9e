//! The record of dead letters.

use crate::domain::ids::EventId;
use serde::Serialize;
use sqlx::PgConnection;
use time::OffsetDateTime;

/// A dead letter to record.
#[derive(Debug, Clone, Copy)]
pub struct Burial<'a> {
    /// The event's id, or the hash of its body.
    pub event: &'a EventId,
    /// Its type; empty where it has none.
    pub kind: &'a str,
    /// One of the closed list.
    pub reason: &'static str,
    /// What, where, and what to do.
    pub detail: &'a str,
    /// Failed tries in all.
    pub attempts: i64,
    /// When the first try failed, in milliseconds.
    pub first_failed_ms: i64,
    /// When the last try failed, in milliseconds.
    pub last_failed_ms: i64,
}

/// Records dead letters that were not known.
pub async fn insert(connection: &mut PgConnection, burials: &[Burial<'_>]) -> Result<(), sqlx::Error> {
    let ids: Vec<&str> = burials.iter().map(|b| b.event.as_str()).collect();
    let kinds: Vec<&str> = burials.iter().map(|b| b.kind).collect();
    let reasons: Vec<&str> = burials.iter().map(|b| b.reason).collect();
    let details: Vec<&str> = burials.iter().map(|b| b.detail).collect();
    let attempts: Vec<i64> = burials.iter().map(|b| b.attempts).collect();
    let first: Vec<i64> = burials.iter().map(|b| b.first_failed_ms).collect();
    let last: Vec<i64> = burials.iter().map(|b| b.last_failed_ms).collect();
    sqlx::query!(
        "INSERT INTO billing.dead_letter (event_id, event_type, reason, detail, attempts, first_failed, last_failed)
         SELECT event_id, event_type, reason, detail, attempts, to_timestamp(first_ms / 1000.0), to_timestamp(last_ms / 1000.0)
         FROM UNNEST($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[])
             AS t (event_id, event_type, reason, detail, attempts, first_ms, last_ms)
         ON CONFLICT (event_id) DO NOTHING",
        &ids as &[&str],
        &kinds as &[&str],
        &reasons as &[&str],
        &details as &[&str],
        &attempts,
        &first,
        &last,
    )
    .execute(connection)
    .await
    .map(|_| ())
}

/// Of these events, those that are recorded as dead and whose message has not
/// reached the dead-letter queue.
pub async fn unqueued(connection: &mut PgConnection, events: &[String]) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        "SELECT event_id FROM billing.dead_letter
         WHERE event_id = ANY($1) AND NOT queued AND resolved_at IS NULL",
        events,
    )
    .fetch_all(connection)
    .await
}

/// The messages of these events were taken from the dead-letter queue, and have
/// failed again: they have to go back.
pub async fn return_to_queue(
    connection: &mut PgConnection,
    events: &[String],
    failed_ms: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE billing.dead_letter
         SET queued = false, attempts = attempts + 1, last_failed = to_timestamp($2::bigint / 1000.0)
         WHERE event_id = ANY($1) AND resolved_at IS NULL",
        events,
        failed_ms,
    )
    .execute(connection)
    .await
    .map(|_| ())
}

/// These events have taken effect after all, or were none of our business.
pub async fn resolve(connection: &mut PgConnection, events: &[&str]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE billing.dead_letter SET resolved_at = now(), resolution = 'applied'
         WHERE event_id = ANY($1) AND resolved_at IS NULL",
        events as &[&str],
    )
    .execute(connection)
    .await
    .map(|_| ())
}

/// The messages of these events are in the dead-letter queue.
pub async fn mark_queued(connection: &mut PgConnection, events: &[&str]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE billing.dead_letter SET queued = true WHERE event_id = ANY($1)",
        events as &[&str]
    )
    .execute(connection)
    .await
    .map(|_| ())
}

/// A dead letter, as operators see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeadLetter {
    /// The event's id, or the hash of its body.
    pub id: String,
    /// The event's type; empty where it has none.
    #[serde(rename = "type")]
    pub kind: String,
    /// One of the closed list.
    pub reason: String,
    /// What, where, and what to do.
    pub detail: String,
    /// Failed tries in all.
    pub attempts: i64,
    /// When the first try failed.
    #[serde(with = "time::serde::rfc3339")]
    pub first_failed: OffsetDateTime,
    /// When the last try failed.
    #[serde(with = "time::serde::rfc3339")]
    pub last_failed: OffsetDateTime,
}

/// What to list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only this event type.
    pub kind: Option<String>,
    /// Only this reason.
    pub reason: Option<String>,
    /// At most so many.
    pub limit: Option<i64>,
}

/// The open dead letters, oldest first.
pub async fn list(connection: &mut PgConnection, filter: &Filter) -> Result<Vec<DeadLetter>, sqlx::Error> {
    sqlx::query_as!(
        DeadLetter,
        "SELECT event_id AS id, event_type AS kind, reason, detail, attempts, first_failed, last_failed
         FROM billing.dead_letter
         WHERE resolved_at IS NULL
           AND ($1::text IS NULL OR event_type = $1)
           AND ($2::text IS NULL OR reason = $2)
         ORDER BY first_failed, event_id
         LIMIT $3",
        filter.kind,
        filter.reason,
        filter.limit,
    )
    .fetch_all(connection)
    .await
}

/// How many dead letters are open, by reason.
pub async fn count_open(connection: &mut PgConnection) -> Result<Vec<(String, i64)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT reason, count(*) AS "count!" FROM billing.dead_letter WHERE resolved_at IS NULL GROUP BY reason"#
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|r| (r.reason, r.count)).collect())
}
