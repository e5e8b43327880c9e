//! The only transaction: claim the ids, load under lock, decide, write, commit.
//! No network call but the database's is made inside it.

use crate::{
    domain::{
        account, entitlement,
        fact::Fact,
        ids::{AccountId, EventId, UserId},
        subscription::Subscription,
    },
    failure::Refusal,
    store::{
        self,
        claim::{Claim, claim},
        dead_letter::{self, Burial},
    },
    stripe::{self, Envelope, Meaning, Mode},
};
use shared::{
    catalog::{Catalog, FREE_TIER},
    message::Meta,
};
use sqlx::{PgConnection, PgPool};
use std::collections::{BTreeMap, BTreeSet, HashSet};

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
        let (envelope, meaning) = stripe::read(&body, catalog, mode);
        Self {
            envelope,
            meaning: meaning.map_err(Refusal::brief),
            meta,
            body,
            again: false,
        }
    }

    fn claim(&self, now_ms: i64) -> Claim<'_> {
        let (outcome, reason) = match &self.meaning {
            Ok(Meaning::Said(_)) => ("applied", None),
            Ok(Meaning::Ignored(why)) => ("ignored", Some(*why)),
            Err(refusal) => ("dead", Some(refusal.reason.as_str())),
        };
        Claim {
            event: &self.envelope.id,
            kind: &self.envelope.kind,
            created: self.envelope.created,
            received_at_ms: self.meta.received_at_ms.unwrap_or(now_ms),
            outcome,
            reason,
            body: &self.body,
        }
    }
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
}

/// Applies a batch in one transaction; the verdicts are in the order of the batch.
/// `repeated`: an earlier try at the same batch failed, perhaps after its commit.
///
/// # Errors
/// PostgreSQL's or the network's; then nothing of the batch was applied.
pub async fn apply(
    pool: &PgPool,
    batch: &[Prepared],
    repeated: bool,
    now_ms: i64,
) -> Result<Vec<Verdict>, sqlx::Error> {
    let by_id = first_of_each(batch);
    let claims: Vec<Claim<'_>> = by_id.values().map(|i| batch[*i].claim(now_ms)).collect();
    let mut transaction = pool.begin().await?;
    let claimed = claim(&mut transaction, &claims).await?;
    let unqueued = bury(&mut transaction, batch, &by_id, &claimed, now_ms).await?;
    let facts: Vec<&Fact> = by_id
        .values()
        .filter(|i| claimed.contains(batch[**i].envelope.id.as_str()))
        .filter_map(|i| match &batch[*i].meaning {
            Ok(Meaning::Said(fact)) => Some(fact.as_ref()),
            _ => None,
        })
        .collect();
    if !facts.is_empty() {
        take_in(&mut transaction, &facts).await?;
    }
    transaction.commit().await?;
    let verdict = |(index, item): (usize, &Prepared)| {
        let id = item.envelope.id.as_str();
        match &item.meaning {
            _ if by_id.get(&item.envelope.id) != Some(&index) => Verdict::Duplicate,
            // Of several copies side by side, the one that was recorded goes to the dead-letter
            // queue; after a crash, or a doubtful commit, any that comes again.
            Err(_) if unqueued.contains(id) && (claimed.contains(id) || item.again || repeated) => Verdict::Dead,
            _ if !claimed.contains(id) => Verdict::Duplicate,
            Ok(Meaning::Ignored(_)) => Verdict::Ignored,
            Ok(Meaning::Said(_)) => Verdict::Applied,
            Err(_) => Verdict::Duplicate,
        }
    };
    Ok(batch.iter().enumerate().map(verdict).collect())
}

/// The delivery that counts for each id, sorted by id: the first, but one that
/// can be read before one that cannot, and one that was delivered before.
fn first_of_each(batch: &[Prepared]) -> BTreeMap<&EventId, usize> {
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
async fn bury(
    connection: &mut PgConnection,
    batch: &[Prepared],
    by_id: &BTreeMap<&EventId, usize>,
    claimed: &HashSet<String>,
    now_ms: i64,
) -> Result<HashSet<String>, sqlx::Error> {
    let refused: Vec<(&Prepared, &Refusal)> = by_id
        .values()
        .filter_map(|i| Some((&batch[*i], batch[*i].meaning.as_ref().err()?)))
        .collect();
    if refused.is_empty() {
        return Ok(HashSet::new());
    }
    let burials: Vec<Burial<'_>> = refused
        .iter()
        .filter(|(item, _)| claimed.contains(item.envelope.id.as_str()))
        .map(|(item, refusal)| {
            let meta = item.meta.failed_at(now_ms);
            Burial {
                event: &item.envelope.id,
                kind: &item.envelope.kind,
                reason: refusal.reason.as_str(),
                detail: &refusal.detail,
                attempts: meta.attempts,
                first_failed_ms: meta.first_failed_at_ms.unwrap_or(now_ms),
                last_failed_ms: now_ms,
            }
        })
        .collect();
    dead_letter::insert(connection, &burials).await?;
    let id = |(item, _): &(&Prepared, &Refusal)| item.envelope.id.to_string();
    let back: Vec<String> = refused.iter().filter(|(item, _)| item.meta.replayed).map(id).collect();
    if !back.is_empty() {
        dead_letter::return_to_queue(connection, &back, now_ms).await?;
    }
    let ids: Vec<String> = refused.iter().map(id).collect();
    Ok(dead_letter::unqueued(connection, &ids).await?.into_iter().collect())
}

/// Keeps new facts and brings what depends on them up to date: the
/// subscriptions of their accounts, then the users of those.
async fn take_in(connection: &mut PgConnection, facts: &[&Fact]) -> Result<(), sqlx::Error> {
    let accounts: Vec<AccountId> = facts
        .iter()
        .map(|f| f.account.clone())
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    store::fact::lock_accounts(connection, &accounts).await?;
    let known = store::fact::load(connection, &accounts).await?;
    let stored = store::subscription::of_accounts(connection, &accounts).await?;
    store::fact::insert(connection, facts).await?;
    let folded = fold_accounts(known.iter().chain(facts.iter().copied()));
    let changed = changed(&folded, &stored);
    if changed.is_empty() {
        return Ok(());
    }
    let users = users_of(&changed, &stored);
    if !users.is_empty() {
        store::user::lock(connection, &users).await?;
    }
    store::subscription::write(connection, &changed).await?;
    if users.is_empty() {
        return Ok(());
    }
    let elsewhere = store::subscription::of_users(connection, &users, &accounts).await?;
    let theirs = elsewhere.iter().chain(folded.iter().map(|(_, s)| s));
    write_entitlements(connection, &users, theirs).await
}

fn fold_accounts<'a>(facts: impl Iterator<Item = &'a Fact>) -> Vec<(&'a AccountId, Subscription)> {
    let mut by_account: BTreeMap<&AccountId, Vec<&Fact>> = BTreeMap::new();
    for fact in facts {
        by_account.entry(&fact.account).or_default().push(fact);
    }
    by_account
        .into_iter()
        .flat_map(|(id, facts)| account::fold(&facts).into_iter().map(move |s| (id, s)))
        .collect()
}

fn changed<'a>(
    folded: &'a [(&'a AccountId, Subscription)],
    stored: &[Subscription],
) -> Vec<(&'a AccountId, &'a Subscription)> {
    let before: BTreeMap<_, _> = stored.iter().map(|s| (&s.id, s)).collect();
    folded
        .iter()
        .filter(|(_, s)| before.get(&s.id) != Some(&s))
        .map(|(account, s)| (*account, s))
        .collect()
}

/// Who is touched: the users of the changed subscriptions, as they are and as
/// they were, sorted.
fn users_of(changed: &[(&AccountId, &Subscription)], stored: &[Subscription]) -> Vec<UserId> {
    let ids: BTreeSet<_> = changed.iter().map(|(_, s)| &s.id).collect();
    let before = stored
        .iter()
        .filter(|s| ids.contains(&s.id))
        .filter_map(|s| s.user.clone());
    let users: BTreeSet<UserId> = changed
        .iter()
        .filter_map(|(_, s)| s.user.clone())
        .chain(before)
        .collect();
    users.into_iter().collect()
}

async fn write_entitlements<'a>(
    connection: &mut PgConnection,
    users: &[UserId],
    subscriptions: impl Iterator<Item = &'a Subscription>,
) -> Result<(), sqlx::Error> {
    let mut by_user: BTreeMap<&UserId, Vec<&Subscription>> = BTreeMap::new();
    for subscription in subscriptions {
        if let Some(user) = &subscription.user {
            by_user.entry(user).or_default().push(subscription);
        }
    }
    let mut rows = Vec::with_capacity(users.len());
    let mut without = Vec::new();
    for user in users {
        match entitlement::of_user(user, by_user.get(user).map_or(&[], Vec::as_slice), FREE_TIER) {
            Some(row) => rows.push(row),
            None => without.push(user.clone()),
        }
    }
    if !without.is_empty() {
        store::user::remove(connection, &without).await?;
    }
    if !rows.is_empty() {
        store::user::write(connection, &rows).await?;
    }
    Ok(())
}
