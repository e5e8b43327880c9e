//! Folding under lock: load what is known, decide, write what changed.

use crate::{
    domain::{
        account::{self, Account},
        entitlement,
        fact::Fact,
        ids::{AccountId, UserId},
        link::Claim,
        subscription::Subscription,
    },
    store::{self, subscription::Changes},
};
use shared::catalog::FREE_TIER;
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet};

/// How many facts were folded on which path.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Folds {
    /// Of accounts that nothing was known of.
    pub first: u64,
    /// On top of what was folded before.
    pub fast: u64,
    /// Late or tied: their account was folded again from all its facts.
    pub slow: u64,
    /// Seconds that became known whose order no evidence tells.
    pub undecided: u64,
}

/// Accounts before and after.
#[derive(Debug, Default)]
struct Folded {
    before: BTreeMap<AccountId, Account>,
    after: BTreeMap<AccountId, Account>,
}

/// Brings what depends on new facts, which are kept already, up to date: their
/// accounts, then the users of those.
pub async fn take_in(connection: &mut PgConnection, facts: &[&Fact]) -> Result<Folds, sqlx::Error> {
    let by_account = account::by_account(facts.iter().copied());
    let ids: Vec<AccountId> = by_account.keys().map(|id| (*id).clone()).collect();
    let mut folded = Folded {
        before: store::account::load(connection, &ids).await?,
        after: BTreeMap::new(),
    };
    let mut folds = Folds::default();
    let mut late = Vec::new();
    for (id, new) in by_account {
        let known = folded.before.get(id);
        let next = known.map_or_else(|| Some(Account::fold(&new)), |known| known.advance(&new));
        let Some(next) = next else {
            folds.slow += new.len() as u64;
            late.push(id.clone());
            continue;
        };
        let is_new = known.is_none_or(|k| k.subscriptions.is_empty());
        *(if is_new { &mut folds.first } else { &mut folds.fast }) += new.len() as u64;
        folded.after.insert(id.clone(), next);
    }
    if !late.is_empty() {
        folded.after.extend(refolded(connection, &late).await?);
    }
    folds.undecided = folded.undecided();
    write(connection, &folded).await?;
    Ok(folds)
}

/// Folds accounts, which must be sorted, from all their facts, and writes what
/// that changes: the slow path for all of them.
pub async fn refold(connection: &mut PgConnection, accounts: &[AccountId]) -> Result<(), sqlx::Error> {
    store::account::lock(connection, accounts).await?;
    let folded = Folded {
        before: store::account::load(connection, accounts).await?,
        after: refolded(connection, accounts).await?,
    };
    write(connection, &folded).await
}

async fn refolded(
    connection: &mut PgConnection,
    accounts: &[AccountId],
) -> Result<BTreeMap<AccountId, Account>, sqlx::Error> {
    Ok(account::fold_all(
        &store::fact::of_accounts(connection, accounts).await?,
    ))
}

impl Folded {
    fn changed(&self) -> Vec<(&AccountId, &Subscription)> {
        let mut changed = Vec::new();
        for (id, account) in &self.after {
            let before = self.before.get(id).map_or(&[][..], |b| &b.subscriptions);
            let new = account.subscriptions.iter().filter(|s| !before.contains(s));
            changed.extend(new.map(|s| (id, s)));
        }
        changed
    }

    fn claims(&self) -> Vec<(&AccountId, Option<&Claim>)> {
        let known = |id: &AccountId| self.before.get(id).map(|b| (b.version, &b.claim));
        let new = self
            .after
            .iter()
            .filter(|(id, a)| known(id) != Some((a.version, &a.claim)));
        new.map(|(id, a)| (id, a.claim.as_ref())).collect()
    }

    /// Who is touched: the users of the changed subscriptions, as they are and
    /// as they were; sorted.
    fn users(&self, changed: &[(&AccountId, &Subscription)]) -> Vec<UserId> {
        let ids: BTreeSet<_> = changed.iter().map(|(_, s)| &s.id).collect();
        let before = self.before.values().flat_map(|a| &a.subscriptions);
        let before = before.filter(|s| ids.contains(&s.id)).filter_map(|s| s.user.clone());
        let now = changed.iter().filter_map(|(_, s)| s.user.clone());
        now.chain(before).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// How many more seconds there are whose order no evidence tells.
    fn undecided(&self) -> u64 {
        let count = |accounts: &BTreeMap<AccountId, Account>| -> u64 {
            let all = accounts.values().flat_map(|a| &a.subscriptions);
            all.map(|s| u64::from(s.undecided)).sum()
        };
        count(&self.after).saturating_sub(count(&self.before))
    }
}

async fn write(connection: &mut PgConnection, folded: &Folded) -> Result<(), sqlx::Error> {
    let subscriptions = folded.changed();
    let users = folded.users(&subscriptions);
    let changes = Changes {
        claims: folded.claims(),
        subscriptions,
        users: &users,
    };
    if changes.subscriptions.is_empty() && changes.claims.is_empty() {
        return Ok(());
    }
    let known = store::subscription::write(connection, &changes).await?;
    if users.is_empty() {
        return Ok(());
    }
    // A user never seen before has nothing elsewhere.
    let elsewhere = if known {
        let here: Vec<AccountId> = folded.after.keys().cloned().collect();
        store::subscription::of_users(connection, &users, &here).await?
    } else {
        Vec::new()
    };
    let here = folded.after.values().flat_map(|a| &a.subscriptions);
    write_entitlements(connection, &users, elsewhere.iter().chain(here)).await
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
