//! Accounts, subscriptions, entitlements, events and facts as they are stored.

use crate::{
    domain::{
        ids::{AccountId, SubscriptionId, UserId},
        moment::Moment,
    },
    store::convert::{accounts_as_text, users_as_text},
};
use serde::Serialize;
use sqlx::PgConnection;

/// A row of `billing.fact`.
#[derive(Debug, Clone)]
pub struct StoredFact {
    /// `event_id`
    pub event_id: String,
    /// `account`
    pub account: String,
    /// `created`, in seconds since 1970
    pub created: i64,
    /// `body`, JSON
    pub body: String,
}

/// A row of `billing.account`.
#[derive(Debug, Clone)]
pub struct StoredAccount {
    /// `account`
    pub account: String,
    /// `owner_claim`, JSON
    pub claim: Option<String>,
    /// `has_returns`
    pub has_returns: bool,
    /// `version`
    pub version: Option<i32>,
}

/// A row of `billing.subscription`.
#[derive(Debug, Clone)]
pub struct StoredSubscription {
    /// `subscription_id`
    pub id: String,
    /// `account`
    pub account: String,
    /// `user_id`
    pub user: Option<String>,
    /// `past_users`
    pub past_users: Vec<String>,
    /// `state`, JSON
    pub state: String,
}

/// A row of `billing.entitlement`, by the names of its columns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the migrations describe the columns")]
pub struct StoredEntitlement {
    pub user_id: String,
    pub since: Option<Moment>,
    pub until: Option<Moment>,
    pub entitled: bool,
    pub status: String,
    pub tier: String,
    pub base_tier: String,
    pub grace_tier: Option<String>,
    pub grace_until: Option<Moment>,
    pub current_period_start: Option<Moment>,
    pub current_period_end: Option<Moment>,
    pub trial_end: Option<Moment>,
    pub is_canceling: bool,
    pub cancel_at: Option<Moment>,
    pub canceled_at: Option<Moment>,
    pub ever_paid: bool,
    pub highest_tier_subscribed: Option<String>,
    pub highest_rank: Option<i32>,
    pub stripe_customer_id: Option<String>,
    pub stripe_subscription_id: Option<String>,
}

/// The next accounts of which anything is stored, after the account `after`.
pub async fn accounts_after(
    connection: &mut PgConnection,
    after: &str,
    limit: i64,
) -> Result<Vec<AccountId>, sqlx::Error> {
    let rows = sqlx::query_scalar!(
        r#"SELECT account AS "account!" FROM (
               (SELECT account FROM billing.account WHERE account > $1 ORDER BY account LIMIT $2)
               UNION (SELECT DISTINCT account FROM billing.fact WHERE account > $1 ORDER BY account LIMIT $2)
               UNION (SELECT DISTINCT account FROM billing.subscription WHERE account > $1 ORDER BY account LIMIT $2)
           ) AS known ORDER BY account LIMIT $2"#,
        after,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(AccountId::new).collect())
}

/// The facts that concern the accounts: their own, and those about their returned payments.
pub async fn facts(connection: &mut PgConnection, accounts: &[AccountId]) -> Result<Vec<StoredFact>, sqlx::Error> {
    sqlx::query_as!(
        StoredFact,
        r#"SELECT event_id AS "event_id!", account AS "account!", extract(epoch FROM created)::bigint AS "created!",
                  body::text AS "body!"
           FROM billing.fact WHERE account = ANY($1)
           UNION ALL
           SELECT event_id, account, extract(epoch FROM created)::bigint, body::text FROM billing.fact
           WHERE account <> ALL($1) AND payment IN (
               SELECT p.payment FROM billing.payment p JOIN billing.invoice i USING (invoice)
               WHERE p.returned AND i.account = ANY($1))"#,
        &accounts_as_text(accounts),
    )
    .fetch_all(connection)
    .await
}

/// The rows of the accounts.
pub async fn accounts(
    connection: &mut PgConnection,
    accounts: &[AccountId],
) -> Result<Vec<StoredAccount>, sqlx::Error> {
    sqlx::query_as!(
        StoredAccount,
        "SELECT account, owner_claim::text AS claim, has_returns, version FROM billing.account WHERE account = ANY($1)",
        &accounts_as_text(accounts),
    )
    .fetch_all(connection)
    .await
}

/// The subscriptions with these accounts or these ids.
pub async fn subscriptions(
    connection: &mut PgConnection,
    accounts: &[AccountId],
    ids: &[SubscriptionId],
) -> Result<Vec<StoredSubscription>, sqlx::Error> {
    let ids: Vec<&str> = ids.iter().map(SubscriptionId::as_str).collect();
    sqlx::query_as!(
        StoredSubscription,
        r#"SELECT subscription_id AS id, account, user_id AS user, past_users, state::text AS "state!"
           FROM billing.subscription
           WHERE account = ANY($1) OR subscription_id = ANY($2) ORDER BY subscription_id"#,
        &accounts_as_text(accounts),
        &ids as &[&str],
    )
    .fetch_all(connection)
    .await
}

/// The users' accounts outside of `page`, and whether each comes before the page's
/// first account.
pub async fn accounts_elsewhere(
    connection: &mut PgConnection,
    users: &[UserId],
    page: &[AccountId],
) -> Result<Vec<(UserId, AccountId, bool)>, sqlx::Error> {
    let first = page.first().map_or("", AccountId::as_str);
    let rows = sqlx::query!(
        r#"SELECT DISTINCT user_id AS "user!", account, account < $3 AS "earlier!" FROM billing.subscription
           WHERE user_id = ANY($1) AND account <> ALL($2)"#,
        &users_as_text(users),
        &accounts_as_text(page),
        first,
    )
    .fetch_all(connection)
    .await?;
    let rows = rows.into_iter();
    Ok(rows
        .map(|r| (UserId::new(r.user), AccountId::new(r.account), r.earlier))
        .collect())
}

/// Which of the users have a row in `billing.app_user`.
pub async fn known_users(connection: &mut PgConnection, users: &[UserId]) -> Result<Vec<UserId>, sqlx::Error> {
    let rows = sqlx::query_scalar!(
        "SELECT user_id FROM billing.app_user WHERE user_id = ANY($1)",
        &users_as_text(users)
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(UserId::new).collect())
}

/// The users' entitlements.
pub async fn entitlements(
    connection: &mut PgConnection,
    users: &[UserId],
) -> Result<Vec<StoredEntitlement>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT user_id, CASE WHEN isfinite(since) THEN extract(epoch FROM since)::bigint END AS since,
                  CASE WHEN isfinite(until) THEN extract(epoch FROM until)::bigint END AS until,
                  entitled, status, tier, base_tier, grace_tier, extract(epoch FROM grace_until)::bigint AS grace_until,
                  extract(epoch FROM current_period_start)::bigint AS current_period_start,
                  extract(epoch FROM current_period_end)::bigint AS current_period_end,
                  extract(epoch FROM trial_end)::bigint AS trial_end, is_canceling,
                  extract(epoch FROM cancel_at)::bigint AS cancel_at,
                  extract(epoch FROM canceled_at)::bigint AS canceled_at, ever_paid, highest_tier_subscribed,
                  highest_rank, stripe_customer_id, stripe_subscription_id
           FROM billing.entitlement e WHERE user_id = ANY($1) ORDER BY user_id, e.since"#,
        &users_as_text(users),
    )
    .fetch_all(connection)
    .await?;
    let stored = rows.into_iter().map(|r| StoredEntitlement {
        user_id: r.user_id,
        since: r.since.map(Moment),
        until: r.until.map(Moment),
        entitled: r.entitled,
        status: r.status,
        tier: r.tier,
        base_tier: r.base_tier,
        grace_tier: r.grace_tier,
        grace_until: r.grace_until.map(Moment),
        current_period_start: r.current_period_start.map(Moment),
        current_period_end: r.current_period_end.map(Moment),
        trial_end: r.trial_end.map(Moment),
        is_canceling: r.is_canceling,
        cancel_at: r.cancel_at.map(Moment),
        canceled_at: r.canceled_at.map(Moment),
        ever_paid: r.ever_paid,
        highest_tier_subscribed: r.highest_tier_subscribed,
        highest_rank: r.highest_rank,
        stripe_customer_id: r.stripe_customer_id,
        stripe_subscription_id: r.stripe_subscription_id,
    });
    Ok(stored.collect())
}

/// The user of an entitlement, and where the user's facts may be.
#[derive(Debug, Clone)]
pub struct EntitledUser {
    /// `user_id`
    pub user: String,
    /// Whether a stored subscription has this user.
    pub has_subscription: bool,
    /// `stripe_customer_id`
    pub customer: Option<String>,
}

/// The next users who have an entitlement, after the user `after`.
pub async fn entitled_users_after(
    connection: &mut PgConnection,
    after: &str,
    limit: i64,
) -> Result<Vec<EntitledUser>, sqlx::Error> {
    sqlx::query_as!(
        EntitledUser,
        r#"SELECT DISTINCT ON (user_id) user_id AS user, stripe_customer_id AS customer,
                  EXISTS (SELECT FROM billing.subscription s WHERE s.user_id = e.user_id) AS "has_subscription!"
           FROM billing.entitlement e WHERE user_id > $1 ORDER BY user_id, since LIMIT $2"#,
        after,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// A page of ids, and those that have no counterpart.
#[derive(Debug, Clone)]
pub struct UnmatchedPage {
    /// The last id of the page; `None` after the last page.
    pub last: Option<String>,
    /// The ids of those without a counterpart.
    pub unmatched: Vec<String>,
}

/// The next events after the id `after`. Unmatched are those of these `types` that were
/// applied but have no fact.
pub async fn events_after(
    connection: &mut PgConnection,
    after: &str,
    limit: i64,
    types: &[&str],
) -> Result<UnmatchedPage, sqlx::Error> {
    sqlx::query_as!(
        UnmatchedPage,
        r#"SELECT max(event_id) AS last, coalesce(array_agg(event_id) FILTER (
               WHERE outcome = 'applied' AND event_type = ANY($3)
               AND NOT EXISTS (SELECT FROM billing.fact f WHERE f.event_id = e.event_id)), '{}') AS "unmatched!"
           FROM (SELECT event_id, event_type, outcome FROM billing.event
                 WHERE event_id > $1 ORDER BY event_id LIMIT $2) AS e"#,
        after,
        limit,
        types as &[&str],
    )
    .fetch_one(connection)
    .await
}

/// The next facts after the id `after`. Unmatched are those whose event was not applied.
pub async fn facts_after(connection: &mut PgConnection, after: &str, limit: i64) -> Result<UnmatchedPage, sqlx::Error> {
    sqlx::query_as!(
        UnmatchedPage,
        r#"SELECT max(event_id) AS last, coalesce(array_agg(event_id) FILTER (
               WHERE NOT EXISTS (SELECT FROM billing.event e WHERE e.event_id = f.event_id AND e.outcome = 'applied')),
               '{}') AS "unmatched!"
           FROM (SELECT event_id FROM billing.fact WHERE event_id > $1 ORDER BY event_id LIMIT $2) AS f"#,
        after,
        limit,
    )
    .fetch_one(connection)
    .await
}
