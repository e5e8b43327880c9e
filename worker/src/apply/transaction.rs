//! The only transaction: claim the ids, load under lock, decide, write, commit.
//! No network call but the database's is made inside it.

use crate::{
    apply::{
        fold::{self, FoldCounts, NewFacts},
        records,
    },
    domain::{ids::AccountId, subscription::state::VERSION},
    read::{meaning::Meaning, prepared::Prepared},
    store::{
        self,
        claim::{ClaimedEvents, EventClaim, claim},
    },
};
use shared::message::{now_ms, rfc3339};
use sqlx::{PgConnection, PgPool};
use std::{collections::BTreeMap, time::Duration};

/// What became of a batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// Of each delivery, in the order of the batch.
    pub verdicts: Vec<Verdict>,
    /// How the facts of the batch were folded.
    pub folds: FoldCounts,
    /// The account to wait for stayed locked.
    pub waited_in_vain: bool,
}

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It took effect.
    Applied,
    /// It is none of our business.
    Ignored,
    /// It was known; nothing changed.
    Duplicate,
    /// It is recorded as dead, and its message must be put on the dead-letter queue.
    Dead,
    /// Its account is held by somebody else right now: nothing was done yet.
    Busy,
}

/// How a batch is to be applied.
#[derive(Debug, Clone, Copy, Default)]
pub struct ApplyOptions<'a> {
    /// An earlier try at the same batch failed, perhaps after its commit.
    pub repeated: bool,
    /// An account to wait for, this long, if somebody else holds it; the events
    /// of all others who are held are left out.
    pub wait_for: Option<(&'a AccountId, Duration)>,
}

/// Applies a batch in one transaction, but for the events of accounts that
/// somebody else holds: one customer's lock must not hold up the others.
///
/// # Errors
/// PostgreSQL's or the network's; then nothing of the batch was applied.
pub async fn apply(
    pool: &PgPool,
    batch: &[&Prepared],
    options: ApplyOptions<'_>,
    now_ms: i64,
) -> Result<Applied, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let mut waited_in_vain = false;
    if let Some((account, limit)) = options.wait_for
        && !store::account::wait_for(&mut transaction, account, limit).await?
    {
        waited_in_vain = true;
        transaction.rollback().await?;
        transaction = pool.begin().await?;
    }
    let mut applied = within(&mut transaction, batch, options.repeated, now_ms).await?;
    transaction.commit().await?;
    applied.waited_in_vain = waited_in_vain;
    Ok(applied)
}

/// Applies a batch within the caller's transaction.
async fn within(
    connection: &mut PgConnection,
    batch: &[&Prepared],
    repeated: bool,
    now_ms: i64,
) -> Result<Applied, sqlx::Error> {
    let by_id = records::one_per_id(batch);
    let claims: Vec<EventClaim<'_>> = by_id.values().map(|i| records::claim(batch[*i], now_ms)).collect();
    let ClaimedEvents {
        new: claimed,
        busy,
        first_seen,
    } = claim(connection, &claims).await?;
    let unqueued = records::record_dead(connection, batch, &by_id, &claimed, now_ms).await?;
    let new = by_id
        .values()
        .map(|i| batch[*i])
        .filter(|item| claimed.contains(item.envelope.id.as_str()));
    let mut news = NewFacts {
        first_seen,
        ..NewFacts::default()
    };
    for item in new {
        match &item.meaning {
            Ok(Meaning::Fact(fact)) => news.facts.push(fact),
            Ok(Meaning::Usage(usage)) => news.usage.push(usage),
            _ => {}
        }
    }
    let folds = if news.facts.is_empty() && news.usage.is_empty() {
        FoldCounts::default()
    } else {
        fold::fold_new(connection, news).await?
    };
    let verdict = |(index, item): (usize, &&Prepared)| {
        let id = item.envelope.id.as_str();
        let is_refused = item.refusal().is_some();
        match &item.meaning {
            _ if by_id.get(&item.envelope.id) != Some(&index) => Verdict::Duplicate,
            _ if busy.contains(id) => Verdict::Busy,
            // Of several copies side by side, the one that was recorded goes to the dead-letter
            // queue; after a crash, or a doubtful commit, any that comes again.
            _ if is_refused && unqueued.contains(id) && (claimed.contains(id) || item.again || repeated) => {
                Verdict::Dead
            }
            _ if !claimed.contains(id) => Verdict::Duplicate,
            Ok(Meaning::Ignored(_)) => Verdict::Ignored,
            Ok(Meaning::Fact(_) | Meaning::Usage(_)) => Verdict::Applied,
            Ok(Meaning::NeedsLookup(_)) | Err(_) => Verdict::Duplicate,
        }
    };
    Ok(Applied {
        verdicts: batch.iter().enumerate().map(verdict).collect(),
        folds,
        waited_in_vain: false,
    })
}

/// What a batch would do.
#[derive(Debug)]
pub struct Rehearsed {
    /// What would become of each delivery, in the order of the batch.
    pub verdicts: Vec<Verdict>,
    /// The rows that applications read of the users that it touches, as they
    /// are; see [`store::dead_letter_queries::rows_of`].
    pub before: Rows,
    /// The same rows as they would be.
    pub after: Rows,
}

/// Rows that applications read, by user and, of balances, meter.
pub type Rows = BTreeMap<(String, Option<String>), serde_json::Value>;

/// Applies a batch, looks at what came of it, and takes it back.
///
/// # Errors
/// PostgreSQL's or the network's.
pub async fn rehearse(pool: &PgPool, batch: &[&Prepared], now_ms: i64) -> Result<Rehearsed, sqlx::Error> {
    let facts: Vec<_> = batch.iter().filter_map(|item| item.fact()).collect();
    let used = batch.iter().filter_map(|item| match &item.meaning {
        Ok(Meaning::Usage(usage)) => Some(usage.user.clone()),
        _ => None,
    });
    let mut transaction = pool.begin().await?;
    // Nobody who looks may hold up the workers.
    store::dead_letter_queries::limit_time(&mut transaction).await?;
    // As they are and as they would be: what one user gains another may lose.
    let mut users = store::dead_letter_queries::users_of(&mut transaction, &facts).await?;
    let applied = within(&mut transaction, batch, false, now_ms).await?;
    users.extend(store::dead_letter_queries::users_of(&mut transaction, &facts).await?);
    users.extend(used);
    users.sort();
    users.dedup();
    let after = store::dead_letter_queries::rows_of(&mut transaction, &users).await?;
    transaction.rollback().await?;
    let before = store::dead_letter_queries::rows_of(&mut *pool.acquire().await?, &users).await?;
    Ok(Rehearsed {
        verdicts: applied.verdicts,
        before,
        after,
    })
}

/// Folds every account again that holds a state of another version; returns how
/// many. Workers may run meanwhile.
///
/// # Errors
/// PostgreSQL's or the network's; what was folded stays so.
pub async fn bring_up_to_date(pool: &PgPool) -> Result<usize, sqlx::Error> {
    const AT_ONCE: i64 = 200;
    let mut done = 0;
    let mut after = String::new();
    loop {
        let mut transaction = pool.begin().await?;
        let accounts = store::account::outdated(&mut transaction, VERSION, &after, AT_ONCE).await?;
        let Some(last) = accounts.last() else { return Ok(done) };
        after = last.to_string();
        let cause = format!("migrate {} {after}", rfc3339(now_ms()));
        fold::refold(&mut transaction, &accounts, &cause).await?;
        transaction.commit().await?;
        done += accounts.len();
    }
}
