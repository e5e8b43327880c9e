//! The record of what operators did with dead letters.

use serde::Serialize;
use sqlx::PgConnection;
use time::OffsetDateTime;

/// Who acts, and by what means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// Their name.
    pub name: String,
    /// By what means.
    pub via: Via,
}

/// By what means an operator acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// A command of `worker`.
    Command,
    /// The console.
    Console,
}

/// What an operator does with dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// Back to the work queue.
    Replay,
    /// Removed for good.
    Discard,
}

impl Deed {
    /// The word on record.
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
    /// Who.
    pub operator: &'a Operator,
    /// What.
    pub deed: Deed,
    /// With which dead letters, in words.
    pub selection: &'a str,
    /// Why, in their own words.
    pub why: Option<&'a str>,
    /// With how many.
    pub letters: usize,
}

/// Puts an action on record before it begins; returns its number.
pub async fn begin_action(connection: &mut PgConnection, intent: &Intent<'_>) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        "INSERT INTO billing.operator_action (operator, via, action, selection, why, letters)
         VALUES ($1, $2, $3, $4, $5, $6) RETURNING action_id",
        intent.operator.name,
        match intent.operator.via {
            Via::Command => "command",
            Via::Console => "console",
        },
        intent.deed.as_str(),
        intent.selection,
        intent.why,
        i64::try_from(intent.letters).unwrap_or(i64::MAX),
    )
    .fetch_one(connection)
    .await
}

/// Puts on record that these dead letters are about to be replayed: their
/// messages will not be in the dead-letter queue.
pub async fn replaying(connection: &mut PgConnection, action: i64, ids: &[String]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "WITH noted AS (
             INSERT INTO billing.operator_action_event (action_id, event_id)
             SELECT $1, event_id FROM UNNEST($2::text[]) AS t (event_id) ON CONFLICT DO NOTHING
         )
         UPDATE billing.dead_letter SET queued = false WHERE event_id = ANY($2)",
        action,
        ids,
    )
    .execute(connection)
    .await
    .map(|_| ())
}

/// These could not be replayed: their messages are in the dead-letter queue still.
pub async fn not_replayed(connection: &mut PgConnection, ids: &[String]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE billing.dead_letter SET queued = true WHERE event_id = ANY($1) AND resolved_at IS NULL",
        ids,
    )
    .execute(connection)
    .await
    .map(|_| ())
}

/// Discards the dead letters that still wait for an operator, on record;
/// returns how many that were.
pub async fn discard(connection: &mut PgConnection, action: i64, ids: &[String]) -> Result<u64, sqlx::Error> {
    sqlx::query!(
        "WITH discarded AS (
             UPDATE billing.dead_letter SET resolved_at = now(), resolution = 'discarded'
             WHERE event_id = ANY($2) AND resolved_at IS NULL RETURNING event_id
         )
         INSERT INTO billing.operator_action_event (action_id, event_id) SELECT $1, event_id FROM discarded",
        action,
        ids,
    )
    .execute(connection)
    .await
    .map(|done| done.rows_affected())
}

/// Ends the actions that were cut off, which whoever has the turn knows: nobody
/// else acts. What they noted and did not come to is in the dead-letter queue
/// still, or is to be made again; one copy too many has no second effect.
pub async fn end_cut_off(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "WITH cut_off AS (
             UPDATE billing.operator_action SET finished_at = now(), outcome = 'cut off'
             WHERE finished_at IS NULL RETURNING action_id
         )
         UPDATE billing.dead_letter AS d SET queued = true
         FROM billing.operator_action_event e JOIN cut_off USING (action_id)
         WHERE e.event_id = d.event_id AND d.resolved_at IS NULL AND d.last_failed < e.at"
    )
    .execute(connection)
    .await
    .map(|_| ())
}

/// Puts on record what came of an action.
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

/// What became so far of the dead letters that an action replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Standing {
    /// They took effect, or were none of our business.
    pub resolved: i64,
    /// They failed again, and wait for an operator.
    pub dead: i64,
    /// A worker has not come to them yet, or they wait in a retry queue.
    pub pending: i64,
}

/// What became so far of the dead letters that an action replayed.
pub async fn standing(connection: &mut PgConnection, action: i64) -> Result<Standing, sqlx::Error> {
    sqlx::query_as!(
        Standing,
        r#"SELECT count(*) FILTER (WHERE resolved_at IS NOT NULL) AS "resolved!",
                  count(*) FILTER (WHERE resolved_at IS NULL AND queued) AS "dead!",
                  count(*) FILTER (WHERE resolved_at IS NULL AND NOT queued) AS "pending!"
           FROM billing.operator_action_event JOIN billing.dead_letter USING (event_id) WHERE action_id = $1"#,
        action,
    )
    .fetch_one(connection)
    .await
}

/// An action on record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Action {
    /// Its number.
    pub id: i64,
    /// When it began.
    #[serde(with = "time::serde::rfc3339")]
    pub begun_at: OffsetDateTime,
    /// Who.
    pub operator: String,
    /// By what means: `command` or `console`.
    pub via: String,
    /// What: `replay` or `discard`.
    pub action: String,
    /// With which dead letters, in words.
    pub selection: String,
    /// Why, in their own words.
    pub why: Option<String>,
    /// With how many.
    pub letters: i64,
    /// When it ended; not while it is under way, or if it was cut off.
    #[serde(with = "time::serde::rfc3339::option")]
    pub finished_at: Option<OffsetDateTime>,
    /// What came of it.
    pub outcome: Option<String>,
}

/// The actions that touched this event, in order.
pub async fn actions_on(connection: &mut PgConnection, event: &str) -> Result<Vec<Action>, sqlx::Error> {
    sqlx::query_as!(
        Action,
        "SELECT action_id AS id, begun_at, operator, via, action, selection, why, letters, finished_at, outcome
         FROM billing.operator_action_event JOIN billing.operator_action USING (action_id)
         WHERE event_id = $1 ORDER BY action_id",
        event,
    )
    .fetch_all(connection)
    .await
}

/// The latest actions, the latest first, from before `before` if given.
pub async fn actions(
    connection: &mut PgConnection,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<Action>, sqlx::Error> {
    sqlx::query_as!(
        Action,
        "SELECT action_id AS id, begun_at, operator, via, action, selection, why, letters, finished_at, outcome
         FROM billing.operator_action WHERE $1::bigint IS NULL OR action_id < $1
         ORDER BY action_id DESC LIMIT $2",
        before,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// Takes the one right to move messages out of the dead-letter queue, which the
/// session of `connection` keeps until it ends. False if somebody else has it. There
/// is one for all who share the record, whatever their queues are called: who has it
/// ends what was cut off.
pub async fn take_turn(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(r#"SELECT pg_try_advisory_lock(hashtextextended('tollbridge dead letters', 0)) AS "taken!""#)
        .fetch_one(connection)
        .await
}
