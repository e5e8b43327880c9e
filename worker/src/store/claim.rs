//! Claiming event ids: what makes a second delivery have no effect.

use super::dead_letter;
use crate::domain::ids::EventId;
use sqlx::PgConnection;
use std::collections::HashSet;

/// One event, and what is to become of it if it is new.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// Its id.
    pub event: &'a EventId,
    /// Its type.
    pub kind: &'a str,
    /// Stripe's `created`, in seconds.
    pub created: Option<i64>,
    /// When it was received, in milliseconds.
    pub received_at_ms: i64,
    /// `applied`, `ignored` or `dead`.
    pub outcome: &'static str,
    /// Why, where it was not applied.
    pub reason: Option<&'static str>,
    /// The raw body.
    pub body: &'a [u8],
}

/// Records the events and returns those that are new, or that were dead and
/// are not any more. `claims` must be sorted by event id and hold each once.
pub async fn claim(connection: &mut PgConnection, claims: &[Claim<'_>]) -> Result<HashSet<String>, sqlx::Error> {
    let ids: Vec<&str> = claims.iter().map(|c| c.event.as_str()).collect();
    let kinds: Vec<&str> = claims.iter().map(|c| c.kind).collect();
    let created: Vec<Option<i64>> = claims.iter().map(|c| c.created).collect();
    let received: Vec<i64> = claims.iter().map(|c| c.received_at_ms).collect();
    let outcomes: Vec<&str> = claims.iter().map(|c| c.outcome).collect();
    let reasons: Vec<Option<&str>> = claims.iter().map(|c| c.reason).collect();
    let bodies: Vec<&[u8]> = claims.iter().map(|c| c.body).collect();
    let rows = sqlx::query!(
        r#"
        WITH input AS (
            SELECT * FROM UNNEST($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::bytea[])
                AS t (event_id, event_type, created, received_ms, outcome, reason, body)
        ), claimed AS (
            INSERT INTO billing.event AS known (event_id, event_type, created, received_at, outcome, reason)
            SELECT event_id, event_type, to_timestamp(created), to_timestamp(received_ms / 1000.0), outcome, reason
            FROM input
            ON CONFLICT (event_id) DO UPDATE SET outcome = excluded.outcome, reason = excluded.reason
                WHERE known.outcome = 'dead' AND excluded.outcome <> 'dead'
            RETURNING event_id, xmax <> 0 AS revived
        ), stored AS (
            INSERT INTO billing.payload (event_id, received_at, body)
            SELECT event_id, to_timestamp(received_ms / 1000.0), body FROM input JOIN claimed USING (event_id)
            ON CONFLICT (event_id) DO UPDATE SET body = excluded.body
        )
        SELECT event_id AS "event_id!", revived AS "revived!" FROM claimed
        "#,
        &ids as &[&str],
        &kinds as &[&str],
        &created as &[Option<i64>],
        &received,
        &outcomes as &[&str],
        &reasons as &[Option<&str>],
        &bodies as &[&[u8]],
    )
    .fetch_all(&mut *connection)
    .await?;
    // A statement of its own: what another transaction wrote while this one
    // waited for its row is not visible to the statement that waited.
    let revived: Vec<&str> = rows.iter().filter(|r| r.revived).map(|r| r.event_id.as_str()).collect();
    if !revived.is_empty() {
        dead_letter::resolve(connection, &revived).await?;
    }
    Ok(rows.into_iter().map(|r| r.event_id).collect())
}
