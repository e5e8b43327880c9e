//! The folded state of subscriptions.

use super::convert::{accounts_as_text, column, to_json, unreadable, users_as_text};
use crate::domain::{
    ids::{AccountId, UserId},
    subscription::{account::Account, state::Subscription},
};
use sqlx::PgConnection;
use std::collections::HashSet;

pub(super) fn read(id: &str, state: &str) -> Result<Subscription, sqlx::Error> {
    serde_json::from_str(state).map_err(|e| unreadable("subscription", id, &e))
}

/// The users' subscriptions in other accounts than `but_of`.
pub async fn of_users(
    connection: &mut PgConnection,
    users: &[UserId],
    but_of: &[AccountId],
) -> Result<Vec<Subscription>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT subscription_id, state::text AS "state!" FROM billing.subscription
           WHERE user_id = ANY($1) AND account <> ALL($2)"#,
        &users_as_text(users),
        &accounts_as_text(but_of),
    )
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| read(&row.subscription_id, &row.state)).collect()
}

/// What folding has changed.
#[derive(Debug, Default)]
pub struct SubscriptionChanges<'a> {
    /// Subscriptions, each with its account.
    pub subscriptions: Vec<(&'a AccountId, &'a Subscription)>,
    /// Accounts whose owner claim, returns or version is new.
    pub accounts: Vec<(&'a AccountId, &'a Account)>,
    /// The version of the ranks in force.
    pub version: i32,
    /// The users that this affects; sorted.
    pub users: &'a [UserId],
}

/// Writes the changes and locks the affected users until the transaction ends.
/// Returns the users who had a row before.
pub async fn write(
    connection: &mut PgConnection,
    changes: &SubscriptionChanges<'_>,
) -> Result<HashSet<UserId>, sqlx::Error> {
    let subscriptions = &changes.subscriptions;
    let states = subscriptions
        .iter()
        .map(|(_, s)| to_json(s))
        .collect::<Result<Vec<_>, _>>()?;
    // A user's id may contain any character, so the list is JSON. Hardly any has one.
    let past_users = |(_, s): &(&AccountId, &Subscription)| {
        let past = s.past_users();
        (!past.is_empty()).then(|| to_json(&past)).transpose()
    };
    let past_users = subscriptions.iter().map(past_users).collect::<Result<Vec<_>, _>>()?;
    let claims = changes
        .accounts
        .iter()
        .map(|(_, account)| account.claim.as_ref().map(to_json).transpose())
        .collect::<Result<Vec<_>, _>>()?;
    let users = sqlx::query!(
        r#"
        WITH states AS (
            INSERT INTO billing.subscription (subscription_id, account, user_id, past_users, state, unseen)
            SELECT subscription_id, account, user_id, ARRAY(SELECT json_array_elements_text(past_users::json)),
                   state::json, unseen
            FROM UNNEST($1::text[], $2::text[], $3::text[], $4::text[], $9::boolean[], $11::text[])
                AS t (subscription_id, account, user_id, state, unseen, past_users)
            ON CONFLICT (subscription_id) DO UPDATE
            SET account = excluded.account, user_id = excluded.user_id, past_users = excluded.past_users,
                state = excluded.state, unseen = excluded.unseen, changed_at = now()
        ), claims AS (
            UPDATE billing.account SET owner_claim = t.claim::json, has_returns = t.has_returns, version = $8
            FROM UNNEST($5::text[], $6::text[], $10::boolean[]) AS t (account, claim, has_returns)
            WHERE account.account = t.account
        )
        INSERT INTO billing.app_user AS known (user_id) SELECT * FROM UNNEST($7::text[])
        ON CONFLICT (user_id) DO UPDATE SET lock_count = known.lock_count + 1
        RETURNING user_id, lock_count > 1 AS "known!"
        "#,
        &column(subscriptions, |(_, s)| s.id.as_str()) as &[&str],
        &column(subscriptions, |(account, _)| account.as_str()) as &[&str],
        &column(subscriptions, |(_, s)| s.user.as_ref().map(UserId::as_str)) as &[Option<&str>],
        &states,
        &column(&changes.accounts, |(account, _)| account.as_str()) as &[&str],
        &claims as &[Option<String>],
        &users_as_text(changes.users),
        changes.version,
        &column(subscriptions, |(_, s)| s.latest.is_none()),
        &column(&changes.accounts, |(_, account)| account.has_returns),
        &past_users as &[Option<String>],
    )
    .fetch_all(connection)
    .await?;
    Ok(users
        .into_iter()
        .filter(|r| r.known)
        .map(|r| UserId::new(r.user_id))
        .collect())
}

/// What waits for a later event: how many, and the age of the oldest in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitingCounts {
    /// Subscriptions without a user, except those that have ended.
    pub unlinked: (i64, i64),
    /// Subscriptions of which only an invoice or a session is known.
    pub unseen: (i64, i64),
    /// Packs without a user.
    pub packs: (i64, i64),
}

/// Counts what waits for a later event.
pub async fn waiting(connection: &mut PgConnection) -> Result<WaitingCounts, sqlx::Error> {
    let row = sqlx::query!(
        r#"SELECT unlinked.waiting AS "unlinked!", unlinked.oldest AS "unlinked_oldest!",
                  unseen.waiting AS "unseen!", unseen.oldest AS "unseen_oldest!",
                  packs.waiting AS "packs!", packs.oldest AS "packs_oldest!"
           FROM (SELECT count(*) AS waiting, coalesce(extract(epoch FROM now() - min(first_seen)), 0)::bigint AS oldest
                 FROM billing.subscription WHERE user_id IS NULL AND NOT (state ->> 'ended')::boolean) AS unlinked,
                (SELECT count(*) AS waiting, coalesce(extract(epoch FROM now() - min(first_seen)), 0)::bigint AS oldest
                 FROM billing.subscription WHERE unseen) AS unseen,
                (SELECT count(*) AS waiting, coalesce(extract(epoch FROM now() - min(first_seen)), 0)::bigint AS oldest
                 FROM billing.pack WHERE user_id IS NULL) AS packs"#
    )
    .fetch_one(connection)
    .await?;
    Ok(WaitingCounts {
        unlinked: (row.unlinked, row.unlinked_oldest),
        unseen: (row.unseen, row.unseen_oldest),
        packs: (row.packs, row.packs_oldest),
    })
}
