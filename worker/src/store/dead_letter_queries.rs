//! Reads the record of dead letters, for operators. No delivery needs any of it.

use super::convert::users_as_text;
use crate::domain::{fact::Fact, ids::UserId};
use serde::Serialize;
use sqlx::PgConnection;
use std::collections::BTreeMap;
use time::OffsetDateTime;

/// A row of `billing.dead_letter`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeadLetter {
    /// The event's id, or a hash of a body that has none.
    pub id: String,
    /// The event's type; empty if it has none.
    #[serde(rename = "type")]
    pub kind: String,
    /// One of `failure::Permanent`.
    pub reason: String,
    /// What is wrong, where, and what to do.
    pub detail: String,
    /// Failed attempts in all.
    pub attempts: i64,
    /// When the first attempt failed.
    #[serde(with = "time::serde::rfc3339")]
    pub first_failed: OffsetDateTime,
    /// When the last attempt failed.
    #[serde(with = "time::serde::rfc3339")]
    pub last_failed: OffsetDateTime,
    /// Where the message came from: `webhook`, `usage` or `direct`.
    pub source: String,
    /// The Stripe customer, or the user of usage, if the body names one.
    pub customer: Option<String>,
    /// Whether its message is in the dead-letter queue. Otherwise the message is on
    /// its way there, or was replayed and waits for a worker or a retry.
    pub queued: bool,
    /// When it was resolved; `None` while it is open.
    #[serde(with = "time::serde::rfc3339::option")]
    pub resolved_at: Option<OffsetDateTime>,
    /// How it was resolved: `applied`, `ignored` or `discarded`.
    pub resolution: Option<String>,
}

/// Which open dead letters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeadLetterFilter {
    /// Only this event type.
    pub kind: Option<String>,
    /// Only this reason.
    pub reason: Option<String>,
    /// Only this Stripe customer, or user of usage.
    pub customer: Option<String>,
    /// Only those that first failed before this time.
    pub before: Option<OffsetDateTime>,
    /// Only those that first failed at this time or later.
    pub since: Option<OffsetDateTime>,
    /// Only those after this one, in the order of first failure and id.
    pub after: Option<(OffsetDateTime, String)>,
    /// At most this many.
    pub limit: Option<i64>,
}

/// The open dead letters, oldest first.
pub async fn list(connection: &mut PgConnection, filter: &DeadLetterFilter) -> Result<Vec<DeadLetter>, sqlx::Error> {
    let (after, after_id) = filter.after.clone().unzip();
    sqlx::query_as!(
        DeadLetter,
        "SELECT event_id AS id, event_type AS kind, reason, detail, attempts, first_failed, last_failed,
                source, customer, queued, resolved_at, resolution
         FROM billing.dead_letter
         WHERE resolved_at IS NULL
           AND ($1::text IS NULL OR event_type = $1)
           AND ($2::text IS NULL OR reason = $2)
           AND ($3::text IS NULL OR customer = $3)
           AND ($4::timestamptz IS NULL OR first_failed < $4)
           AND ($5::timestamptz IS NULL OR first_failed >= $5)
           AND ($6::timestamptz IS NULL OR (first_failed, event_id) > ($6, $7))
         ORDER BY first_failed, event_id
         LIMIT $8",
        filter.kind,
        filter.reason,
        filter.customer,
        filter.before,
        filter.since,
        after,
        after_id,
        filter.limit,
    )
    .fetch_all(connection)
    .await
}

/// The ids of the open dead letters that match the filter, oldest first.
pub async fn ids(connection: &mut PgConnection, filter: &DeadLetterFilter) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        "SELECT event_id FROM billing.dead_letter
         WHERE resolved_at IS NULL
           AND ($1::text IS NULL OR event_type = $1)
           AND ($2::text IS NULL OR reason = $2)
           AND ($3::text IS NULL OR customer = $3)
           AND ($4::timestamptz IS NULL OR first_failed < $4)
           AND ($5::timestamptz IS NULL OR first_failed >= $5)
         ORDER BY first_failed, event_id
         LIMIT $6",
        filter.kind,
        filter.reason,
        filter.customer,
        filter.before,
        filter.since,
        filter.limit,
    )
    .fetch_all(connection)
    .await
}

/// The dead letters with these ids, open or resolved, in any order.
pub async fn by_ids(connection: &mut PgConnection, ids: &[String]) -> Result<Vec<DeadLetter>, sqlx::Error> {
    sqlx::query_as!(
        DeadLetter,
        "SELECT event_id AS id, event_type AS kind, reason, detail, attempts, first_failed, last_failed,
                source, customer, queued, resolved_at, resolution
         FROM billing.dead_letter WHERE event_id = ANY($1)",
        ids,
    )
    .fetch_all(connection)
    .await
}

/// Which of these dead letters are resolved.
pub async fn resolved(connection: &mut PgConnection, ids: &[String]) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        "SELECT event_id FROM billing.dead_letter WHERE event_id = ANY($1) AND resolved_at IS NOT NULL",
        ids,
    )
    .fetch_all(connection)
    .await
}

/// Resolved dead letters whose message should still be in the dead-letter queue. At most
/// 5,000.
pub async fn left_over(connection: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!("SELECT event_id FROM billing.dead_letter WHERE queued AND resolved_at IS NOT NULL LIMIT 5000")
        .fetch_all(connection)
        .await
}

/// Records that the messages of these dead letters, if they are resolved, are not in the
/// dead-letter queue any more.
pub async fn unqueue(connection: &mut PgConnection, ids: &[String]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "WITH locked AS (
             SELECT event_id FROM billing.dead_letter
             WHERE event_id = ANY($1) AND resolved_at IS NOT NULL ORDER BY event_id FOR UPDATE
         )
         UPDATE billing.dead_letter SET queued = false FROM locked WHERE dead_letter.event_id = locked.event_id",
        ids,
    )
    .execute(connection)
    .await
    .map(|_| ())
}

/// How many of these open dead letters have their message elsewhere than in the
/// dead-letter queue: with a worker or in a retry queue.
pub async fn elsewhere(connection: &mut PgConnection, ids: &[String]) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM billing.dead_letter
           WHERE event_id = ANY($1) AND resolved_at IS NULL AND NOT queued"#,
        ids,
    )
    .fetch_one(connection)
    .await
}

/// A row of `billing.dead_letter_failure`: one time that a message became dead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecordedFailure {
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// One of `failure::Permanent`.
    pub reason: String,
    /// What is wrong, where, and what to do.
    pub detail: String,
    /// Failed attempts until then.
    pub attempts: i64,
}

/// Each time that the message of this event became dead, oldest first.
pub async fn failures_of(connection: &mut PgConnection, event: &str) -> Result<Vec<RecordedFailure>, sqlx::Error> {
    sqlx::query_as!(
        RecordedFailure,
        "SELECT at, reason, detail, attempts FROM billing.dead_letter_failure WHERE event_id = $1 ORDER BY failure_id",
        event,
    )
    .fetch_all(connection)
    .await
}

/// A row of `billing.event`, with its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedEvent {
    /// Its type; empty if it has none.
    pub kind: String,
    /// Its own `created`.
    pub created: Option<OffsetDateTime>,
    /// When it was first received.
    pub received_at: OffsetDateTime,
    /// `applied`, `ignored` or `dead`.
    pub outcome: String,
    /// Why it was not applied; `None` if it was.
    pub reason: Option<String>,
    /// Its raw body, unless it was deleted. Applied usage has none: the ledger records
    /// all of it.
    pub body: Option<Vec<u8>>,
}

/// An event by its id.
pub async fn received(connection: &mut PgConnection, event: &str) -> Result<Option<ReceivedEvent>, sqlx::Error> {
    sqlx::query_as!(
        ReceivedEvent,
        r#"SELECT event_type AS kind, created, e.received_at, outcome, reason, body AS "body?"
           FROM billing.event e LEFT JOIN billing.payload p USING (event_id) WHERE event_id = $1"#,
        event,
    )
    .fetch_optional(connection)
    .await
}

/// What is needed to publish a message again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMessage {
    /// The event's id, or a hash of a body that has none.
    pub id: String,
    /// The event's type; empty if it has none.
    pub kind: String,
    /// Where it came from.
    pub source: String,
    /// When it was received, in milliseconds since 1970.
    pub received_at_ms: i64,
    /// The raw body.
    pub body: Vec<u8>,
}

/// The messages of these dead letters whose body is stored. With `queued`, only those
/// that should be in the dead-letter queue.
pub async fn stored(
    connection: &mut PgConnection,
    ids: &[String],
    queued: bool,
) -> Result<Vec<StoredMessage>, sqlx::Error> {
    sqlx::query_as!(
        StoredMessage,
        r#"SELECT event_id AS id, d.event_type AS kind, source, body,
                  (extract(epoch FROM e.received_at) * 1000)::bigint AS "received_at_ms!"
           FROM billing.dead_letter d JOIN billing.payload p USING (event_id) JOIN billing.event e USING (event_id)
           WHERE event_id = ANY($1) AND (queued OR NOT $2) ORDER BY d.first_failed, event_id"#,
        ids,
        queued,
    )
    .fetch_all(connection)
    .await
}

/// Limits each statement of the transaction to two seconds, and each wait for a lock
/// to half a second.
pub async fn limit_time(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!("SELECT set_config('statement_timeout', '2s', true) AS longest, set_config('lock_timeout', '500ms', true) AS wait")
        .fetch_one(connection)
        .await
        .map(|_| ())
}

/// The users of these facts' accounts and payments.
pub async fn users_of(connection: &mut PgConnection, facts: &[&Fact]) -> Result<Vec<UserId>, sqlx::Error> {
    let accounts: Vec<&str> = facts.iter().map(|f| f.account.as_str()).collect();
    let payments: Vec<&str> = facts.iter().filter_map(|f| f.body.payment_id()).collect();
    let users = sqlx::query_scalar!(
        r#"SELECT user_id AS "user!" FROM billing.subscription WHERE account = ANY($1) AND user_id IS NOT NULL
           UNION SELECT unnest(past_users) FROM billing.subscription WHERE account = ANY($1)
           UNION SELECT user_id FROM billing.subscription s JOIN billing.payment p USING (account)
           WHERE p.payment = ANY($2) AND user_id IS NOT NULL
           UNION SELECT user_id FROM billing.pack
           WHERE (account = ANY($1) OR payment = ANY($2)) AND user_id IS NOT NULL"#,
        &accounts as &[&str],
        &payments as &[&str],
    )
    .fetch_all(connection)
    .await?;
    Ok(users.into_iter().map(UserId::new).collect())
}

/// The users' rows of `billing.entitlements` (by user and `None`) and of
/// `billing.balances` (by user and meter), as JSON objects.
pub async fn rows_of(
    connection: &mut PgConnection,
    users: &[UserId],
) -> Result<BTreeMap<(String, Option<String>), serde_json::Value>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT user_id AS "user!", NULL AS meter, to_jsonb(e) - 'user_id' AS "row!"
           FROM billing.entitlements e WHERE user_id = ANY($1)
           UNION ALL SELECT user_id, meter, to_jsonb(b) - 'user_id' - 'meter'
           FROM billing.balances b WHERE user_id = ANY($1)"#,
        &users_as_text(users),
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|r| ((r.user, r.meter), r.row)).collect())
}
