//! Sessions that bought credits: whose they are, and by which payment.

use super::{column, users_as_text};
use crate::domain::{
    fact::{Fact, Said},
    grants::buyer,
    ids::{AccountId, UserId},
};
use sqlx::PgConnection;
use std::collections::BTreeSet;

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
    pub user: UserId,
    /// The session.
    pub session: String,
    /// Its payment.
    pub payment: Option<String>,
    /// Its account.
    pub account: String,
}

/// Keeps the sessions among these facts that bought credits, and tells whose
/// they are as far as it is known; returns the users of all payments that the
/// facts are about. `customers` are the users of accounts whose owner is new.
pub async fn keep(
    connection: &mut PgConnection,
    facts: &[&Fact],
    customers: &[(&AccountId, Option<&UserId>)],
) -> Result<Vec<Concerned>, sqlx::Error> {
    let mut sessions: Vec<_> = facts
        .iter()
        .filter_map(|fact| match &fact.said {
            Said::Session(session) if session.grant.is_some() => Some((*fact, session)),
            _ => None,
        })
        .collect();
    // Of several events of one session the one that names a user.
    sessions.sort_by_key(|(_, s)| (&s.session, buyer(s, None).is_none()));
    sessions.dedup_by_key(|(_, s)| &s.session);
    let named = |s| buyer(s, None).map(UserId::as_str);
    if !sessions.is_empty() {
        sqlx::query!(
            "INSERT INTO billing.pack AS known (session_id, account, payment, user_id, named)
             SELECT session_id, t.account, payment, coalesce(user_id, claim ->> 'user'), user_id IS NOT NULL
             FROM UNNEST($1::text[], $2::text[], $3::text[], $4::text[]) AS t (session_id, account, payment, user_id)
             LEFT JOIN billing.account ON account.account = t.account
             ON CONFLICT (session_id) DO UPDATE
             SET payment = coalesce(known.payment, excluded.payment),
                 user_id = CASE WHEN excluded.named AND NOT known.named THEN excluded.user_id ELSE known.user_id END,
                 named = known.named OR excluded.named",
            &column(&sessions, |(_, s)| s.session.as_str()) as &[&str],
            &column(&sessions, |(f, _)| f.account.as_str()) as &[&str],
            &column(&sessions, |(_, s)| s.payment_intent.as_deref()) as &[Option<&str>],
            &column(&sessions, |(_, s)| named(s)) as &[Option<&str>],
        )
        .execute(&mut *connection)
        .await?;
    }
    if !sessions.is_empty() {
        agree(connection, &column(&sessions, |(_, s)| s.session.as_str()), facts).await?;
    }
    let payments: BTreeSet<&str> = facts.iter().filter_map(|f| f.said.payment()).collect();
    let rows = sqlx::query!(
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
           UNION SELECT user_id, session_id, payment, account FROM billing.pack WHERE user_id IS NOT NULL
               AND (payment = ANY($3) OR session_id = ANY($4))"#,
        &column(customers, |(account, _)| account.as_str()) as &[&str],
        &column(customers, |(_, user)| user.map(UserId::as_str)) as &[Option<&str>],
        &payments.into_iter().collect::<Vec<_>>() as &[&str],
        &column(&sessions, |(_, s)| s.session.as_str()) as &[&str],
    )
    .fetch_all(connection)
    .await?;
    let concerned = rows.into_iter().map(|r| Concerned {
        user: UserId::new(r.user),
        session: r.session,
        payment: r.payment,
        account: r.account,
    });
    Ok(concerned.collect())
}

/// What a session granted stays, also where the catalog has changed until it is
/// told again: its new facts say what the old ones do.
async fn agree(connection: &mut PgConnection, sessions: &[&str], facts: &[&Fact]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE billing.fact AS new
         SET body = jsonb_set(new.body::jsonb, '{said,session,grant}', old.body::jsonb #> '{said,session,grant}')::json
         FROM billing.pack JOIN billing.fact AS old USING (account)
         WHERE session_id = ANY($1) AND new.event_id = ANY($2) AND new.account = old.account
             AND old.event_id <> ALL($2) AND old.body #>> '{said,session,session}' = session_id
             AND new.body #>> '{said,session,session}' = session_id
             AND old.body::jsonb #> '{said,session,grant}' <> 'null'
             AND new.body::jsonb #> '{said,session,grant}' <> 'null'
             AND new.body::jsonb #> '{said,session,grant}' <> old.body::jsonb #> '{said,session,grant}'",
        sessions as &[&str],
        &column(facts, |f| f.event_id.as_str()) as &[&str],
    )
    .execute(connection)
    .await
    .map(|_| ())
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
