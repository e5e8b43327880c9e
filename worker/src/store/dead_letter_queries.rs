//! What operators see of dead letters. Nothing here is on an event's path.

use super::users_as_text;
use crate::domain::{fact::Fact, ids::UserId};
use serde::Serialize;
use sqlx::PgConnection;
use std::collections::BTreeMap;
use time::OffsetDateTime;

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
    /// Where the message came from: `webhook`, `usage` or `direct`.
    pub source: String,
    /// The Stripe customer, or the user of usage, as far as it can be told.
    pub customer: Option<String>,
    /// Whether its message is in the dead-letter queue; else it is on its way
    /// there, or was replayed and waits for a worker or a retry.
    pub queued: bool,
    /// When it was resolved; not while it waits for an operator.
    #[serde(with = "time::serde::rfc3339::option")]
    pub resolved_at: Option<OffsetDateTime>,
    /// How: `applied`, `ignored` or `discarded`.
    pub resolution: Option<String>,
}

/// What to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
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
    /// Only those that come after this one, by the time of its first failure and its id.
    pub after: Option<(OffsetDateTime, String)>,
    /// At most so many.
    pub limit: Option<i64>,
}

/// The open dead letters, oldest first.
pub async fn list(connection: &mut PgConnection, filter: &Filter) -> Result<Vec<DeadLetter>, sqlx::Error> {
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

/// The ids of the open dead letters that the filter lets through, oldest first.
pub async fn ids(connection: &mut PgConnection, filter: &Filter) -> Result<Vec<String>, sqlx::Error> {
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

/// These dead letters, open or resolved, in no particular order.
pub async fn letters(connection: &mut PgConnection, ids: &[String]) -> Result<Vec<DeadLetter>, sqlx::Error> {
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

/// Of these, those that wait for an operator no more.
pub async fn resolved(connection: &mut PgConnection, ids: &[String]) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        "SELECT event_id FROM billing.dead_letter WHERE event_id = ANY($1) AND resolved_at IS NOT NULL",
        ids,
    )
    .fetch_all(connection)
    .await
}

/// How many of these have no message in the dead-letter queue: a worker or a
/// retry queue has it.
pub async fn elsewhere(connection: &mut PgConnection, ids: &[String]) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM billing.dead_letter
           WHERE event_id = ANY($1) AND resolved_at IS NULL AND NOT queued"#,
        ids,
    )
    .fetch_one(connection)
    .await
}

/// A time at which a message was given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// One of the closed list.
    pub reason: String,
    /// What, where, and what to do.
    pub detail: String,
    /// Failed tries until then.
    pub attempts: i64,
}

/// Every time that the message of this event was given up, in order.
pub async fn failures_of(connection: &mut PgConnection, event: &str) -> Result<Vec<Failure>, sqlx::Error> {
    sqlx::query_as!(
        Failure,
        "SELECT at, reason, detail, attempts FROM billing.failure WHERE event_id = $1 ORDER BY failure_id",
        event,
    )
    .fetch_all(connection)
    .await
}

/// An event, as it was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Its type; empty where it has none.
    pub kind: String,
    /// Its own `created`.
    pub created: Option<OffsetDateTime>,
    /// When it was received first.
    pub received_at: OffsetDateTime,
    /// `applied`, `ignored` or `dead`.
    pub outcome: String,
    /// Why, where it was not applied.
    pub reason: Option<String>,
    /// Its raw body, unless it was purged; of applied usage the ledger holds all.
    pub body: Option<Vec<u8>>,
}

/// An event that was received.
pub async fn received(connection: &mut PgConnection, event: &str) -> Result<Option<Received>, sqlx::Error> {
    sqlx::query_as!(
        Received,
        r#"SELECT event_type AS kind, created, e.received_at, outcome, reason, body AS "body?"
           FROM billing.event e LEFT JOIN billing.payload p USING (event_id) WHERE event_id = $1"#,
        event,
    )
    .fetch_optional(connection)
    .await
}

/// A message as it can be made again from what is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The event's id, or the hash of the body.
    pub id: String,
    /// The event's type; empty where it has none.
    pub kind: String,
    /// Where it came from.
    pub source: String,
    /// When it was received, in milliseconds.
    pub received_at_ms: i64,
    /// The raw body.
    pub body: Vec<u8>,
}

/// The messages of these dead letters, as far as their bodies are stored.
/// `queued`: only of those that should be in the dead-letter queue.
pub async fn stored(connection: &mut PgConnection, ids: &[String], queued: bool) -> Result<Vec<Stored>, sqlx::Error> {
    sqlx::query_as!(
        Stored,
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

/// Lets no statement of the transaction take long, or wait long for a lock.
pub async fn hurry(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!("SELECT set_config('statement_timeout', '2s', true) AS longest, set_config('lock_timeout', '500ms', true) AS wait")
        .fetch_one(connection)
        .await
        .map(|_| ())
}

/// The users of the accounts and payments of these facts.
pub async fn users_of(connection: &mut PgConnection, facts: &[&Fact]) -> Result<Vec<UserId>, sqlx::Error> {
    let accounts: Vec<&str> = facts.iter().map(|f| f.account.as_str()).collect();
    let payments: Vec<&str> = facts.iter().filter_map(|f| f.body.payment()).collect();
    let users = sqlx::query_scalar!(
        r#"SELECT user_id AS "user!" FROM billing.subscription WHERE account = ANY($1) AND user_id IS NOT NULL
           UNION SELECT user_id FROM billing.pack
           WHERE (account = ANY($1) OR payment = ANY($2)) AND user_id IS NOT NULL"#,
        &accounts as &[&str],
        &payments as &[&str],
    )
    .fetch_all(connection)
    .await?;
    Ok(users.into_iter().map(UserId::new).collect())
}

/// The rows that applications read of users, as JSON objects: of
/// `billing.entitlements` by the user, of `billing.balances` by user and meter.
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
