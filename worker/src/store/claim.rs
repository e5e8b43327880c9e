//! Claiming event ids: what makes a second delivery have no effect. What is
//! claimed is kept, its facts too, and their accounts are locked, all in one
//! round trip.

use super::{column, dead_letter, written};
use crate::domain::{
    fact::Fact,
    ids::{AccountId, EventId},
    subscription::{account, state::VERSION},
};
use sqlx::PgConnection;
use std::collections::HashSet;

/// One event, and what is to become of it if it is new.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// Its id.
    pub event: &'a EventId,
    /// Its type.
    pub kind: &'a str,
    /// Stripe's `created`, in seconds.
    pub created: Option<i64>,
    /// When it was received, in milliseconds.
    pub received_at_ms: i64,
    /// `applied`, `ignored` or `dead`.
    pub outcome: &'static str,
    /// Why, where it was not applied.
    pub reason: Option<&'static str>,
    /// The raw body; none of what the ledger will hold in full.
    pub body: Option<&'a [u8]>,
    /// What it says, if it is applied.
    pub fact: Option<&'a Fact>,
}

/// What could be claimed.
#[derive(Debug, Default)]
pub struct Claimed {
    /// The events that are new, or that were dead and are not any more.
    pub new: HashSet<String>,
    /// Those whose account somebody else holds right now; nothing was done.
    pub busy: HashSet<String>,
    /// The accounts of which nothing was known before.
    pub first_seen: HashSet<String>,
}

/// A line of the answer: an event, or an account.
struct Row {
    id: String,
    revived: bool,
    busy: bool,
    first_seen: bool,
}

impl Claimed {
    fn of(rows: Vec<Row>) -> Self {
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

/// The accounts of facts, and what these say of each one's owner: if it is new,
/// these are all facts of it.
fn owners<'a>(facts: &[&'a Fact]) -> Result<(Vec<&'a str>, Vec<Option<String>>), sqlx::Error> {
    let owner = |(id, own): (&'a AccountId, Vec<&Fact>)| {
        let claim = account::best_customer_claim(&own).as_ref().map(written).transpose()?;
        Ok((id.as_str(), claim))
    };
    let by_account = account::by_account(facts.iter().copied()).into_iter();
    Ok(by_account
        .map(owner)
        .collect::<Result<Vec<_>, sqlx::Error>>()?
        .into_iter()
        .unzip())
}

/// Records the events, keeps their facts, and locks the accounts of these until
/// the transaction ends; leaves out those whose account is locked. `claims` must
/// be sorted by event id and hold each once.
pub async fn claim(connection: &mut PgConnection, claims: &[Claim<'_>]) -> Result<Claimed, sqlx::Error> {
    let facts: Vec<&Fact> = claims.iter().filter_map(|c| c.fact).collect();
    let said = facts.iter().map(written).collect::<Result<Vec<_>, _>>()?;
    let (accounts, owners) = owners(&facts)?;
    let rows = sqlx::query_as!(
        Row,
        r#"
        WITH said AS MATERIALIZED (
            SELECT * FROM UNNEST($8::text[], $9::text[], $10::bigint[], $11::text[], $15::text[])
                AS t (event_id, account, created, body, payment)
        ), free AS MATERIALIZED (
            SELECT account FROM billing.account WHERE account = ANY($9) ORDER BY account FOR UPDATE SKIP LOCKED
        ), busy AS MATERIALIZED (
            SELECT event_id FROM said WHERE account IN (
                SELECT account FROM billing.account WHERE account = ANY($9) EXCEPT SELECT account FROM free)
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
        ), stored AS (
            INSERT INTO billing.payload (event_id, received_at, body)
            SELECT event_id, to_timestamp(received_ms / 1000.0), body FROM input JOIN claimed USING (event_id)
            WHERE body IS NOT NULL
            ON CONFLICT (event_id) DO UPDATE SET body = excluded.body
        ), told AS (
            SELECT said.* FROM said JOIN claimed USING (event_id)
        ), kept AS (
            INSERT INTO billing.fact (event_id, account, created, body, payment)
            SELECT event_id, account, to_timestamp(created), body::json, payment FROM told
        ), locked AS (
            INSERT INTO billing.account AS known (account, version, claim)
            SELECT account, $12::integer, claim::json FROM UNNEST($13::text[], $14::text[]) AS t (account, claim)
            WHERE account IN (SELECT account FROM told) ORDER BY account
            ON CONFLICT (account) DO UPDATE SET folds = known.folds + 1
            RETURNING account, folds = 1 AS first_seen
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
        &said,
        VERSION,
        &accounts as &[&str],
        &owners as &[Option<String>],
        &column(&facts, |f| f.body.payment()) as &[Option<&str>],
    )
    .fetch_all(&mut *connection)
    .await?;
    let revived: Vec<&str> = rows.iter().filter(|r| r.revived).map(|r| r.id.as_str()).collect();
    // A statement of its own: what another transaction wrote while this one
    // waited for its row is not visible to the statement that waited.
    if !revived.is_empty() {
        dead_letter::resolve(connection, &revived).await?;
    }
    Ok(Claimed::of(rows))
}
