//! What is stored of balances, the ledger and packs, page by page.

use super::StoredFact;
use crate::{
    domain::{
        balance::timeline::EntryKind,
        ids::{AccountId, UserId},
        subscription::state::VERSION,
    },
    store::{accounts_as_text, column, users_as_text},
};
use sqlx::PgConnection;

/// The next users who have, or should have, balances.
pub async fn users_after(connection: &mut PgConnection, after: &str, limit: i64) -> Result<Vec<UserId>, sqlx::Error> {
    let rows = sqlx::query_scalar!(
        r#"SELECT user_id AS "user!" FROM (
               (SELECT DISTINCT user_id FROM billing.balance WHERE user_id > $1 ORDER BY user_id LIMIT $2)
               UNION (SELECT DISTINCT user_id FROM billing.ledger WHERE user_id > $1 ORDER BY user_id LIMIT $2)
               UNION (SELECT DISTINCT user_id FROM billing.pack WHERE user_id > $1 ORDER BY user_id LIMIT $2)
               UNION (SELECT DISTINCT user_id FROM billing.subscription WHERE user_id > $1 ORDER BY user_id LIMIT $2)
           ) AS known ORDER BY user_id LIMIT $2"#,
        after,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(UserId::new).collect())
}

/// The accounts that may hold something of these users: those that the workers
/// would look into, and those that any other row of theirs leads to, so that one
/// row that is wrong does not make others seem so.
pub async fn accounts_of(
    connection: &mut PgConnection,
    users: &[UserId],
) -> Result<Vec<(UserId, AccountId)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT user_id AS "user!", account AS "account!" FROM billing.subscription WHERE user_id = ANY($1)
           UNION SELECT user_id, account FROM billing.pack WHERE user_id = ANY($1)
           UNION SELECT b.user_id, account FROM billing.balance b JOIN billing.subscription USING (subscription_id)
                 WHERE b.user_id = ANY($1)
           UNION SELECT l.user_id, account FROM billing.ledger l JOIN billing.pack ON session_id = cause
                 WHERE l.user_id = ANY($1) AND kind = 'grant'
           UNION SELECT user_id, stripe_customer_id FROM billing.entitlement
                 WHERE user_id = ANY($1) AND stripe_customer_id IS NOT NULL"#,
        &users_as_text(users),
    )
    .fetch_all(connection)
    .await?;
    let rows = rows.into_iter();
    Ok(rows.map(|r| (UserId::new(r.user), AccountId::new(r.account))).collect())
}

/// Those of the accounts that await a migration.
pub async fn outdated(connection: &mut PgConnection, accounts: &[AccountId]) -> Result<Vec<AccountId>, sqlx::Error> {
    let rows = sqlx::query_scalar!(
        r#"SELECT account AS "account!" FROM billing.account WHERE account = ANY($1) AND version IS DISTINCT FROM $2
           UNION SELECT account FROM billing.subscription
                 WHERE account = ANY($1) AND (state ->> 'version')::integer IS DISTINCT FROM $2"#,
        &accounts_as_text(accounts),
        VERSION,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(AccountId::new).collect())
}

/// The facts about the payments that are not of these accounts.
pub async fn facts_of_payments(
    connection: &mut PgConnection,
    payments: &[&str],
    but_of: &[AccountId],
) -> Result<Vec<StoredFact>, sqlx::Error> {
    sqlx::query_as!(
        StoredFact,
        r#"SELECT event_id, account, extract(epoch FROM created)::bigint AS "created!", body::text AS "body!"
           FROM billing.fact WHERE payment = ANY($1) AND account <> ALL($2)"#,
        payments as &[&str],
        &accounts_as_text(but_of),
    )
    .fetch_all(connection)
    .await
}

/// A row of `billing.pack`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPack {
    /// `session_id`
    pub session: String,
    /// `account`
    pub account: String,
    /// `payment`
    pub payment: Option<String>,
    /// `user_id`
    pub user: Option<String>,
    /// `named`
    pub named: bool,
}

/// The packs stored under these accounts or these sessions.
pub async fn packs(
    connection: &mut PgConnection,
    accounts: &[AccountId],
    sessions: &[&str],
) -> Result<Vec<StoredPack>, sqlx::Error> {
    sqlx::query_as!(
        StoredPack,
        "SELECT session_id AS session, account, payment, user_id AS user, named FROM billing.pack
         WHERE account = ANY($1) OR session_id = ANY($2) ORDER BY session_id",
        &accounts_as_text(accounts),
        sessions as &[&str],
    )
    .fetch_all(connection)
    .await
}

/// A line of the ledger that contradicts itself, or its event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OddLine {
    /// `user_id`
    pub user: String,
    /// `meter`
    pub meter: String,
    /// `kind`
    pub kind: String,
    /// `cause`
    pub cause: String,
    /// Of usage: whether its event was applied.
    pub has_event: bool,
    /// Of usage: it is said to count before the time of its event.
    pub is_early: bool,
    /// What it is about, in units.
    pub amount: i64,
    /// `used`
    pub used: i64,
    /// `rollover`
    pub rollover: i64,
    /// `purchased`
    pub purchased: i64,
}

/// Lines of the users whose numbers cannot have been entered together, whatever
/// the balance was; and usage without its event. At most so many.
pub async fn odd_lines(
    connection: &mut PgConnection,
    users: &[UserId],
    limit: i64,
) -> Result<Vec<OddLine>, sqlx::Error> {
    sqlx::query_as!(
        OddLine,
        r#"SELECT user_id AS user, meter, kind, cause, has_event AS "has_event!", is_early AS "is_early!",
                  amount, used, rollover, purchased
           FROM (
               SELECT l.*, kind <> 'usage' OR e.event_id IS NOT NULL AS has_event,
                      coalesce(l.at < extract(epoch FROM e.created), false) AS is_early
               FROM billing.ledger l LEFT JOIN billing.event e
                    ON kind = 'usage' AND e.event_id = cause AND e.event_type = 'usage' AND e.outcome = 'applied'
               WHERE user_id = ANY($1)
           ) AS line
           WHERE NOT has_event OR is_early OR NOT CASE kind
               WHEN 'usage' THEN used >= 0 AND rollover <= 0 AND purchased <= 0
                   AND used::numeric - rollover - purchased = amount
               WHEN 'rollover' THEN used = 0 AND purchased = 0 AND rollover BETWEEN 0 AND amount AND period = ''
               WHEN 'taken_back' THEN used = 0 AND rollover <= 0 AND purchased <= 0
                   AND rollover::numeric + purchased = -amount::numeric AND period = ''
               WHEN 'correction' THEN amount = 0
               ELSE used = 0 AND rollover >= 0 AND purchased >= 0 AND rollover::numeric + purchased = amount
                   AND period = ''
           END
           ORDER BY user_id, meter, kind, cause LIMIT $2"#,
        &users_as_text(users),
        limit,
    )
    .fetch_all(connection)
    .await
}

/// An entry of the ledger that no story tells of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Untold {
    /// Whose.
    pub user: UserId,
    /// Of which meter.
    pub meter: String,
    /// Why it was entered.
    pub kind: EntryKind,
    /// By what.
    pub cause: String,
}

/// Those of the entries that nothing accounts for. A session may turn out to be
/// somebody else's, a refund to be included in another: then there is still the
/// session, or the event. A subscription may turn out to be somebody else's:
/// then a correction took back what had come in of its periods.
pub async fn unaccounted(connection: &mut PgConnection, entries: Vec<Untold>) -> Result<Vec<Untold>, sqlx::Error> {
    if entries.is_empty() {
        return Ok(entries);
    }
    let places = sqlx::query_scalar!(
        r#"SELECT place AS "place!"
           FROM UNNEST($1::text[], $2::text[], $3::text[], $4::text[]) WITH ORDINALITY
               AS t (user_id, meter, kind, cause, place)
           WHERE NOT CASE t.kind
               WHEN 'grant' THEN EXISTS (SELECT FROM billing.pack WHERE session_id = t.cause)
               WHEN 'rollover' THEN EXISTS (SELECT FROM billing.ledger l WHERE l.user_id = t.user_id
                                            AND l.meter = t.meter AND l.kind = 'correction')
               ELSE EXISTS (SELECT FROM billing.fact WHERE event_id = t.cause)
           END"#,
        &column(&entries, |e| e.user.as_str()) as &[&str],
        &column(&entries, |e| e.meter.as_str()) as &[&str],
        &column(&entries, |e| e.kind.as_str()) as &[&str],
        &column(&entries, |e| e.cause.as_str()) as &[&str],
    )
    .fetch_all(connection)
    .await?;
    let is_one = |index: usize| places.iter().any(|p| usize::try_from(*p) == Ok(index + 1));
    let entries = entries.into_iter().enumerate();
    Ok(entries.filter(|(index, _)| is_one(*index)).map(|(_, e)| e).collect())
}

/// The next events of usage that were applied, but are not in the ledger. The
/// ledger has no index that finds one by its cause, which would cost every use
/// more than reading all of it costs an operator now and then: so this may take
/// as long as it takes, until the transaction ends.
pub async fn unentered_after(
    connection: &mut PgConnection,
    after: &str,
    limit: i64,
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query!("SELECT set_config('statement_timeout', '0', true)")
        .fetch_one(&mut *connection)
        .await?;
    // EXCEPT is never planned as one search through the ledger for each event.
    sqlx::query_scalar!(
        r#"SELECT event_id AS "event_id!" FROM (
               SELECT event_id FROM billing.event
               WHERE event_type = 'usage' AND outcome = 'applied' AND event_id > $1
               EXCEPT SELECT cause FROM billing.ledger WHERE kind = 'usage'
           ) AS unentered ORDER BY event_id LIMIT $2"#,
        after,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// Those of the users who have balances.
pub async fn holders(connection: &mut PgConnection, users: &[UserId]) -> Result<Vec<UserId>, sqlx::Error> {
    let rows = sqlx::query_scalar!(
        "SELECT DISTINCT user_id FROM billing.balance WHERE user_id = ANY($1)",
        &users_as_text(users),
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(UserId::new).collect())
}

/// A user without a stored subscription, and which rows there are of them.
#[derive(Debug, Clone)]
pub struct Bare {
    /// Whose.
    pub user: String,
    /// Whether there is an entitlement.
    pub has_entitlement: bool,
    /// Whether there is a row to lock.
    pub has_lock: bool,
}

/// Those of the users who have no stored subscription.
pub async fn bare(connection: &mut PgConnection, users: &[UserId]) -> Result<Vec<Bare>, sqlx::Error> {
    sqlx::query_as!(
        Bare,
        r#"SELECT user_id AS "user!",
                  EXISTS (SELECT FROM billing.entitlement e WHERE e.user_id = t.user_id) AS "has_entitlement!",
                  EXISTS (SELECT FROM billing.app_user a WHERE a.user_id = t.user_id) AS "has_lock!"
           FROM UNNEST($1::text[]) AS t (user_id)
           WHERE NOT EXISTS (SELECT FROM billing.subscription s WHERE s.user_id = t.user_id) ORDER BY user_id"#,
        &users_as_text(users),
    )
    .fetch_all(connection)
    .await
}
