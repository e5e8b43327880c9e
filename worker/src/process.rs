//! The only transaction: claim the ids, load under lock, decide, write, commit.
//! No network call but the database's is made inside it.

use crate::{
    domain::{
        fact::Fact,
        ids::{AccountId, EventId},
        subscription::VERSION,
    },
    failure::Refusal,
    fold::{self, Batch, Folds},
    store::{
        self,
        claim::{Claim, Claimed, claim},
        dead_letter::{self, Burial},
    },
    stripe::{self, Envelope, Meaning, Mode, about},
    usage,
};
use shared::{
    catalog::Catalog,
    message::{Meta, Source, now_ms, rfc3339},
};
use sqlx::{PgConnection, PgPool};
use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

/// A delivery, read by pure code and ready to be applied.
#[derive(Debug)]
pub struct Prepared {
    /// What is known of any event.
    pub envelope: Envelope,
    /// What it means, or why it is refused.
    pub meaning: Result<Meaning, Refusal>,
    /// What travelled beside it.
    pub meta: Meta,
    /// Its raw body.
    pub body: Vec<u8>,
    /// Whether it was delivered before: who held it may have recorded it as
    /// dead, and died before its message was on the dead-letter queue.
    pub again: bool,
}

impl Prepared {
    /// Reads a delivery.
    #[must_use]
    pub fn read(body: Vec<u8>, meta: Meta, catalog: &Catalog, mode: Mode) -> Self {
        let (envelope, meaning) = match meta.source {
            Source::Usage => usage::read(&body, meta.received_at_ms, catalog),
            Source::Snapshot => stripe::read_snapshot(&body, catalog, mode),
            Source::Webhook | Source::Backfill | Source::Direct => stripe::read(&body, catalog, mode),
        };
        Self {
            envelope,
            meaning: meaning.map_err(Refusal::brief),
            meta,
            body,
            again: false,
        }
    }

    /// What is worked on by one lane at a time: its account, or the user of usage.
    #[must_use]
    pub fn lane_key(&self) -> Option<&str> {
        match &self.meaning {
            Ok(Meaning::Said(fact)) => Some(fact.account.as_str()),
            Ok(Meaning::Used(usage)) => Some(usage.user.as_str()),
            Ok(Meaning::Ignored(_)) => None,
            Err(refusal) => refusal.look_up.as_ref().map(|fact| fact.account.as_str()),
        }
    }

    /// What it says, if it is to be applied.
    #[must_use]
    pub fn fact(&self) -> Option<&Fact> {
        match &self.meaning {
            Ok(Meaning::Said(fact)) => Some(fact),
            _ => None,
        }
    }

    /// The account that it is about, if it is to be applied.
    #[must_use]
    pub fn account(&self) -> Option<&AccountId> {
        self.fact().map(|fact| &fact.account)
    }

    fn claim(&self, now_ms: i64) -> Claim<'_> {
        let (outcome, reason, fact) = match &self.meaning {
            Ok(Meaning::Said(fact)) => ("applied", None, Some(fact.as_ref())),
            Ok(Meaning::Used(_)) => ("applied", None, None),
            Ok(Meaning::Ignored(why)) => ("ignored", Some(*why), None),
            Err(refusal) => ("dead", Some(refusal.reason.as_str()), None),
        };
        Claim {
            event: &self.envelope.id,
            kind: &self.envelope.kind,
            created: self.envelope.created,
            received_at_ms: self.meta.received_at_ms.unwrap_or(now_ms),
            outcome,
            reason,
            // Of usage the ledger holds all.
            body: (!matches!(self.meaning, Ok(Meaning::Used(_)))).then_some(&self.body),
            fact,
        }
    }

    fn burial<'a>(&'a self, refusal: &'a Refusal, now_ms: i64) -> Burial<'a> {
        let meta = self.meta.failed_at(now_ms);
        Burial {
            event: &self.envelope.id,
            kind: &self.envelope.kind,
            reason: refusal.reason.as_str(),
            detail: &refusal.detail,
            attempts: meta.attempts,
            first_failed_ms: meta.first_failed_at_ms.unwrap_or(now_ms),
            last_failed_ms: now_ms,
            source: meta.source.as_str(),
            customer: about::customer(&self.body, meta.source),
        }
    }
}

/// What became of a batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// Of each delivery, in the order of the batch.
    pub verdicts: Vec<Verdict>,
    /// How the facts of the batch were folded.
    pub folds: Folds,
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
pub struct Manner<'a> {
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
    manner: Manner<'_>,
    now_ms: i64,
) -> Result<Applied, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let mut waited_in_vain = false;
    if let Some((account, limit)) = manner.wait_for
        && !store::account::wait_for(&mut transaction, account, limit).await?
    {
        waited_in_vain = true;
        transaction.rollback().await?;
        transaction = pool.begin().await?;
    }
    let mut applied = within(&mut transaction, batch, manner.repeated, now_ms).await?;
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
    let by_id = first_of_each(batch);
    let claims: Vec<Claim<'_>> = by_id.values().map(|i| batch[*i].claim(now_ms)).collect();
    let Claimed {
        new: claimed,
        busy,
        first_seen,
    } = claim(connection, &claims).await?;
    let unqueued = bury(connection, batch, &by_id, &claimed, now_ms).await?;
    let new = by_id
        .values()
        .map(|i| batch[*i])
        .filter(|item| claimed.contains(item.envelope.id.as_str()));
    let mut news = Batch {
        first_seen,
        ..Batch::default()
    };
    for item in new {
        match &item.meaning {
            Ok(Meaning::Said(fact)) => news.facts.push(fact),
            Ok(Meaning::Used(usage)) => news.usage.push(usage),
            _ => {}
        }
    }
    let folds = if news.facts.is_empty() && news.usage.is_empty() {
        Folds::default()
    } else {
        fold::take_in(connection, news).await?
    };
    let verdict = |(index, item): (usize, &&Prepared)| {
        let id = item.envelope.id.as_str();
        match &item.meaning {
            _ if by_id.get(&item.envelope.id) != Some(&index) => Verdict::Duplicate,
            _ if busy.contains(id) => Verdict::Busy,
            // Of several copies side by side, the one that was recorded goes to the dead-letter
            // queue; after a crash, or a doubtful commit, any that comes again.
            Err(_) if unqueued.contains(id) && (claimed.contains(id) || item.again || repeated) => Verdict::Dead,
            _ if !claimed.contains(id) => Verdict::Duplicate,
            Ok(Meaning::Ignored(_)) => Verdict::Ignored,
            Ok(Meaning::Said(_) | Meaning::Used(_)) => Verdict::Applied,
            Err(_) => Verdict::Duplicate,
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
    /// are; see [`store::letters::rows_of`].
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
        Ok(Meaning::Used(usage)) => Some(usage.user.clone()),
        _ => None,
    });
    let mut transaction = pool.begin().await?;
    // Nobody who looks may hold up the workers.
    store::letters::hurry(&mut transaction).await?;
    // As they are and as they would be: what one user gains another may lose.
    let mut users = store::letters::users_of(&mut transaction, &facts).await?;
    let applied = within(&mut transaction, batch, false, now_ms).await?;
    users.extend(store::letters::users_of(&mut transaction, &facts).await?);
    users.extend(used);
    users.sort();
    users.dedup();
    let after = store::letters::rows_of(&mut transaction, &users).await?;
    transaction.rollback().await?;
    let before = store::letters::rows_of(&mut *pool.acquire().await?, &users).await?;
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

/// The delivery that counts for each id, sorted by id: the first, but one that
/// can be read before one that cannot, and one that was delivered before.
fn first_of_each<'a>(batch: &[&'a Prepared]) -> BTreeMap<&'a EventId, usize> {
    let mut by_id: BTreeMap<&EventId, usize> = BTreeMap::new();
    for (index, item) in batch.iter().enumerate() {
        let first = by_id.entry(&item.envelope.id).or_insert(index);
        let (refused, better) = (batch[*first].meaning.is_err(), item.again && !batch[*first].again);
        if refused && (item.meaning.is_ok() || better) {
            *first = index;
        }
    }
    by_id
}

/// Records what is refused; returns the ids whose message has yet to reach the
/// dead-letter queue, also from an earlier try that did not get that far.
async fn bury<'a>(
    connection: &mut PgConnection,
    batch: &[&'a Prepared],
    by_id: &BTreeMap<&EventId, usize>,
    claimed: &HashSet<String>,
    now_ms: i64,
) -> Result<HashSet<String>, sqlx::Error> {
    let refused: Vec<(&'a Prepared, &'a Refusal)> = by_id
        .values()
        .filter_map(|i| Some((batch[*i], batch[*i].meaning.as_ref().err()?)))
        .collect();
    if refused.is_empty() {
        return Ok(HashSet::new());
    }
    let burial = |(item, refusal): &(&'a Prepared, &'a Refusal)| item.burial(refusal, now_ms);
    let is_new = |(item, _): &&(&Prepared, &Refusal)| claimed.contains(item.envelope.id.as_str());
    let new: Vec<Burial<'_>> = refused.iter().filter(is_new).map(burial).collect();
    dead_letter::insert(connection, &new).await?;
    let back: Vec<Burial<'_>> = refused
        .iter()
        .filter(|(item, _)| item.meta.replayed)
        .map(burial)
        .collect();
    dead_letter::return_to_queue(connection, &back).await?;
    let id = |(item, _): &(&Prepared, &Refusal)| item.envelope.id.to_string();
    let ids: Vec<String> = refused.iter().map(id).collect();
    Ok(dead_letter::unqueued(connection, &ids).await?.into_iter().collect())
}
