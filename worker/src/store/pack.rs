//! Sessions that bought credits: whose they are, and by which payment.

use super::{column, users_as_text};
use crate::domain::ids::{AccountId, UserId};
use sqlx::PgConnection;

/// Locks payments, which must be sorted, until the transaction ends: a session
/// and its refund may be told to two workers at once.
pub async fn lock_payments(connection: &mut PgConnection, payments: &[&str]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO billing.payment AS known (payment) SELECT * FROM UNNEST($1::text[])
         ON CONFLICT (payment) DO UPDATE SET folds = known.folds + 1",
        payments as &[&str],
    )
    .execute(connection)
    .await
    .map(|_| ())
}

/// A session that bought credits, and a user whose balances it concerns.
#[derive(Debug, Clone)]
pub struct Concerned {
    /// Whose it is, or was taken for.
    pub user: String,
    /// The session.
    pub session: String,
    /// Its payment.
    pub payment: Option<String>,
    /// Its account.
    pub account: String,
}

/// A session to be kept.
#[derive(Debug, Clone, Copy)]
pub struct Sold<'a> {
    /// The session.
    pub session: &'a str,
    /// Its account.
    pub account: &'a AccountId,
    /// Its payment.
    pub payment: Option<&'a str>,
    /// Whose it is, as far as that is known.
    pub user: Option<&'a UserId>,
    /// The session itself names them.
    pub named: bool,
}

/// Keeps sessions, each once; returns whose they were and whose they are.
pub async fn keep(connection: &mut PgConnection, sold: &[Sold<'_>]) -> Result<Vec<Concerned>, sqlx::Error> {
    sqlx::query_as!(
        Concerned,
        r#"WITH sold AS (
               SELECT * FROM UNNEST($1::text[], $2::text[], $3::text[], $4::text[], $5::boolean[])
                   AS t (session_id, account, payment, user_id, named)
           ), kept AS (
               INSERT INTO billing.pack (session_id, account, payment, user_id, named) SELECT * FROM sold
               ON CONFLICT (session_id) DO UPDATE
               SET payment = excluded.payment, user_id = excluded.user_id, named = excluded.named
           )
           SELECT user_id AS "user!", session_id AS "session!", payment, account AS "account!" FROM sold
           WHERE user_id IS NOT NULL
           UNION SELECT before.user_id, session_id, before.payment, before.account
           FROM billing.pack AS before JOIN sold USING (session_id) WHERE before.user_id IS NOT NULL"#,
        &column(sold, |s| s.session) as &[&str],
        &column(sold, |s| s.account.as_str()) as &[&str],
        &column(sold, |s| s.payment) as &[Option<&str>],
        &column(sold, |s| s.user.map(UserId::as_str)) as &[Option<&str>],
        &column(sold, |s| s.named),
    )
    .fetch_all(connection)
    .await
}

/// Gives the sessions that name nobody to the users of their accounts, where
/// these are new; returns whose they were and whose they are, and the users of
/// these payments.
pub async fn concerned(
    connection: &mut PgConnection,
    owners: &[(&AccountId, Option<&UserId>)],
    payments: &[&str],
) -> Result<Vec<Concerned>, sqlx::Error> {
    sqlx::query_as!(
        Concerned,
        r#"WITH owned AS (
               SELECT before.*, t.user_id AS owner
               FROM billing.pack AS before JOIN UNNEST($1::text[], $2::text[]) AS t (account, user_id) USING (account)
               WHERE NOT named AND before.user_id IS DISTINCT FROM t.user_id
           ), given AS (
               UPDATE billing.pack SET user_id = owned.owner FROM owned WHERE pack.session_id = owned.session_id
           )
           SELECT user_id AS "user!", session_id AS "session!", payment, account AS "account!"
           FROM owned WHERE user_id IS NOT NULL
           UNION SELECT owner, session_id, payment, account FROM owned WHERE owner IS NOT NULL
           UNION SELECT user_id, session_id, payment, account FROM billing.pack
               WHERE user_id IS NOT NULL AND payment = ANY($3)"#,
        &column(owners, |(account, _)| account.as_str()) as &[&str],
        &column(owners, |(_, user)| user.map(UserId::as_str)) as &[Option<&str>],
        payments as &[&str],
    )
    .fetch_all(connection)
    .await
}

/// The accounts that hold something of each of these users: subscriptions or
/// sessions that bought credits.
pub async fn accounts_of(
    connection: &mut PgConnection,
    users: &[UserId],
) -> Result<Vec<(UserId, AccountId)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT user_id AS "user!", account AS "account!" FROM billing.subscription WHERE user_id = ANY($1)
           UNION SELECT user_id, account FROM billing.pack WHERE user_id = ANY($1)"#,
        &users_as_text(users),
    )
    .fetch_all(connection)
    .await?;
    let rows = rows.into_iter();
    Ok(rows.map(|r| (UserId::new(r.user), AccountId::new(r.account))).collect())
}
