//! Claims event ids, so that a second delivery of an event has no effect. One round
//! trip claims the ids, stores bodies and facts, and locks the facts' accounts.

use super::{
    convert::{column, to_json},
    dead_letter,
    payment::ReturnedPayment,
};
use crate::domain::{
    fact::{Fact, FactBody},
    ids::{AccountId, EventId},
    subscription::link,
};
use sqlx::PgConnection;
use std::collections::{BTreeMap, HashSet};

/// An event to claim, and what to record if it is new.
#[derive(Debug, Clone, Copy)]
pub struct EventClaim<'a> {
    /// Its id.
    pub event: &'a EventId,
    /// Its type.
    pub kind: &'a str,
    /// The event's own `created`, in seconds since 1970.
    pub created: Option<i64>,
    /// When it was received, in milliseconds since 1970.
    pub received_at_ms: i64,
    /// `applied`, `ignored` or `dead`.
    pub outcome: &'static str,
    /// Why it is not applied; `None` if it is.
    pub reason: Option<&'static str>,
    /// The raw body. `None` for usage: the ledger records all of it.
    pub body: Option<&'a [u8]>,
    /// The fact, if it is one.
    pub fact: Option<&'a Fact>,
}

/// The result of claiming a batch.
#[derive(Debug, Default)]
pub struct ClaimedEvents {
    /// Events that are new, or that were dead and can be applied now.
    pub new: HashSet<String>,
    /// Events whose account another transaction has locked. Nothing was written for them.
    pub busy: HashSet<String>,
    /// Accounts that had no row before.
    pub first_seen: HashSet<String>,
}

/// A row of the answer: an event, or an account.
struct ClaimRow {
    id: String,
    revived: bool,
    busy: bool,
    first_seen: bool,
}

impl ClaimedEvents {
    fn of(rows: Vec<ClaimRow>) -> Self {
        let mut claimed = Self::default();
        for row in rows {
            let set = match (row.busy, row.first_seen) {
                (true, _) => &mut claimed.busy,
                (_, true) => &mut claimed.first_seen,
                _ => &mut claimed.new,
            };
            set.insert(row.id);
        }
        claimed
    }
}

/// The accounts of the facts, each with its owner claim as JSON, and whether money was
/// returned. Both are only stored for a new account, of which these are all facts.
struct NewAccounts<'a> {
    ids: Vec<&'a str>,
    claims: Vec<Option<String>>,
    has_returns: Vec<bool>,
}

impl<'a> NewAccounts<'a> {
    fn of(facts: &[&'a Fact]) -> Result<Self, sqlx::Error> {
        let mut by_account: BTreeMap<&AccountId, Vec<&Fact>> = BTreeMap::new();
        for fact in facts {
            by_account.entry(&fact.account).or_default().push(fact);
        }
        let mut accounts = Self {
            ids: Vec::with_capacity(by_account.len()),
            claims: Vec::with_capacity(by_account.len()),
            has_returns: Vec::with_capacity(by_account.len()),
        };
        for (id, own) in by_account {
            accounts.ids.push(id.as_str());
            let claim = link::customer_owner(&own);
            accounts.claims.push(claim.as_ref().map(to_json).transpose()?);
            accounts.has_returns.push(own.iter().any(|f| f.body.returns_money()));
        }
        Ok(accounts)
    }
}

/// The payment under which a fact is found from other accounts. An invoice is always found
/// by its own account.
fn stored_payment(body: &FactBody) -> Option<&str> {
    match body {
        FactBody::Invoice(_) => None,
        other => other.payment_id(),
    }
}

/// Records the events and their facts, and locks the facts' accounts until the
/// transaction ends, and the accounts of the `returned` payments that the facts concern.
/// Events whose account is locked by another transaction are left out. `claims` must be
/// sorted by event id, each id once. `version` is that of the ranks in force.
pub async fn claim(
    connection: &mut PgConnection,
    claims: &[EventClaim<'_>],
    returned: &[ReturnedPayment],
    version: i32,
) -> Result<ClaimedEvents, sqlx::Error> {
    let facts: Vec<&Fact> = claims.iter().filter_map(|c| c.fact).collect();
    let bodies = facts.iter().map(to_json).collect::<Result<Vec<_>, _>>()?;
    let accounts = NewAccounts::of(&facts)?;
    // Each event with every account that must be locked for it.
    let own = facts.iter().map(|f| (f.event_id.as_str(), f.account.as_str()));
    let linked = facts.iter().flat_map(|f| {
        let concerned = returned.iter().filter(|r| r.concerns(f));
        concerned.map(|r| (f.event_id.as_str(), r.account.as_str()))
    });
    let needed: Vec<(&str, &str)> = own.chain(linked).collect();
    let rows = sqlx::query_as!(
        ClaimRow,
        r#"
        WITH new_fact AS MATERIALIZED (
            SELECT * FROM UNNEST($8::text[], $9::text[], $10::bigint[], $11::text[], $15::text[])
                AS t (event_id, account, created, body, payment)
        ), needed AS MATERIALIZED (
            SELECT * FROM UNNEST($17::text[], $18::text[]) AS t (event_id, account)
        ), free AS MATERIALIZED (
            SELECT account FROM billing.account WHERE account = ANY($18) ORDER BY account FOR UPDATE SKIP LOCKED
        ), busy AS MATERIALIZED (
            SELECT DISTINCT event_id FROM needed WHERE account IN (
                SELECT account FROM billing.account WHERE account = ANY($18) EXCEPT SELECT account FROM free)
        ), input AS (
            SELECT * FROM UNNEST($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::bytea[])
                AS t (event_id, event_type, created, received_ms, outcome, reason, body)
            WHERE event_id NOT IN (SELECT event_id FROM busy)
        ), claimed AS (
            INSERT INTO billing.event AS known (event_id, event_type, created, received_at, outcome, reason)
            SELECT event_id, event_type, to_timestamp(created), to_timestamp(received_ms / 1000.0), outcome, reason
            FROM input
            ON CONFLICT (event_id) DO UPDATE SET outcome = excluded.outcome, reason = excluded.reason
                WHERE known.outcome = 'dead' AND excluded.outcome <> 'dead'
            RETURNING event_id, xmax <> 0 AS revived
        ), stored_body AS (
            INSERT INTO billing.payload (event_id, received_at, body)
            SELECT event_id, to_timestamp(received_ms / 1000.0), body FROM input JOIN claimed USING (event_id)
            WHERE body IS NOT NULL
            ON CONFLICT (event_id) DO UPDATE SET body = excluded.body
        ), claimed_fact AS (
            SELECT new_fact.* FROM new_fact JOIN claimed USING (event_id)
        ), stored_fact AS (
            INSERT INTO billing.fact (event_id, account, created, body, payment)
            SELECT event_id, account, to_timestamp(created), body::json, payment FROM claimed_fact
        ), locked AS (
            INSERT INTO billing.account AS known (account, version, owner_claim, has_returns)
            SELECT account, $12::integer, claim::json, has_returns
            FROM UNNEST($13::text[], $14::text[], $16::boolean[]) AS t (account, claim, has_returns)
            WHERE account IN (SELECT account FROM claimed_fact) ORDER BY account
            ON CONFLICT (account) DO UPDATE SET lock_count = known.lock_count + 1
            RETURNING account, lock_count = 1 AS first_seen
        )
        SELECT event_id AS "id!", revived AS "revived!", false AS "busy!", false AS "first_seen!" FROM claimed
        UNION ALL SELECT event_id, false, true, false FROM busy
        UNION ALL SELECT account, false, false, true FROM locked WHERE first_seen
        "#,
        &column(claims, |c| c.event.as_str()) as &[&str],
        &column(claims, |c| c.kind) as &[&str],
        &column(claims, |c| c.created) as &[Option<i64>],
        &column(claims, |c| c.received_at_ms),
        &column(claims, |c| c.outcome) as &[&str],
        &column(claims, |c| c.reason) as &[Option<&str>],
        &column(claims, |c| c.body) as &[Option<&[u8]>],
        &column(&facts, |f| f.event_id.as_str()) as &[&str],
        &column(&facts, |f| f.account.as_str()) as &[&str],
        &column(&facts, |f| f.created),
        &bodies,
        version,
        &accounts.ids as &[&str],
        &accounts.claims as &[Option<String>],
        &column(&facts, |f| stored_payment(&f.body)) as &[Option<&str>],
        &accounts.has_returns,
        &column(&needed, |(event, _)| *event) as &[&str],
        &column(&needed, |(_, account)| *account) as &[&str],
    )
    .fetch_all(&mut *connection)
    .await?;
    let revived: Vec<&str> = rows.iter().filter(|r| r.revived).map(|r| r.id.as_str()).collect();
    // A separate statement: the one above does not see the rows that another
    // transaction wrote while it waited for a lock.
    if !revived.is_empty() {
        dead_letter::resolve(connection, &revived).await?;
    }
    Ok(ClaimedEvents::of(rows))
}
