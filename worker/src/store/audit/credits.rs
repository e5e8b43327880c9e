//! Balances, packs and rows of the ledger as they are stored.

use super::stored::StoredFact;
use crate::{
    domain::{
        balance::timeline::EntryKind,
        ids::{AccountId, UserId},
        subscription::state::VERSION,
    },
    store::convert::{accounts_as_text, column, users_as_text},
};
use sqlx::PgConnection;

/// The next users who have balances or should have some, after the user `after`.
pub async fn users_after(connection: &mut PgConnection, after: &str, limit: i64) -> Result<Vec<UserId>, sqlx::Error> {
    let rows = sqlx::query_scalar!(
        r#"SELECT user_id AS "user!" FROM (
               (SELECT DISTINCT user_id FROM billing.balance WHERE user_id > $1 ORDER BY user_id LIMIT $2)
               UNION (SELECT DISTINCT user_id FROM billing.ledger WHERE user_id > $1 ORDER BY user_id LIMIT $2)
               UNION (SELECT DISTINCT user_id FROM billing.pack WHERE user_id > $1 ORDER BY user_id LIMIT $2)
               UNION (SELECT DISTINCT user_id FROM billing.subscription WHERE user_id > $1 ORDER BY user_id LIMIT $2)
               UNION (SELECT DISTINCT past.user_id FROM billing.subscription, unnest(past_users) AS past (user_id)
                      WHERE past_users <> '{}' AND past.user_id > $1 ORDER BY user_id LIMIT $2)
           ) AS known ORDER BY user_id LIMIT $2"#,
        after,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(UserId::new).collect())
}

/// The accounts of these users: those that a worker would read, and those that any
/// other row of the user points to. So one wrong row does not make others look wrong.
pub async fn accounts_of(
    connection: &mut PgConnection,
    users: &[UserId],
) -> Result<Vec<(UserId, AccountId)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT user_id AS "user!", account AS "account!" FROM billing.subscription WHERE user_id = ANY($1)
           UNION SELECT past.user_id, account FROM billing.subscription, unnest(past_users) AS past (user_id)
                 WHERE past_users <> '{}' AND past_users && $1 AND past.user_id = ANY($1)
           UNION SELECT user_id, account FROM billing.pack WHERE user_id = ANY($1)
           UNION SELECT b.user_id, account FROM billing.balance b JOIN billing.subscription USING (subscription_id)
                 WHERE b.user_id = ANY($1)
           UNION SELECT l.user_id, account FROM billing.ledger l JOIN billing.pack ON sale_id = cause
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

/// Which of the accounts `worker migrate` has yet to fold again. `version` is that of the
/// ranks in force.
pub async fn outdated(
    connection: &mut PgConnection,
    accounts: &[AccountId],
    version: i32,
) -> Result<Vec<AccountId>, sqlx::Error> {
    let rows = sqlx::query_scalar!(
        r#"SELECT account AS "account!" FROM billing.account WHERE account = ANY($1) AND version IS DISTINCT FROM $2
           UNION SELECT account FROM billing.subscription
                 WHERE account = ANY($1) AND (state ->> 'version')::integer IS DISTINCT FROM $3"#,
        &accounts_as_text(accounts),
        version,
        VERSION,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(AccountId::new).collect())
}

/// The facts about these payments that belong to other accounts than `but_of`.
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
    /// `sale_id`
    pub sale: String,
    /// `account`
    pub account: String,
    /// `payment`
    pub payment: Option<String>,
    /// `user_id`
    pub user: Option<String>,
    /// `names_user`
    pub names_user: bool,
}

/// The packs with these accounts or these sales.
pub async fn packs(
    connection: &mut PgConnection,
    accounts: &[AccountId],
    sales: &[&str],
) -> Result<Vec<StoredPack>, sqlx::Error> {
    sqlx::query_as!(
        StoredPack,
        "SELECT sale_id AS sale, account, payment, user_id AS user, names_user FROM billing.pack
         WHERE account = ANY($1) OR sale_id = ANY($2) ORDER BY sale_id",
        &accounts_as_text(accounts),
        sales as &[&str],
    )
    .fetch_all(connection)
    .await
}

/// A row of the ledger that contradicts itself or its event.
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
    /// Whether its event was applied; true for other kinds than usage.
    pub has_event: bool,
    /// Whether it counts before the time of its event; false for other kinds than usage.
    pub is_early: bool,
    /// `amount`
    pub amount: i64,
    /// `used`
    pub used: i64,
    /// `rollover`
    pub rollover: i64,
    /// `purchased`
    pub purchased: i64,
}

/// The users' ledger rows that contradict themselves, whatever the balance was, and
/// usage without its event. At most `limit`.
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
               WHEN 'overused' THEN used = 0 AND purchased = 0 AND rollover = -amount AND amount > 0 AND period = ''
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

/// A row of the ledger that the timeline does not contain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnexplainedEntry {
    /// The user.
    pub user: UserId,
    /// The meter.
    pub meter: String,
    /// Its kind.
    pub kind: EntryKind,
    /// Its cause.
    pub cause: String,
}

/// Which of the entries really have no reason. Three kinds of entries have one although
/// the timeline does not contain them: a pack that turned out to be another user's (the
/// sale is still stored), a refund that another refund includes (its event is still
/// stored), and rollover of a subscription that turned out to be another user's (a
/// correction has taken it back).
pub async fn without_reason(
    connection: &mut PgConnection,
    entries: Vec<UnexplainedEntry>,
) -> Result<Vec<UnexplainedEntry>, sqlx::Error> {
    if entries.is_empty() {
        return Ok(entries);
    }
    let places = sqlx::query_scalar!(
        r#"SELECT place AS "place!"
           FROM UNNEST($1::text[], $2::text[], $3::text[], $4::text[]) WITH ORDINALITY
               AS t (user_id, meter, kind, cause, place)
           WHERE NOT CASE t.kind
               WHEN 'grant' THEN EXISTS (SELECT FROM billing.pack WHERE sale_id = t.cause)
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

/// The next applied usage events that are not in the ledger, after the id `after`. This
/// reads the whole ledger, so it has no time limit until the transaction ends.
pub async fn missing_usage_after(
    connection: &mut PgConnection,
    after: &str,
    limit: i64,
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query!("SELECT set_config('statement_timeout', '0', true)")
        .fetch_one(&mut *connection)
        .await?;
    // EXCEPT is never planned as one search of the ledger per event.
    sqlx::query_scalar!(
        r#"SELECT event_id AS "event_id!" FROM (
               SELECT event_id FROM billing.event
               WHERE event_type = 'usage' AND outcome = 'applied' AND event_id > $1
               EXCEPT SELECT cause FROM billing.ledger WHERE kind = 'usage'
           ) AS missing ORDER BY event_id LIMIT $2"#,
        after,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// Which of the users have balances.
pub async fn holders(connection: &mut PgConnection, users: &[UserId]) -> Result<Vec<UserId>, sqlx::Error> {
    let rows = sqlx::query_scalar!(
        "SELECT DISTINCT user_id FROM billing.balance WHERE user_id = ANY($1)",
        &users_as_text(users),
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(UserId::new).collect())
}

/// A user without a stored subscription, and which rows the user has.
#[derive(Debug, Clone)]
pub struct UserWithoutSubscription {
    /// The user.
    pub user: String,
    /// Whether there is a row in `billing.entitlement`.
    pub has_entitlement: bool,
    /// Whether there is a row in `billing.app_user`.
    pub has_lock: bool,
}

/// Which of the users have no stored subscription.
pub async fn without_subscription(
    connection: &mut PgConnection,
    users: &[UserId],
) -> Result<Vec<UserWithoutSubscription>, sqlx::Error> {
    sqlx::query_as!(
        UserWithoutSubscription,
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
