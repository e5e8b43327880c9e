//! Packs: sales of credits, their users and payments.

use super::convert::{accounts_as_text, column, users_as_text};
use crate::domain::ids::{AccountId, UserId};
use sqlx::PgConnection;

/// A pack, and a user whose balances it changes.
#[derive(Debug, Clone)]
pub struct AffectedPack {
    /// The user who has it, or had it before.
    pub user: String,
    /// Its checkout session, or its invoice.
    pub sale: String,
    /// Its payment.
    pub payment: Option<String>,
    /// Its account.
    pub account: String,
}

/// A pack to store.
#[derive(Debug, Clone, Copy)]
pub struct NewPack<'a> {
    /// Its checkout session, or its invoice.
    pub sale: &'a str,
    /// Its account.
    pub account: &'a AccountId,
    /// Its payment.
    pub payment: Option<&'a str>,
    /// The user who gets the credits, if one is known.
    pub user: Option<&'a UserId>,
    /// Whether its session names the user.
    pub names_user: bool,
}

/// Stores packs. Returns each with the user who had it before and the user who has it
/// now.
pub async fn store(connection: &mut PgConnection, sold: &[NewPack<'_>]) -> Result<Vec<AffectedPack>, sqlx::Error> {
    sqlx::query_as!(
        AffectedPack,
        r#"WITH sold AS (
               SELECT * FROM UNNEST($1::text[], $2::text[], $3::text[], $4::text[], $5::boolean[])
                   AS t (sale_id, account, payment, user_id, names_user)
           ), stored AS (
               INSERT INTO billing.pack (sale_id, account, payment, user_id, names_user) SELECT * FROM sold
               ON CONFLICT (sale_id) DO UPDATE
               SET payment = excluded.payment, user_id = excluded.user_id, names_user = excluded.names_user
           )
           SELECT user_id AS "user!", sale_id AS "sale!", payment, account AS "account!" FROM sold
           WHERE user_id IS NOT NULL
           UNION SELECT before.user_id, sale_id, before.payment, before.account
           FROM billing.pack AS before JOIN sold USING (sale_id) WHERE before.user_id IS NOT NULL"#,
        &column(sold, |s| s.sale) as &[&str],
        &column(sold, |s| s.account.as_str()) as &[&str],
        &column(sold, |s| s.payment) as &[Option<&str>],
        &column(sold, |s| s.user.map(UserId::as_str)) as &[Option<&str>],
        &column(sold, |s| s.names_user),
    )
    .fetch_all(connection)
    .await
}

/// Gives the packs that name no user to their accounts' users (`owners`). Returns each
/// moved pack with its old and its new user, and each pack of these payments or invoices.
pub async fn assign(
    connection: &mut PgConnection,
    owners: &[(&AccountId, Option<&UserId>)],
    payments: &[&str],
    invoices: &[&str],
) -> Result<Vec<AffectedPack>, sqlx::Error> {
    sqlx::query_as!(
        AffectedPack,
        r#"WITH owned AS (
               SELECT before.*, t.user_id AS owner
               FROM billing.pack AS before JOIN UNNEST($1::text[], $2::text[]) AS t (account, user_id) USING (account)
               WHERE NOT names_user AND before.user_id IS DISTINCT FROM t.user_id
           ), given AS (
               UPDATE billing.pack SET user_id = owned.owner FROM owned WHERE pack.sale_id = owned.sale_id
           )
           SELECT user_id AS "user!", sale_id AS "sale!", payment, account AS "account!"
           FROM owned WHERE user_id IS NOT NULL
           UNION SELECT owner, sale_id, payment, account FROM owned WHERE owner IS NOT NULL
           UNION SELECT user_id, sale_id, payment, account FROM billing.pack
               WHERE user_id IS NOT NULL AND payment = ANY($3)
           UNION SELECT user_id, sale_id, payment, account FROM billing.pack
               WHERE user_id IS NOT NULL AND sale_id = ANY($4)"#,
        &column(owners, |(account, _)| account.as_str()) as &[&str],
        &column(owners, |(_, user)| user.map(UserId::as_str)) as &[Option<&str>],
        payments as &[&str],
        invoices as &[&str],
    )
    .fetch_all(connection)
    .await
}

/// Which of the accounts have a pack.
pub async fn with_packs(connection: &mut PgConnection, accounts: &[AccountId]) -> Result<Vec<AccountId>, sqlx::Error> {
    let rows = sqlx::query_scalar!(
        "SELECT DISTINCT account FROM billing.pack WHERE account = ANY($1)",
        &accounts_as_text(accounts),
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(AccountId::new).collect())
}

/// The accounts that have or had a subscription of each of these users, or have a pack.
pub async fn accounts_of(
    connection: &mut PgConnection,
    users: &[UserId],
) -> Result<Vec<(UserId, AccountId)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT user_id AS "user!", account AS "account!" FROM billing.subscription WHERE user_id = ANY($1)
           UNION SELECT past.user_id, account FROM billing.subscription, unnest(past_users) AS past (user_id)
                 WHERE past_users <> '{}' AND past_users && $1 AND past.user_id = ANY($1)
           UNION SELECT user_id, account FROM billing.pack WHERE user_id = ANY($1)"#,
        &users_as_text(users),
    )
    .fetch_all(connection)
    .await?;
    let rows = rows.into_iter();
    Ok(rows.map(|r| (UserId::new(r.user), AccountId::new(r.account))).collect())
}
