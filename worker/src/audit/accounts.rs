//! Accounts, their subscriptions and packs, and the entitlements of their users.

use super::{
    auditor::{Auditor, PAGE},
    compare, credits,
    difference::Difference,
};
use crate::{
    domain::{
        balance::grants::sales,
        fact::Fact,
        ids::{AccountId, SubscriptionId, UserId},
        subscription::{
            account::{self, Account},
            entitlement,
            ranks::Ranks,
            state::Subscription,
        },
    },
    store::{
        self,
        audit::{
            credits as stored_credits,
            stored::{self, StoredEntitlement, StoredSubscription},
        },
        snapshot,
    },
};
use shared::catalog::FREE_TIER;
use sqlx::PgConnection;
use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
};

/// The facts that concern accounts, with the ranks in force.
pub(super) async fn facts_of(
    moment: &mut PgConnection,
    accounts: &[AccountId],
    ranks: &Ranks,
) -> Result<(Vec<Fact>, Vec<Difference>), sqlx::Error> {
    let (mut facts, found) = compare::read(&stored::facts(moment, accounts).await?);
    for fact in &mut facts {
        ranks.put_in_force(fact);
    }
    Ok((facts, found))
}

fn by_user(rows: &[StoredEntitlement]) -> BTreeMap<&str, Vec<&StoredEntitlement>> {
    let mut by_user: BTreeMap<&str, Vec<&StoredEntitlement>> = BTreeMap::new();
    for row in rows {
        by_user.entry(&row.user_id).or_default().push(row);
    }
    by_user
}

impl<W: Write> Auditor<'_, W> {
    /// Compares all accounts.
    pub(super) async fn accounts(&mut self) -> anyhow::Result<()> {
        let mut after = String::new();
        loop {
            let mut moment = snapshot::begin(self.pool).await?;
            let page = stored::accounts_after(&mut moment, &after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            let found = self.page(&mut moment, &page).await?;
            moment.commit().await?;
            after = last.to_string();
            self.figures.accounts += page.len();
            self.report(&found)?;
        }
    }

    /// Compares accounts with their subscriptions, packs and users.
    async fn page(&mut self, moment: &mut PgConnection, page: &[AccountId]) -> Result<Vec<Difference>, sqlx::Error> {
        let ranks = store::catalog::ranks(moment).await?;
        let (facts, mut found) = facts_of(moment, page, &ranks).await?;
        let mut folded = account::fold_all(&facts);
        // Facts about payments bring their own accounts along.
        folded.retain(|id, _| page.contains(id));
        let ids: Vec<SubscriptionId> = folded
            .values()
            .flat_map(|a| &a.subscriptions)
            .map(|s| s.id.clone())
            .collect();
        let mut rows = stored::subscriptions(moment, page, &ids).await?;
        let accounts = stored::accounts(moment, page).await?;
        let of_other_ranks = accounts.iter().filter(|a| a.version != Some(ranks.version()));
        let of_other_ranks: BTreeSet<String> = of_other_ranks.map(|a| a.account.clone()).collect();
        let is_outdated = |row: &StoredSubscription| compare::outdated(row) || of_other_ranks.contains(&row.account);
        let outdated = rows.iter().filter(|r| is_outdated(r)).map(|r| r.account.as_str());
        let awaiting: BTreeSet<&str> = outdated.chain(of_other_ranks.iter().map(String::as_str)).collect();
        found.extend(compare::accounts(&folded, &accounts, &awaiting));
        let all: Vec<&Fact> = facts.iter().collect();
        let sold: Vec<&str> = sales(&all).iter().map(|sale| sale.sale).collect();
        let packs = stored_credits::packs(moment, page, &sold).await?;
        found.extend(credits::packs(&folded, &facts, &packs, &awaiting));
        self.figures.facts += facts.len();
        self.figures.subscriptions += ids.len();
        // Folding an outdated state again may change the entitlement of its user.
        let waiting: BTreeSet<String> = rows
            .iter()
            .filter(|r| is_outdated(r))
            .filter_map(|r| r.user.clone())
            .collect();
        let mut users = compare::users(&folded, &rows);
        users.retain(|u| !waiting.contains(u.as_str()));
        found.extend(of_other_ranks.iter().map(|id| {
            let what = "its state was made with other ranks or rules; run `worker migrate`";
            Difference::of(format!("account {id}"), what)
        }));
        rows.retain(|r| !of_other_ranks.contains(&r.account));
        let known: BTreeMap<AccountId, Account> = folded
            .iter()
            .filter(|(id, _)| !of_other_ranks.contains(id.as_str()))
            .map(|(id, account)| (id.clone(), account.clone()))
            .collect();
        found.extend(compare::subscriptions(&known, &rows));
        found.extend(self.users(moment, page, users, folded).await?);
        Ok(found)
    }

    /// Compares the entitlements of users. A user with several accounts is compared with
    /// the page of the first one.
    async fn users(
        &mut self,
        moment: &mut PgConnection,
        page: &[AccountId],
        mut users: Vec<UserId>,
        mut folded: BTreeMap<AccountId, Account>,
    ) -> Result<Vec<Difference>, sqlx::Error> {
        let elsewhere = stored::accounts_elsewhere(moment, &users, page).await?;
        let earlier: BTreeSet<&UserId> = elsewhere.iter().filter(|e| e.2).map(|e| &e.0).collect();
        users.retain(|u| !earlier.contains(u));
        let further: BTreeSet<&AccountId> = elsewhere
            .iter()
            .filter(|e| !earlier.contains(&e.0))
            .map(|e| &e.1)
            .collect();
        let further: Vec<AccountId> = further.into_iter().cloned().collect();
        // A fact that cannot be read is reported with its own account's page.
        let ranks = store::catalog::ranks(moment).await?;
        let (facts, _) = facts_of(moment, &further, &ranks).await?;
        let others = account::fold_all(&facts).into_iter();
        folded.extend(others.filter(|(id, _)| further.contains(id)));
        let mut theirs: BTreeMap<&UserId, Vec<&Subscription>> = BTreeMap::new();
        for subscription in folded.values().flat_map(|a| &a.subscriptions) {
            if let Some(user) = &subscription.user {
                theirs.entry(user).or_default().push(subscription);
            }
        }
        let rows = stored::entitlements(moment, &users).await?;
        let rows = by_user(&rows);
        let holders: BTreeSet<UserId> = stored_credits::holders(moment, &users).await?.into_iter().collect();
        let known: BTreeSet<UserId> = stored::known_users(moment, &users).await?.into_iter().collect();
        let mut found = Vec::new();
        for user in &users {
            let expected = entitlement::over_time(user, theirs.get(user).map_or(&[], Vec::as_slice), FREE_TIER);
            let stored = rows.get(user.as_str()).map_or(&[][..], Vec::as_slice);
            found.extend(compare::entitlements(user, stored, &expected, holders.contains(user)));
            if theirs.contains_key(user) && !known.contains(user) {
                let what = "there is no row, but the user has a subscription";
                found.push(Difference::of(format!("app_user {user}"), what));
            }
        }
        self.figures.users += users.len();
        Ok(found)
    }

    /// Compares the entitlements of users without any subscription. The others were
    /// compared with their accounts.
    pub(super) async fn users_without_subscription(&mut self) -> anyhow::Result<()> {
        let mut after = String::new();
        loop {
            let mut moment = snapshot::begin(self.pool).await?;
            let page = stored::entitled_users_after(&mut moment, &after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after.clone_from(&last.user);
            let without: Vec<_> = page.iter().filter(|h| !h.has_subscription).collect();
            let customers: BTreeSet<&str> = without.iter().filter_map(|h| h.customer.as_deref()).collect();
            let customers: Vec<AccountId> = customers.into_iter().map(AccountId::new).collect();
            let ranks = store::catalog::ranks(&mut moment).await?;
            let (facts, _) = facts_of(&mut moment, &customers, &ranks).await?;
            let with_facts: BTreeSet<UserId> = compare::users(&account::fold_all(&facts), &[]).into_iter().collect();
            let users: Vec<UserId> = without.into_iter().map(|h| UserId::new(h.user.as_str())).collect();
            let users: Vec<UserId> = users.into_iter().filter(|u| !with_facts.contains(u)).collect();
            let rows = stored::entitlements(&mut moment, &users).await?;
            let holders: BTreeSet<UserId> = stored_credits::holders(&mut moment, &users)
                .await?
                .into_iter()
                .collect();
            moment.commit().await?;
            self.figures.users += users.len();
            let rows = by_user(&rows);
            let of = |user: &UserId| rows.get(user.as_str()).map_or(&[][..], Vec::as_slice);
            let found = users
                .iter()
                .flat_map(|u| compare::entitlements(u, of(u), &[], holders.contains(u)));
            self.report(&found.collect::<Vec<_>>())?;
        }
    }
}
