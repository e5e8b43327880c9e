//! Queries of the console alone. Each looks rows up by key, in a read-only
//! transaction.

use super::dead_letter_queries::{DeadLetter, DeadLetterFilter};
use sqlx::PgConnection;
use time::OffsetDateTime;

/// Limits each statement of the transaction to two seconds: nobody waits longer for a page.
pub async fn limit(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!("SET LOCAL statement_timeout = '2s'")
        .execute(connection)
        .await
        .map(|_| ())
}

/// The open dead letters, latest failure first.
pub async fn latest_dead_letters(connection: &mut PgConnection, limit: i64) -> Result<Vec<DeadLetter>, sqlx::Error> {
    sqlx::query_as!(
        DeadLetter,
        "SELECT event_id AS id, event_type AS kind, reason, detail, attempts, first_failed, last_failed,
                source, customer, queued, resolved_at, resolution
         FROM billing.dead_letter WHERE resolved_at IS NULL ORDER BY last_failed DESC LIMIT $1",
        limit,
    )
    .fetch_all(connection)
    .await
}

/// All dead letters of these Stripe customers or users of usage: open ones first,
/// then by latest failure.
pub async fn dead_letters_of(
    connection: &mut PgConnection,
    owners: &[String],
    limit: i64,
) -> Result<Vec<DeadLetter>, sqlx::Error> {
    sqlx::query_as!(
        DeadLetter,
        "SELECT event_id AS id, event_type AS kind, reason, detail, attempts, first_failed, last_failed,
                source, customer, queued, resolved_at, resolution
         FROM billing.dead_letter WHERE customer = ANY($1)
         ORDER BY resolved_at IS NOT NULL, last_failed DESC, event_id LIMIT $2",
        owners,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// How many open dead letters match the filter, at most its limit.
pub async fn count(connection: &mut PgConnection, filter: &DeadLetterFilter) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM (
               SELECT FROM billing.dead_letter
               WHERE resolved_at IS NULL
                 AND ($1::text IS NULL OR event_type = $1)
                 AND ($2::text IS NULL OR reason = $2)
                 AND ($3::text IS NULL OR customer = $3)
                 AND ($4::timestamptz IS NULL OR first_failed < $4)
                 AND ($5::timestamptz IS NULL OR first_failed >= $5)
               LIMIT $6
           ) AS open"#,
        filter.kind,
        filter.reason,
        filter.customer,
        filter.before,
        filter.since,
        filter.limit,
    )
    .fetch_one(connection)
    .await
}

/// A dead letter of an action, as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionDeadLetter {
    /// Its id.
    pub id: String,
    /// Its type; empty if it has none.
    pub kind: String,
    /// Whether its message is in the dead-letter queue.
    pub queued: bool,
    /// How it was resolved, if it is.
    pub resolution: Option<String>,
}

/// The dead letters of an action.
pub async fn touched(
    connection: &mut PgConnection,
    action: i64,
    limit: i64,
) -> Result<Vec<ActionDeadLetter>, sqlx::Error> {
    sqlx::query_as!(
        ActionDeadLetter,
        "SELECT event_id AS id, event_type AS kind, queued, resolution
         FROM billing.operator_action_event JOIN billing.dead_letter USING (event_id)
         WHERE action_id = $1 ORDER BY event_id LIMIT $2",
        action,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// A row of `billing.event`, and the account of its fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its id.
    pub id: String,
    /// Its type; empty if it has none.
    pub kind: String,
    /// Its own `created`, if it has one.
    pub created: Option<OffsetDateTime>,
    /// When it was first received.
    pub received_at: OffsetDateTime,
    /// `applied`, `ignored` or `dead`.
    pub outcome: String,
    /// Why it was not applied; `None` if it was.
    pub reason: Option<String>,
    /// The account of its fact, if it is one.
    pub account: Option<String>,
}

/// An event by its id.
pub async fn event(connection: &mut PgConnection, id: &str) -> Result<Option<StoredEvent>, sqlx::Error> {
    sqlx::query_as!(
        StoredEvent,
        r#"SELECT e.event_id AS id, e.event_type AS kind, e.created, e.received_at, e.outcome, e.reason,
                  f.account AS "account?"
           FROM billing.event e LEFT JOIN billing.fact f USING (event_id) WHERE e.event_id = $1"#,
        id,
    )
    .fetch_optional(connection)
    .await
}

/// The events of an account, newest first.
pub async fn events_of(
    connection: &mut PgConnection,
    account: &str,
    limit: i64,
) -> Result<Vec<StoredEvent>, sqlx::Error> {
    sqlx::query_as!(
        StoredEvent,
        r#"SELECT e.event_id AS id, e.event_type AS kind, e.created, e.received_at, e.outcome, e.reason,
                  f.account AS "account?"
           FROM (
               SELECT event_id, account, created FROM billing.fact WHERE account = $1
               ORDER BY created DESC, event_id LIMIT $2
           ) AS f JOIN billing.event e USING (event_id) ORDER BY f.created DESC, event_id"#,
        account,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// The users of an account and of what it owns, at most `limit`.
pub async fn users_of(connection: &mut PgConnection, account: &str, limit: i64) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT user_id AS "user!" FROM billing.subscription WHERE account = $1 AND user_id IS NOT NULL
           UNION SELECT unnest(past_users) FROM billing.subscription WHERE account = $1
           UNION SELECT user_id FROM billing.pack WHERE account = $1 AND user_id IS NOT NULL
           UNION SELECT owner_claim ->> 'user' FROM billing.account
                 WHERE account = $1 AND owner_claim ->> 'user' IS NOT NULL
           ORDER BY 1 LIMIT $2"#,
        account,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// A row of the ledger that a usage report caused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageLine {
    /// The user.
    pub user: String,
    /// The meter.
    pub meter: String,
    /// When it counts, in seconds since 1970.
    pub at: i64,
    /// Units reported.
    pub amount: i64,
    /// Units added to the period's use.
    pub used: i64,
    /// Units added to the rollover.
    pub rollover: i64,
    /// Units added to the purchased ones.
    pub purchased: i64,
}

/// The rows of the ledger that a usage report caused.
pub async fn used_by(connection: &mut PgConnection, event: &str) -> Result<Vec<UsageLine>, sqlx::Error> {
    sqlx::query_as!(
        UsageLine,
        r#"SELECT user_id AS "user", meter, at, amount, used, rollover, purchased
           FROM billing.ledger WHERE kind = 'usage' AND cause = $1 ORDER BY user_id, meter, period"#,
        event,
    )
    .fetch_all(connection)
    .await
}

/// The tables that contain an id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each table contains the id or does not")]
pub struct IdMatches {
    /// A user has it.
    pub is_user: bool,
    /// An account has it.
    pub is_customer: bool,
    /// An event has it.
    pub is_event: bool,
    /// A dead letter has it, open or not.
    pub is_letter: bool,
    /// The account and the user of the subscription or session that has it.
    pub of: Option<(String, Option<String>)>,
}

/// Looks an id up in every table that may contain it.
pub async fn find(connection: &mut PgConnection, id: &str) -> Result<IdMatches, sqlx::Error> {
    let row = sqlx::query!(
        r#"SELECT EXISTS (SELECT FROM billing.entitlement WHERE user_id = $1)
                  OR EXISTS (SELECT FROM billing.app_user WHERE user_id = $1)
                  OR EXISTS (SELECT FROM billing.account WHERE owner_claim ->> 'user' = $1) AS "is_user!",
                  EXISTS (SELECT FROM billing.account WHERE account = $1) AS "is_customer!",
                  EXISTS (SELECT FROM billing.event WHERE event_id = $1) AS "is_event!",
                  EXISTS (SELECT FROM billing.dead_letter WHERE event_id = $1) AS "is_letter!""#,
        id,
    )
    .fetch_one(&mut *connection)
    .await?;
    let of = sqlx::query!(
        r#"SELECT account AS "account!", user_id FROM billing.subscription WHERE subscription_id = $1
           UNION ALL SELECT account, user_id FROM billing.pack WHERE sale_id = $1 LIMIT 1"#,
        id,
    )
    .fetch_optional(connection)
    .await?;
    Ok(IdMatches {
        is_user: row.is_user,
        is_customer: row.is_customer,
        is_event: row.is_event,
        is_letter: row.is_letter,
        of: of.map(|of| (of.account, of.user_id)),
    })
}

/// A user's row of `billing.balances`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "docs/integrate.md describes the columns")]
pub struct BalanceView {
    pub meter: String,
    pub plan_limit: Option<i64>,
    pub used: i64,
    pub rollover: i64,
    pub purchased: i64,
    pub available: Option<i64>,
}

/// The rows of `billing.balances` of a user.
pub async fn balances(connection: &mut PgConnection, user: &str) -> Result<Vec<BalanceView>, sqlx::Error> {
    sqlx::query_as!(
        BalanceView,
        r#"SELECT meter AS "meter!", plan_limit, used AS "used!", rollover AS "rollover!", purchased AS "purchased!",
                  available
           FROM billing.balances WHERE user_id = $1 ORDER BY meter"#,
        user,
    )
    .fetch_all(connection)
    .await
}

/// The row of `billing.entitlements` of a user: name and text of each column that
/// is not NULL, in the order of the columns.
pub async fn entitlement(connection: &mut PgConnection, user: &str) -> Result<Vec<(String, String)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT column_name AS "name!", value AS "value!"
           FROM billing.entitlements e, LATERAL (VALUES
               (1, 'entitled', entitled::text), (2, 'status', status), (3, 'tier', tier),
               (4, 'effective_tier', effective_tier), (5, 'grace_tier', grace_tier),
               (6, 'grace_until', to_json(grace_until) #>> '{}'),
               (7, 'current_period_start', to_json(current_period_start) #>> '{}'),
               (8, 'current_period_end', to_json(current_period_end) #>> '{}'),
               (9, 'trial_end', to_json(trial_end) #>> '{}'), (10, 'is_canceling', is_canceling::text),
               (11, 'cancel_at', to_json(cancel_at) #>> '{}'), (12, 'canceled_at', to_json(canceled_at) #>> '{}'),
               (13, 'ever_paid', ever_paid::text), (14, 'highest_tier_subscribed', highest_tier_subscribed),
               (15, 'stripe_customer_id', stripe_customer_id), (16, 'stripe_subscription_id', stripe_subscription_id)
           ) AS c (place, column_name, value)
           WHERE user_id = $1 AND value IS NOT NULL ORDER BY place"#,
        user,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|r| (r.name, r.value)).collect())
}
