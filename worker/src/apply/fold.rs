//! Folds the facts of a batch into its accounts: loads the accounts, decides, and writes
//! what changed.

use crate::{
    apply::{
        balances::{self, BalanceChanges},
        sales,
    },
    domain::{
        balance::usage::Usage,
        fact::{Fact, Seconds},
        ids::{AccountId, SubscriptionId, UserId},
        subscription::{
            account::{self, Account},
            entitlement,
            link::OwnerClaim,
            ranks::Ranks,
            state::Subscription,
        },
    },
    store::{self, payment::ReturnedPayment, subscription::SubscriptionChanges},
};
use shared::catalog::FREE_TIER;
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// The number of facts by how they were folded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FoldCounts {
    /// Facts of new accounts.
    pub first: u64,
    /// Facts that are newer than all others of their account.
    pub fast: u64,
    /// Late or tied facts. Their account was folded again from all its facts.
    pub slow: u64,
    /// New seconds with several changes whose order no evidence decides.
    pub undecided: u64,
    /// Invoices of subscriptions whose money is known to be returned now.
    pub returned: u64,
}

/// The facts and the usage of a batch that were not recorded before.
#[derive(Debug, Default)]
pub struct NewEvents<'a> {
    /// Facts. They are stored already.
    pub facts: Vec<&'a Fact>,
    /// Usage reports.
    pub usage: Vec<&'a Usage>,
    /// The accounts that have no facts but these.
    pub new_accounts: HashSet<String>,
    /// The returned payments that the facts concern. The accounts of these are locked.
    pub returned: Vec<ReturnedPayment>,
    /// The ranks in force. The facts have them.
    pub ranks: Ranks,
}

/// Accounts before and after.
#[derive(Debug, Default)]
struct FoldedAccounts<'a> {
    /// The new facts, by account.
    new: BTreeMap<&'a AccountId, Vec<&'a Fact>>,
    before: BTreeMap<AccountId, Account>,
    after: BTreeMap<AccountId, Account>,
    /// The accounts that were folded again from all their facts.
    late: Vec<AccountId>,
}

/// Applies the new events of a batch: folds the accounts of its facts, then settles the
/// balances of the users that they and the usage change.
///
/// # Errors
/// An error of PostgreSQL's or the network's, or a balance beyond 64 bits.
pub async fn fold_new(connection: &mut PgConnection, mut batch: NewEvents<'_>) -> Result<FoldCounts, sqlx::Error> {
    let usage = std::mem::take(&mut batch.usage);
    let (folded, mut folds) = fold(connection, &batch).await?;
    folds.undecided = folded.undecided();
    folds.returned = folded.returned();
    let mut changes = BalanceChanges {
        caused_by: folded.affected_users(),
        usage,
        ..BalanceChanges::default()
    };
    changes
        .usage
        .sort_by(|a, b| (&a.user, a.time, &a.key).cmp(&(&b.user, b.time, &b.key)));
    for (user, cause) in sales::keep_new(
        connection,
        &batch.facts,
        &batch.returned,
        &folded.after,
        &folded.owners(),
        &batch.ranks,
    )
    .await?
    {
        changes.caused_by.entry(user).or_insert(cause);
    }
    let subscriptions = folded.changed();
    let questions = folded.questions();
    if !questions.is_empty() {
        store::question::ask(connection, &questions).await?;
    }
    changes.known_users = write(connection, &folded, &subscriptions, &changes, &batch.ranks).await?;
    changes.new_users = folded.new_users(&batch.new_accounts, &changes.known_users);
    if !changes.caused_by.is_empty() || !changes.usage.is_empty() {
        balances::settle(connection, &changes, &batch.ranks).await?;
    }
    Ok(folds)
}

async fn fold<'a>(
    connection: &mut PgConnection,
    batch: &'a NewEvents<'_>,
) -> Result<(FoldedAccounts<'a>, FoldCounts), sqlx::Error> {
    let mut folds = FoldCounts::default();
    if batch.facts.is_empty() {
        return Ok((FoldedAccounts::default(), folds));
    }
    let mut new: BTreeMap<&AccountId, Vec<&Fact>> = BTreeMap::new();
    for fact in batch.facts.iter().copied() {
        new.entry(&fact.account).or_default().push(fact);
    }
    for returned in &batch.returned {
        let concerns = |f: &&Fact| f.account != returned.account && returned.concerns(f);
        let linked = batch.facts.iter().copied().filter(concerns);
        new.entry(&returned.account).or_default().extend(linked);
    }
    let ids: Vec<AccountId> = new.keys().map(|id| (*id).clone()).collect();
    let mut folded = FoldedAccounts {
        new,
        before: store::account::load(connection, &ids, batch.ranks.version()).await?,
        ..FoldedAccounts::default()
    };
    for (id, facts) in &folded.new {
        let (id, known) = (*id, folded.before.get(*id));
        let has_returns = batch.returned.iter().any(|r| r.account == *id);
        let next = match known {
            _ if has_returns => None,
            Some(known) => known.advance(facts),
            None => Some(Account::fold(facts)),
        };
        let Some(next) = next else {
            folds.slow += facts.len() as u64;
            folded.late.push(id.clone());
            continue;
        };
        let is_new = known.is_none_or(|k| k.subscriptions.is_empty());
        *(if is_new { &mut folds.first } else { &mut folds.fast }) += facts.len() as u64;
        folded.after.insert(id.clone(), next);
    }
    if !folded.late.is_empty() {
        folded
            .after
            .extend(refolded(connection, &folded.late, &batch.ranks).await?);
    }
    Ok((folded, folds))
}

/// Folds `accounts`, which must be sorted, again from all their facts, and writes what
/// changes. `cause` names this folding in the ledger; no other may have the same name.
///
/// # Errors
/// As for [`fold_new`].
pub async fn refold(
    connection: &mut PgConnection,
    accounts: &[AccountId],
    cause: &str,
    ranks: &Ranks,
) -> Result<(), sqlx::Error> {
    store::account::lock(connection, accounts).await?;
    let facts = store::fact::of_accounts(connection, accounts, ranks).await?;
    let mut after = account::fold_all(&facts);
    // Facts about payments bring their own accounts along.
    after.retain(|id, _| accounts.contains(id));
    let folded = FoldedAccounts {
        new: account::by_account(&facts),
        before: store::account::load(connection, accounts, ranks.version()).await?,
        after,
        late: accounts.to_vec(),
    };
    let facts: Vec<&Fact> = facts.iter().collect();
    let packs = sales::keep_new(connection, &facts, &[], &folded.after, &folded.owners(), ranks).await?;
    let mut users = folded.all_users();
    users.extend(packs.into_iter().map(|(user, _)| user));
    let mut changes = BalanceChanges {
        caused_by: users.into_iter().map(|user| (user, cause.to_owned())).collect(),
        ..BalanceChanges::default()
    };
    let subscriptions = folded.changed();
    write(connection, &folded, &subscriptions, &changes, ranks).await?;
    // Users of an account that is folded again are known.
    changes.known_users = changes.caused_by.keys().cloned().collect();
    balances::settle(connection, &changes, ranks).await
}

async fn refolded(
    connection: &mut PgConnection,
    accounts: &[AccountId],
    ranks: &Ranks,
) -> Result<BTreeMap<AccountId, Account>, sqlx::Error> {
    let mut folded = account::fold_all(&store::fact::of_accounts(connection, accounts, ranks).await?);
    // Facts about payments bring their own accounts along.
    folded.retain(|id, _| accounts.contains(id));
    Ok(folded)
}

impl FoldedAccounts<'_> {
    /// The subscriptions that are new or changed.
    fn changed(&self) -> Vec<(&AccountId, &Subscription)> {
        let mut changed = Vec::new();
        for (id, account) in &self.after {
            let before = self.subscriptions_before(id);
            let new = account.subscriptions.iter().filter(|s| !before.contains(s));
            changed.extend(new.map(|s| (id, s)));
        }
        changed
    }

    /// The accounts whose claim, returns or version changed.
    fn changed_accounts(&self) -> Vec<(&AccountId, &Account)> {
        let columns = |a: &Account| (a.is_outdated, a.has_returns, a.claim.clone());
        let known = |id: &AccountId| self.before.get(id).map(columns);
        let new = self.after.iter();
        new.filter(|(id, account)| known(id) != Some(columns(account)))
            .collect()
    }

    /// The accounts whose owner may have changed, with the owner's claim.
    fn owners(&self) -> Vec<(&AccountId, Option<&OwnerClaim>)> {
        let changed = self.changed_accounts().into_iter();
        changed.map(|(id, account)| (id, account.claim.as_ref())).collect()
    }

    /// The subscriptions of an account before this batch.
    fn subscriptions_before(&self, id: &AccountId) -> &[Subscription] {
        self.before.get(id).map_or(&[][..], |b| &b.subscriptions)
    }

    /// The users of the changed subscriptions, before and after; sorted.
    fn users(&self, changed: &[(&AccountId, &Subscription)]) -> Vec<UserId> {
        let ids: BTreeSet<_> = changed.iter().map(|(_, s)| &s.id).collect();
        let before = self.before.values().flat_map(|a| &a.subscriptions);
        let before = before.filter(|s| ids.contains(&s.id)).filter_map(|s| s.user.clone());
        let now = changed.iter().filter_map(|(_, s)| s.user.clone());
        now.chain(before).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// The users of all subscriptions, before and after, with those who handed one over.
    fn all_users(&self) -> BTreeSet<UserId> {
        let all = self
            .after
            .values()
            .chain(self.before.values())
            .flat_map(|a| &a.subscriptions);
        all.flat_map(Subscription::all_users).cloned().collect()
    }

    /// The users whose balances the new facts change through a subscription, each with the
    /// event that is the cause.
    fn affected_users(&self) -> BTreeMap<UserId, String> {
        let mut affected = BTreeMap::new();
        for (id, facts) in &self.new {
            let (Some(cause), Some(account)) = (facts.first(), self.after.get(*id)) else {
                continue;
            };
            let users = account.affected_users(self.before.get(*id), facts, self.late.contains(id));
            affected.extend(users.into_iter().map(|user| (user.clone(), cause.event_id.to_string())));
        }
        affected
    }

    /// The subscriptions that have more undecided seconds than before, each with the time of
    /// its newest change.
    fn questions(&self) -> Vec<(&SubscriptionId, Seconds)> {
        let all = self.after.iter().flat_map(|(id, account)| {
            let before = self.subscriptions_before(id);
            account.subscriptions.iter().map(move |now| (before, now))
        });
        let more = all.filter(|(before, now)| {
            let was = before
                .iter()
                .find(|was| was.id == now.id)
                .map_or(0, |was| was.undecided);
            !now.ended && now.undecided > was
        });
        more.map(|(_, now)| (&now.id, now.newest.unwrap_or_default())).collect()
    }

    /// How many more invoices are returned than before.
    fn returned(&self) -> u64 {
        let count = |accounts: &BTreeMap<AccountId, Account>| -> usize {
            let all = accounts.values().flat_map(|a| &a.subscriptions);
            all.map(|s| s.returned.len()).sum()
        };
        count(&self.after).saturating_sub(count(&self.before)) as u64
    }

    /// How many more undecided seconds there are than before.
    fn undecided(&self) -> u64 {
        let count = |accounts: &BTreeMap<AccountId, Account>| -> u64 {
            let all = accounts.values().flat_map(|a| &a.subscriptions);
            all.map(|s| u64::from(s.undecided)).sum()
        };
        count(&self.after).saturating_sub(count(&self.before))
    }
}

impl<'a> FoldedAccounts<'a> {
    /// The users that nothing was known of, each with all of their facts.
    fn new_users(&self, new_accounts: &HashSet<String>, known: &HashSet<UserId>) -> BTreeMap<UserId, Vec<&'a Fact>> {
        let mut with_facts: BTreeMap<UserId, Vec<&Fact>> = BTreeMap::new();
        let mut others: BTreeSet<&UserId> = BTreeSet::new();
        for (id, facts) in &self.new {
            let subscriptions = self.after.get(*id).map_or(&[][..], |a| &a.subscriptions);
            let users: BTreeSet<&UserId> = subscriptions.iter().flat_map(Subscription::all_users).collect();
            // A payment may have facts in other accounts.
            let pays = |f: &&Fact| f.body.returns_money() || f.body.buys_credits();
            let is_late = self.late.contains(id);
            let whole = new_accounts.contains(id.as_str()) && !is_late && !facts.iter().any(pays);
            for user in users.into_iter().filter(|u| !known.contains(*u)) {
                if whole {
                    with_facts.entry(user.clone()).or_default().extend(facts);
                } else {
                    others.insert(user);
                }
            }
        }
        with_facts.retain(|user, _| !others.contains(user));
        with_facts
    }
}

/// Writes what changed, locks the users of `subscriptions` and `changes` until the
/// transaction ends, and writes their entitlements. Returns the users that were known
/// before.
async fn write(
    connection: &mut PgConnection,
    folded: &FoldedAccounts<'_>,
    subscriptions: &[(&AccountId, &Subscription)],
    changes: &BalanceChanges<'_>,
    ranks: &Ranks,
) -> Result<HashSet<UserId>, sqlx::Error> {
    let users = folded.users(subscriptions);
    let touched = changes
        .caused_by
        .keys()
        .chain(changes.usage.iter().map(|u| &u.user))
        .chain(&users);
    let touched: Vec<UserId> = touched.collect::<BTreeSet<_>>().into_iter().cloned().collect();
    let written = SubscriptionChanges {
        accounts: folded.changed_accounts(),
        subscriptions: subscriptions.to_vec(),
        users: &touched,
        version: ranks.version(),
    };
    if written.subscriptions.is_empty() && written.accounts.is_empty() && touched.is_empty() {
        return Ok(HashSet::new());
    }
    let known = store::subscription::write(connection, &written).await?;
    if users.is_empty() {
        return Ok(known);
    }
    // A new user has no subscriptions in other accounts.
    let elsewhere = if users.iter().any(|u| known.contains(u)) {
        let here: Vec<AccountId> = folded.after.keys().cloned().collect();
        store::subscription::of_users(connection, &users, &here).await?
    } else {
        Vec::new()
    };
    let here = folded.after.values().flat_map(|a| &a.subscriptions);
    write_entitlements(connection, &users, elsewhere.iter().chain(here)).await?;
    Ok(known)
}

async fn write_entitlements<'a>(
    connection: &mut PgConnection,
    users: &[UserId],
    subscriptions: impl Iterator<Item = &'a Subscription>,
) -> Result<(), sqlx::Error> {
    let mut by_user: BTreeMap<&UserId, Vec<&Subscription>> = BTreeMap::new();
    for (user, subscription) in subscriptions.filter_map(|s| Some((s.user.as_ref()?, s))) {
        by_user.entry(user).or_default().push(subscription);
    }
    let mut rows = Vec::with_capacity(users.len());
    let mut without = Vec::new();
    for user in users {
        let over_time = entitlement::over_time(user, by_user.get(user).map_or(&[], Vec::as_slice), FREE_TIER);
        if over_time.is_empty() {
            without.push(user.clone());
        }
        rows.extend(over_time);
    }
    if !without.is_empty() {
        store::user::remove(connection, &without).await?;
    }
    if !rows.is_empty() {
        store::user::write(connection, &rows).await?;
    }
    Ok(())
}
