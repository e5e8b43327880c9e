//! The record of operators' actions on dead letters.

use serde::Serialize;
use sqlx::PgConnection;
use time::OffsetDateTime;

/// The person who acts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// The name.
    pub name: String,
    /// The program that they use.
    pub via: Via,
}

/// The program that an operator uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// A command of `worker`.
    Command,
    /// The console.
    Console,
}

/// What an operator can do with dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActionKind {
    /// Put them back on the work queue.
    Replay,
    /// Remove them for good.
    Discard,
}

impl ActionKind {
    /// The word in the record.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Replay => "replay",
            Self::Discard => "discard",
        }
    }
}

/// An action that is about to begin.
#[derive(Debug, Clone, Copy)]
pub struct Intent<'a> {
    /// The person who acts.
    pub operator: &'a Operator,
    /// What they do.
    pub kind: ActionKind,
    /// Which dead letters, in words.
    pub selection: &'a str,
    /// The operator's reason, in their own words.
    pub why: Option<&'a str>,
    /// How many dead letters.
    pub dead_letters: usize,
}

/// Records an action before it begins. Returns its number.
pub async fn begin_action(connection: &mut PgConnection, intent: &Intent<'_>) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        "INSERT INTO billing.operator_action (operator, via, action, selection, why, letters)
         VALUES ($1, $2, $3, $4, $5, $6) RETURNING action_id",
        intent.operator.name,
        match intent.operator.via {
            Via::Command => "command",
            Via::Console => "console",
        },
        intent.kind.as_str(),
        intent.selection,
        intent.why,
        i64::try_from(intent.dead_letters).unwrap_or(i64::MAX),
    )
    .fetch_one(connection)
    .await
}

/// Records that these dead letters are about to be replayed, so their messages
/// leave the dead-letter queue.
pub async fn replaying(connection: &mut PgConnection, action: i64, ids: &[String]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "WITH noted AS (
             INSERT INTO billing.operator_action_event (action_id, event_id)
             SELECT $1, event_id FROM UNNEST($2::text[]) AS t (event_id) ON CONFLICT DO NOTHING
         ), locked AS (
             SELECT event_id FROM billing.dead_letter WHERE event_id = ANY($2) ORDER BY event_id FOR UPDATE
         )
         UPDATE billing.dead_letter SET queued = false FROM locked WHERE dead_letter.event_id = locked.event_id",
        action,
        ids,
    )
    .execute(connection)
    .await
    .map(|_| ())
}

/// Records that these dead letters could not be replayed, so their messages are
/// still in the dead-letter queue.
pub async fn not_replayed(connection: &mut PgConnection, ids: &[String]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "WITH locked AS (
             SELECT event_id FROM billing.dead_letter
             WHERE event_id = ANY($1) AND resolved_at IS NULL ORDER BY event_id FOR UPDATE
         )
         UPDATE billing.dead_letter SET queued = true FROM locked WHERE dead_letter.event_id = locked.event_id",
        ids,
    )
    .execute(connection)
    .await
    .map(|_| ())
}

/// Records that the open ones of these dead letters are discarded. Returns how
/// many were open.
pub async fn discard(connection: &mut PgConnection, action: i64, ids: &[String]) -> Result<u64, sqlx::Error> {
    sqlx::query!(
        "WITH locked AS (
             SELECT event_id FROM billing.dead_letter
             WHERE event_id = ANY($2) AND resolved_at IS NULL ORDER BY event_id FOR UPDATE
         ), discarded AS (
             UPDATE billing.dead_letter SET resolved_at = now(), resolution = 'discarded'
             FROM locked WHERE dead_letter.event_id = locked.event_id RETURNING dead_letter.event_id
         )
         INSERT INTO billing.operator_action_event (action_id, event_id) SELECT $1, event_id FROM discarded",
        action,
        ids,
    )
    .execute(connection)
    .await
    .map(|done| done.rows_affected())
}

/// Ends the actions that were cut off. Only the session that has the lock (see
/// [`try_lock`]) may call this: no other action can be running then. The letters
/// that such an action may not have reached count as queued again. Either their message is
/// still in the dead-letter queue, or a replay makes it again from the stored body;
/// a second copy has no second effect. The message of a resolved one is then removed.
pub async fn end_cut_off(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "WITH cut_off AS (
             UPDATE billing.operator_action SET finished_at = now(), outcome = 'cut off'
             WHERE finished_at IS NULL RETURNING action_id
         ), unreached AS (
             SELECT d.event_id
             FROM billing.dead_letter d JOIN billing.operator_action_event e USING (event_id)
                 JOIN cut_off USING (action_id)
             WHERE d.last_failed < e.at
             ORDER BY d.event_id FOR UPDATE OF d
         )
         UPDATE billing.dead_letter SET queued = true FROM unreached WHERE dead_letter.event_id = unreached.event_id"
    )
    .execute(connection)
    .await
    .map(|_| ())
}

/// Records the result of an action.
pub async fn finish_action(connection: &mut PgConnection, action: i64, outcome: &str) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE billing.operator_action SET finished_at = now(), outcome = $2 WHERE action_id = $1",
        action,
        outcome,
    )
    .execute(connection)
    .await
    .map(|_| ())
}

/// How far the workers are with the dead letters that an action replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct ReplayProgress {
    /// They were applied or ignored.
    pub resolved: i64,
    /// They failed again and wait for an operator.
    pub dead: i64,
    /// No worker has handled them yet, or they wait in a retry queue.
    pub pending: i64,
}

/// How far the workers are with the dead letters that an action replayed.
pub async fn replay_progress(connection: &mut PgConnection, action: i64) -> Result<ReplayProgress, sqlx::Error> {
    sqlx::query_as!(
        ReplayProgress,
        r#"SELECT count(*) FILTER (WHERE resolved_at IS NOT NULL) AS "resolved!",
                  count(*) FILTER (WHERE resolved_at IS NULL AND queued) AS "dead!",
                  count(*) FILTER (WHERE resolved_at IS NULL AND NOT queued) AS "pending!"
           FROM billing.operator_action_event JOIN billing.dead_letter USING (event_id) WHERE action_id = $1"#,
        action,
    )
    .fetch_one(connection)
    .await
}

/// A recorded action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OperatorAction {
    /// Its number.
    pub id: i64,
    /// When it began.
    #[serde(with = "time::serde::rfc3339")]
    pub begun_at: OffsetDateTime,
    /// The person who acted.
    pub operator: String,
    /// `command` or `console`.
    pub via: String,
    /// `replay` or `discard`.
    pub action: String,
    /// Which dead letters, in words.
    pub selection: String,
    /// The operator's reason, in their own words.
    pub why: Option<String>,
    /// How many dead letters.
    pub letters: i64,
    /// When it ended. `None` while it runs, and until the next action finds that it
    /// was cut off.
    #[serde(with = "time::serde::rfc3339::option")]
    pub finished_at: Option<OffsetDateTime>,
    /// The result.
    pub outcome: Option<String>,
}

/// The actions on this dead letter, oldest first.
pub async fn actions_on(connection: &mut PgConnection, event: &str) -> Result<Vec<OperatorAction>, sqlx::Error> {
    sqlx::query_as!(
        OperatorAction,
        "SELECT action_id AS id, begun_at, operator, via, action, selection, why, letters, finished_at, outcome
         FROM billing.operator_action_event JOIN billing.operator_action USING (action_id)
         WHERE event_id = $1 ORDER BY action_id",
        event,
    )
    .fetch_all(connection)
    .await
}

/// The latest actions, newest first. With `before`, only those before that number.
pub async fn actions(
    connection: &mut PgConnection,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<OperatorAction>, sqlx::Error> {
    sqlx::query_as!(
        OperatorAction,
        "SELECT action_id AS id, begun_at, operator, via, action, selection, why, letters, finished_at, outcome
         FROM billing.operator_action WHERE $1::bigint IS NULL OR action_id < $1
         ORDER BY action_id DESC LIMIT $2",
        before,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// Tries to take the lock for moving messages out of the dead-letter queue. The session of
/// `connection` keeps it until the session ends. False if another session has it.
/// There is one lock per database, even if several queue namespaces share it, so
/// that [`end_cut_off`] never ends an action that still runs.
pub async fn try_lock(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(r#"SELECT pg_try_advisory_lock(hashtextextended('tollbridge dead letters', 0)) AS "taken!""#)
        .fetch_one(connection)
        .await
}
