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
            state::Subscription,
        },
    },
    store::{
        audit::{
            credits as stored_credits,
            stored::{self, StoredSubscription},
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
        let (facts, mut found) = compare::read(&stored::facts(moment, page).await?);
        let folded = account::fold_all(&facts);
        let ids: Vec<SubscriptionId> = folded
            .values()
            .flat_map(|a| &a.subscriptions)
            .map(|s| s.id.clone())
            .collect();
        let rows = stored::subscriptions(moment, page, &ids).await?;
        let outdated: Vec<&StoredSubscription> = rows.iter().filter(|r| compare::outdated(r)).collect();
        let accounts = stored::accounts(moment, page).await?;
        let awaiting = outdated.iter().map(|r| r.account.as_str()).collect();
        found.extend(compare::accounts(&folded, &accounts, &awaiting));
        let all: Vec<&Fact> = facts.iter().collect();
        let sessions: Vec<&str> = sales(&all).iter().map(|sale| sale.sale).collect();
        let packs = stored_credits::packs(moment, page, &sessions).await?;
        found.extend(credits::packs(&folded, &facts, &packs, &awaiting));
        found.extend(compare::subscriptions(&folded, &rows));
        self.figures.facts += facts.len();
        self.figures.subscriptions += ids.len();
        // Folding an outdated state again may change the entitlement of its user.
        let waiting: BTreeSet<&str> = outdated.iter().filter_map(|r| r.user.as_deref()).collect();
        let mut users = compare::users(&folded, &rows);
        users.retain(|u| !waiting.contains(u.as_str()));
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
        let (facts, _) = compare::read(&stored::facts(moment, &further).await?);
        folded.extend(account::fold_all(&facts));
        let mut theirs: BTreeMap<&UserId, Vec<&Subscription>> = BTreeMap::new();
        for subscription in folded.values().flat_map(|a| &a.subscriptions) {
            if let Some(user) = &subscription.user {
                theirs.entry(user).or_default().push(subscription);
            }
        }
        let rows = stored::entitlements(moment, &users).await?;
        let rows: BTreeMap<&str, _> = rows.iter().map(|r| (r.user_id.as_str(), r)).collect();
        let holders: BTreeSet<UserId> = stored_credits::holders(moment, &users).await?.into_iter().collect();
        let known: BTreeSet<UserId> = stored::known_users(moment, &users).await?.into_iter().collect();
        let mut found = Vec::new();
        for user in &users {
            let expected = entitlement::of_user(user, theirs.get(user).map_or(&[], Vec::as_slice), FREE_TIER);
            found.extend(compare::entitlement(
                user,
                rows.get(user.as_str()).copied(),
                expected.as_ref(),
                holders.contains(user),
            ));
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
            let (facts, _) = compare::read(&stored::facts(&mut moment, &customers).await?);
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
            let of = |user: &UserId| rows.iter().find(|r| r.user_id == user.as_str());
            let found = users
                .iter()
                .flat_map(|u| compare::entitlement(u, of(u), None, holders.contains(u)));
            self.report(&found.collect::<Vec<_>>())?;
        }
    }
}
