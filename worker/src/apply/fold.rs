//! Folding under lock: load what is known, decide, write what changed.

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
            link::Claim,
            state::Subscription,
        },
    },
    store::{self, subscription::Changes},
};
use shared::catalog::FREE_TIER;
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// How many facts were folded on which path.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FoldCounts {
    /// Of accounts that nothing was known of.
    pub first: u64,
    /// On top of what was folded before.
    pub fast: u64,
    /// Late or tied: their account was folded again from all its facts.
    pub slow: u64,
    /// Seconds that became known whose order no evidence tells.
    pub undecided: u64,
}

/// What a batch says that was not known.
#[derive(Debug, Default)]
pub struct NewFacts<'a> {
    /// Facts, which are kept already.
    pub facts: Vec<&'a Fact>,
    /// Usage.
    pub usage: Vec<&'a Usage>,
    /// The accounts of which nothing was known before.
    pub first_seen: HashSet<String>,
}

/// Accounts before and after.
#[derive(Debug, Default)]
struct Folded<'a> {
    /// The new facts.
    new: BTreeMap<&'a AccountId, Vec<&'a Fact>>,
    before: BTreeMap<AccountId, Account>,
    after: BTreeMap<AccountId, Account>,
    /// Those that were folded again from all their facts.
    late: Vec<AccountId>,
}

/// Brings what depends on a batch up to date: the accounts of its facts, then
/// the users of those and of the usage.
pub async fn fold_new(connection: &mut PgConnection, batch: NewFacts<'_>) -> Result<FoldCounts, sqlx::Error> {
    sales::lock(connection, &batch.facts).await?;
    let (folded, mut folds) = fold(connection, &batch.facts).await?;
    folds.undecided = folded.undecided();
    let mut news = BalanceChanges {
        caused_by: folded.concerned(),
        usage: batch.usage,
        ..BalanceChanges::default()
    };
    news.usage
        .sort_by(|a, b| (&a.user, a.time, &a.key).cmp(&(&b.user, b.time, &b.key)));
    for (user, cause) in sales::keep_new(connection, &batch.facts, &folded.after, &folded.owners()).await? {
        news.caused_by.entry(user).or_insert(cause);
    }
    let subscriptions = folded.changed();
    let questions = folded.questions();
    if !questions.is_empty() {
        store::question::ask(connection, &questions).await?;
    }
    news.known = write(connection, &folded, &subscriptions, &news).await?;
    news.fresh = folded.fresh(&batch.first_seen, &news.known);
    if !news.caused_by.is_empty() || !news.usage.is_empty() {
        balances::settle(connection, &news).await?;
    }
    Ok(folds)
}

async fn fold<'a>(connection: &mut PgConnection, facts: &[&'a Fact]) -> Result<(Folded<'a>, FoldCounts), sqlx::Error> {
    let mut folds = FoldCounts::default();
    if facts.is_empty() {
        return Ok((Folded::default(), folds));
    }
    let new = account::by_account(facts.iter().copied());
    let ids: Vec<AccountId> = new.keys().map(|id| (*id).clone()).collect();
    let mut folded = Folded {
        new,
        before: store::account::load(connection, &ids).await?,
        ..Folded::default()
    };
    for (id, facts) in &folded.new {
        let (id, known) = (*id, folded.before.get(*id));
        let next = known.map_or_else(|| Some(Account::fold(facts)), |known| known.advance(facts));
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
        folded.after.extend(refolded(connection, &folded.late).await?);
    }
    Ok((folded, folds))
}

/// Folds accounts, which must be sorted, from all their facts, and writes what
/// that changes: the slow path for all of them. `cause` names the refolding; it
/// must not have been one before.
pub async fn refold(connection: &mut PgConnection, accounts: &[AccountId], cause: &str) -> Result<(), sqlx::Error> {
    store::account::lock(connection, accounts).await?;
    let facts = store::fact::of_accounts(connection, accounts).await?;
    let folded = Folded {
        new: account::by_account(&facts),
        before: store::account::load(connection, accounts).await?,
        after: account::fold_all(&facts),
        late: accounts.to_vec(),
    };
    let facts: Vec<&Fact> = facts.iter().collect();
    sales::lock(connection, &facts).await?;
    let packs = sales::keep_new(connection, &facts, &folded.after, &folded.owners()).await?;
    let mut users = folded.theirs();
    users.extend(packs.into_iter().map(|(user, _)| user));
    let mut news = BalanceChanges {
        caused_by: users.into_iter().map(|user| (user, cause.to_owned())).collect(),
        ..BalanceChanges::default()
    };
    let subscriptions = folded.changed();
    write(connection, &folded, &subscriptions, &news).await?;
    // Whoever is refolded was known before.
    news.known = news.caused_by.keys().cloned().collect();
    balances::settle(connection, &news).await
}

async fn refolded(
    connection: &mut PgConnection,
    accounts: &[AccountId],
) -> Result<BTreeMap<AccountId, Account>, sqlx::Error> {
    Ok(account::fold_all(
        &store::fact::of_accounts(connection, accounts).await?,
    ))
}

impl Folded<'_> {
    fn changed(&self) -> Vec<(&AccountId, &Subscription)> {
        let mut changed = Vec::new();
        for (id, account) in &self.after {
            let before = self.known(id);
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

    /// The owners of accounts of which another one was known, or none.
    fn owners(&self) -> Vec<(&AccountId, Option<&UserId>)> {
        let claims = self.claims().into_iter();
        claims.map(|(id, claim)| (id, claim.map(|c| &c.user))).collect()
    }

    /// The subscriptions of an account as they were.
    fn known(&self, id: &AccountId) -> &[Subscription] {
        self.before.get(id).map_or(&[][..], |b| &b.subscriptions)
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

    /// The users, as they are and as they were, of all subscriptions.
    fn theirs(&self) -> BTreeSet<UserId> {
        let all = self
            .after
            .values()
            .chain(self.before.values())
            .flat_map(|a| &a.subscriptions);
        all.filter_map(|s| s.user.clone()).collect()
    }

    /// Whose balances the new facts concern by a subscription, with the event that does.
    fn concerned(&self) -> BTreeMap<UserId, String> {
        let mut concerned = BTreeMap::new();
        for (id, facts) in &self.new {
            let (Some(cause), Some(account)) = (facts.first(), self.after.get(*id)) else {
                continue;
            };
            let users = account.concerns(self.before.get(*id), facts, self.late.contains(id));
            concerned.extend(users.into_iter().map(|user| (user.clone(), cause.event_id.to_string())));
        }
        concerned
    }

    /// The subscriptions that have more seconds than before whose order no evidence
    /// tells, each with the newest that is known of it.
    fn questions(&self) -> Vec<(&SubscriptionId, Seconds)> {
        let all = self.after.iter().flat_map(|(id, account)| {
            let before = self.known(id);
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

    /// How many more seconds there are whose order no evidence tells.
    fn undecided(&self) -> u64 {
        let count = |accounts: &BTreeMap<AccountId, Account>| -> u64 {
            let all = accounts.values().flat_map(|a| &a.subscriptions);
            all.map(|s| u64::from(s.undecided)).sum()
        };
        count(&self.after).saturating_sub(count(&self.before))
    }
}

impl<'a> Folded<'a> {
    /// Users of whom nothing was known, with all facts that there are of them.
    fn fresh(&self, first_seen: &HashSet<String>, known: &HashSet<UserId>) -> BTreeMap<UserId, Vec<&'a Fact>> {
        let mut fresh: BTreeMap<UserId, Vec<&Fact>> = BTreeMap::new();
        let mut others: BTreeSet<&UserId> = BTreeSet::new();
        for (id, facts) in &self.new {
            let subscriptions = self.after.get(*id).map_or(&[][..], |a| &a.subscriptions);
            let users: BTreeSet<&UserId> = subscriptions.iter().filter_map(|s| s.user.as_ref()).collect();
            // What a payment may lead to is not all here.
            let pays = |f: &&Fact| f.body.payment().is_some() || f.body.buys_credits();
            let whole = first_seen.contains(id.as_str()) && !facts.iter().any(pays);
            for user in users.into_iter().filter(|u| !known.contains(*u)) {
                if whole {
                    fresh.entry(user.clone()).or_default().extend(facts);
                } else {
                    others.insert(user);
                }
            }
        }
        fresh.retain(|user, _| !others.contains(user));
        fresh
    }
}

/// Writes what changed, locks the users that it or the news touch until the
/// transaction ends, and writes their entitlements. Returns those of them who
/// were known before.
async fn write(
    connection: &mut PgConnection,
    folded: &Folded<'_>,
    subscriptions: &[(&AccountId, &Subscription)],
    news: &BalanceChanges<'_>,
) -> Result<HashSet<UserId>, sqlx::Error> {
    let users = folded.users(subscriptions);
    let touched = news
        .caused_by
        .keys()
        .chain(news.usage.iter().map(|u| &u.user))
        .chain(&users);
    let touched: Vec<UserId> = touched.collect::<BTreeSet<_>>().into_iter().cloned().collect();
    let changes = Changes {
        claims: folded.claims(),
        subscriptions: subscriptions.to_vec(),
        users: &touched,
    };
    if changes.subscriptions.is_empty() && changes.claims.is_empty() && touched.is_empty() {
        return Ok(HashSet::new());
    }
    let known = store::subscription::write(connection, &changes).await?;
    if users.is_empty() {
        return Ok(known);
    }
    // A user never seen before has nothing elsewhere.
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
