//! Writes the record of dead letters, for workers.

use super::convert::column;
use crate::domain::ids::EventId;
use sqlx::PgConnection;

/// A dead letter to record.
#[derive(Debug, Clone)]
pub struct NewDeadLetter<'a> {
    /// The event's id, or a hash of a body that has none.
    pub event: &'a EventId,
    /// Its type; empty if it has none.
    pub kind: &'a str,
    /// One of `failure::Permanent`.
    pub reason: &'static str,
    /// What is wrong, where, and what to do.
    pub detail: &'a str,
    /// Failed attempts in all.
    pub attempts: i64,
    /// When the first attempt failed, in milliseconds since 1970.
    pub first_failed_ms: i64,
    /// When the last attempt failed, in milliseconds since 1970.
    pub last_failed_ms: i64,
    /// Where the message came from.
    pub source: &'static str,
    /// The Stripe customer, or the user of usage, if the body names one.
    pub customer: Option<String>,
}

/// Records dead letters. Those that are already recorded are left as they are.
pub async fn insert(connection: &mut PgConnection, letters: &[NewDeadLetter<'_>]) -> Result<(), sqlx::Error> {
    if letters.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "WITH input AS (
             SELECT event_id, event_type, reason, detail, attempts, to_timestamp(first_ms / 1000.0) AS first_failed,
                    to_timestamp(last_ms / 1000.0) AS last_failed, source, customer
             FROM UNNEST($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[],
                         $8::text[], $9::text[])
                 AS t (event_id, event_type, reason, detail, attempts, first_ms, last_ms, source, customer)
         ), recorded AS (
             INSERT INTO billing.dead_letter
                 (event_id, event_type, reason, detail, attempts, first_failed, last_failed, source, customer)
             SELECT * FROM input ON CONFLICT (event_id) DO NOTHING RETURNING event_id
         )
         INSERT INTO billing.dead_letter_failure (event_id, at, reason, detail, attempts)
         SELECT event_id, last_failed, reason, detail, attempts FROM input JOIN recorded USING (event_id)",
        &column(letters, |b| b.event.as_str()) as &[&str],
        &column(letters, |b| b.kind) as &[&str],
        &column(letters, |b| b.reason) as &[&str],
        &column(letters, |b| b.detail) as &[&str],
        &column(letters, |b| b.attempts),
        &column(letters, |b| b.first_failed_ms),
        &column(letters, |b| b.last_failed_ms),
        &column(letters, |b| b.source) as &[&str],
        &column(letters, |b| b.customer.clone()) as &[Option<String>],
    )
    .execute(connection)
    .await
    .map(|_| ())
}

/// The open dead letters among these events whose message is not in the dead-letter
/// queue.
pub async fn unqueued(connection: &mut PgConnection, events: &[String]) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        "SELECT event_id FROM billing.dead_letter
         WHERE event_id = ANY($1) AND NOT queued AND resolved_at IS NULL",
        events,
    )
    .fetch_all(connection)
    .await
}

/// Records that replayed messages failed again, perhaps for another reason, and must
/// return to the dead-letter queue. The time of the failure is the database's, not a
/// worker's: [`mark_queued`] compares it with the database's time of the replay.
pub async fn return_to_queue(connection: &mut PgConnection, letters: &[NewDeadLetter<'_>]) -> Result<(), sqlx::Error> {
    if letters.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "WITH locked AS (
             SELECT event_id FROM billing.dead_letter
             WHERE event_id = ANY($1) AND resolved_at IS NULL ORDER BY event_id FOR UPDATE
         ), back AS (
             UPDATE billing.dead_letter AS known
             SET queued = false, attempts = known.attempts + 1, last_failed = now(), reason = t.reason,
                 detail = t.detail
             FROM UNNEST($1::text[], $2::text[], $3::text[]) AS t (event_id, reason, detail) JOIN locked USING (event_id)
             WHERE known.event_id = t.event_id
             RETURNING known.event_id, known.last_failed, known.reason, known.detail, known.attempts
         ), event AS (
             UPDATE billing.event SET reason = back.reason FROM back
             WHERE event.event_id = back.event_id AND outcome = 'dead'
         )
         INSERT INTO billing.dead_letter_failure (event_id, at, reason, detail, attempts) SELECT * FROM back",
        &column(letters, |b| b.event.as_str()) as &[&str],
        &column(letters, |b| b.reason) as &[&str],
        &column(letters, |b| b.detail) as &[&str],
    )
    .execute(connection)
    .await
    .map(|_| ())
}

/// Resolves the dead letters of events that are now applied or ignored, even if an
/// operator had discarded them.
pub async fn resolve(connection: &mut PgConnection, events: &[&str]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "WITH locked AS (
             SELECT event_id FROM billing.dead_letter
             WHERE event_id = ANY($1) AND (resolved_at IS NULL OR resolution = 'discarded')
             ORDER BY event_id FOR UPDATE
         )
         UPDATE billing.dead_letter AS known SET resolved_at = now(), resolution = event.outcome
         FROM billing.event JOIN locked USING (event_id) WHERE known.event_id = event.event_id",
        events as &[&str],
    )
    .execute(connection)
    .await
    .map(|_| ())
}

/// Records that the messages of these events are in the dead-letter queue, unless an
/// operator has taken them out again since they failed.
pub async fn mark_queued(connection: &mut PgConnection, events: &[&str]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "WITH locked AS (
             SELECT event_id FROM billing.dead_letter d
             WHERE event_id = ANY($1) AND NOT EXISTS (
                 SELECT FROM billing.operator_action_event e WHERE e.event_id = d.event_id AND e.at > d.last_failed)
             ORDER BY event_id FOR UPDATE
         )
         UPDATE billing.dead_letter SET queued = true FROM locked WHERE dead_letter.event_id = locked.event_id",
        events as &[&str]
    )
    .execute(connection)
    .await
    .map(|_| ())
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
