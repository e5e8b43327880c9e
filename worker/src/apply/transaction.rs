//! The transaction of a batch: claims the event ids, loads rows under lock, decides,
//! writes, and commits. Only the database is called inside it.

use crate::{
    apply::{
        fold::{self, FoldCounts, NewEvents},
        records,
    },
    domain::{fact::Fact, ids::AccountId, subscription::ranks::Ranks},
    read::{meaning::Meaning, message::ParsedMessage},
    store::{
        self,
        claim::{ClaimedEvents, EventClaim, claim},
        payment::ReturnedPayment,
    },
};
use shared::message::{now_ms, rfc3339};
use sqlx::{PgConnection, PgPool};
use std::{collections::BTreeMap, time::Duration};

/// The result of a batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// The outcome of each message, in the order of the batch.
    pub outcomes: Vec<ApplyOutcome>,
    /// How the facts of the batch were folded.
    pub folds: FoldCounts,
    /// [`ApplyOptions::wait_for`] was still locked at the end of its time.
    pub wait_timed_out: bool,
}

/// The outcome of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApplyOutcome {
    /// It took effect.
    Applied,
    /// It is recorded as ignored: its type is not handled, or it is of the other mode.
    Ignored,
    /// Its event id was recorded before, so nothing changed.
    Duplicate,
    /// It is recorded as a dead letter, and must be published to the dead-letter queue.
    Dead,
    /// Its account is locked by another session, so nothing was done.
    Busy,
}

/// How to apply a batch.
#[derive(Debug, Clone, Copy, Default)]
pub struct ApplyOptions<'a> {
    /// An earlier try of the same batch failed, perhaps after its commit.
    pub repeated: bool,
    /// An account to wait for if another session locks it, and for how long. Events of
    /// other locked accounts are [`ApplyOutcome::Busy`] at once.
    pub wait_for: Option<(&'a AccountId, Duration)>,
}

/// Applies a batch in one transaction. Events of locked accounts are left out: the lock of
/// one customer must not delay other customers.
///
/// # Errors
/// An error of PostgreSQL's or the network's. Then nothing of the batch was applied, unless
/// the connection was lost during the commit.
pub async fn apply(
    pool: &PgPool,
    batch: &[&ParsedMessage],
    options: ApplyOptions<'_>,
    now_ms: i64,
) -> Result<Applied, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let mut wait_timed_out = false;
    if let Some((account, limit)) = options.wait_for
        && !store::account::wait_for(&mut transaction, account, limit).await?
    {
        wait_timed_out = true;
        transaction.rollback().await?;
        transaction = pool.begin().await?;
    }
    let mut applied = apply_within(&mut transaction, batch, options.repeated, now_ms).await?;
    transaction.commit().await?;
    applied.wait_timed_out = wait_timed_out;
    Ok(applied)
}

/// Applies a batch within the caller's transaction.
async fn apply_within(
    connection: &mut PgConnection,
    batch: &[&ParsedMessage],
    repeated: bool,
    now_ms: i64,
) -> Result<Applied, sqlx::Error> {
    let by_id = records::one_per_id(batch);
    let (ranks, returned) = linked(connection, batch).await?;
    let claims: Vec<EventClaim<'_>> = by_id
        .values()
        .map(|i| records::event_claim(batch[*i], now_ms))
        .collect();
    let ClaimedEvents {
        new: claimed,
        busy,
        first_seen,
    } = claim(connection, &claims, &returned, ranks.version()).await?;
    let unqueued = records::record_dead(connection, batch, &by_id, &claimed, now_ms).await?;
    let new = by_id
        .values()
        .map(|i| batch[*i])
        .filter(|message| claimed.contains(message.envelope.id.as_str()));
    let (mut facts, mut usage) = (Vec::new(), Vec::new());
    for message in new {
        match &message.meaning {
            Ok(Meaning::Fact(fact)) => facts.push(ranks.in_force(fact)),
            Ok(Meaning::Usage(reported)) => usage.push(reported.as_ref()),
            _ => {}
        }
    }
    let facts: Vec<&Fact> = facts.iter().map(AsRef::as_ref).collect();
    let concerns_new = |r: &ReturnedPayment| facts.iter().any(|f| r.concerns(f));
    let new_events = NewEvents {
        returned: returned.into_iter().filter(concerns_new).collect(),
        facts,
        usage,
        new_accounts: first_seen,
        ranks,
    };
    let folds = if new_events.facts.is_empty() && new_events.usage.is_empty() {
        FoldCounts::default()
    } else {
        fold::fold_new(connection, new_events).await?
    };
    let outcome = |(index, message): (usize, &&ParsedMessage)| {
        let id = message.envelope.id.as_str();
        let is_refused = message.refusal().is_some();
        match &message.meaning {
            _ if by_id.get(&message.envelope.id) != Some(&index) => ApplyOutcome::Duplicate,
            _ if busy.contains(id) => ApplyOutcome::Busy,
            // Of several copies at the same time, only the copy that was recorded goes to the
            // dead-letter queue. After a crash or a doubtful commit, any later copy does.
            _ if is_refused && unqueued.contains(id) && (claimed.contains(id) || message.redelivered || repeated) => {
                ApplyOutcome::Dead
            }
            _ if !claimed.contains(id) => ApplyOutcome::Duplicate,
            Ok(Meaning::Ignored(_)) => ApplyOutcome::Ignored,
            Ok(Meaning::Fact(_) | Meaning::Usage(_)) => ApplyOutcome::Applied,
            Ok(Meaning::NeedsLookup(_)) | Err(_) => ApplyOutcome::Duplicate,
        }
    };
    Ok(Applied {
        outcomes: batch.iter().enumerate().map(outcome).collect(),
        folds,
        wait_timed_out: false,
    })
}

/// Locks the payments and invoices of a batch. Returns the ranks in force, and the returned
/// payments that the batch concerns.
async fn linked(
    connection: &mut PgConnection,
    batch: &[&ParsedMessage],
) -> Result<(Ranks, Vec<ReturnedPayment>), sqlx::Error> {
    let facts: Vec<&Fact> = batch.iter().filter_map(|message| message.fact()).collect();
    let ranks = store::catalog::ranks(connection).await?;
    let returned = store::payment::note(connection, &facts).await?;
    Ok((ranks, returned))
}

/// What a batch would change.
#[derive(Debug)]
pub struct Rehearsed {
    /// The outcome that each message would have, in the order of the batch.
    pub outcomes: Vec<ApplyOutcome>,
    /// The present rows of the users that it touches; see
    /// [`store::dead_letter_queries::rows_of`].
    pub before: UserRows,
    /// The same rows after the batch.
    pub after: UserRows,
}

/// Rows that applications read, by user and meter. The row of an entitlement has no meter.
pub type UserRows = BTreeMap<(String, Option<String>), serde_json::Value>;

/// Applies a batch, reads the rows that it changes, and rolls it back.
///
/// # Errors
/// An error of PostgreSQL's or the network's.
pub async fn rehearse(pool: &PgPool, batch: &[&ParsedMessage], now_ms: i64) -> Result<Rehearsed, sqlx::Error> {
    let facts: Vec<_> = batch.iter().filter_map(|message| message.fact()).collect();
    let used = batch.iter().filter_map(|message| match &message.meaning {
        Ok(Meaning::Usage(usage)) => Some(usage.user.clone()),
        _ => None,
    });
    let mut transaction = pool.begin().await?;
    // A rehearsal must not delay the workers.
    store::dead_letter_queries::limit_time(&mut transaction).await?;
    // The users before and after: a batch can move a subscription from one user to another.
    let mut users = store::dead_letter_queries::users_of(&mut transaction, &facts).await?;
    let applied = apply_within(&mut transaction, batch, false, now_ms).await?;
    users.extend(store::dead_letter_queries::users_of(&mut transaction, &facts).await?);
    users.extend(used);
    users.sort();
    users.dedup();
    let after = store::dead_letter_queries::rows_of(&mut transaction, &users).await?;
    transaction.rollback().await?;
    let before = store::dead_letter_queries::rows_of(&mut *pool.acquire().await?, &users).await?;
    Ok(Rehearsed {
        outcomes: applied.outcomes,
        before,
        after,
    })
}

/// Folds every account again whose state other rules or ranks made. Returns the number of
/// accounts. Workers may run at the same time.
///
/// # Errors
/// An error of PostgreSQL's or the network's. The accounts folded before it are kept.
pub async fn refold_outdated(pool: &PgPool) -> Result<usize, sqlx::Error> {
    const ACCOUNTS_MAX: i64 = 200;
    let mut done = 0;
    let mut after = String::new();
    loop {
        let mut transaction = pool.begin().await?;
        let ranks = store::catalog::ranks(&mut transaction).await?;
        let accounts = store::account::outdated(&mut transaction, ranks.version(), &after, ACCOUNTS_MAX).await?;
        let Some(last) = accounts.last() else { return Ok(done) };
        after = last.to_string();
        let cause = format!("migrate {} {after}", rfc3339(now_ms()));
        fold::refold(&mut transaction, &accounts, &cause, &ranks).await?;
        transaction.commit().await?;
        done += accounts.len();
    }
}
