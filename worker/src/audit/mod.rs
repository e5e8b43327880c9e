//! `worker audit`: recomputes what is stored from the facts, and reports each row
//! that differs. Changes nothing; workers may run meanwhile, for each page is read
//! at one moment.

mod balances;
pub mod compare;
pub mod credits;
pub mod sums;
pub mod textfile;

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
        audit::{self as store, StoredSubscription, Unmatched, credits as rows},
        snapshot,
    },
};
use compare::Difference;
use shared::catalog::FREE_TIER;
use shared::terminal::printable;
use sqlx::{PgConnection, PgPool};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    path::Path,
    time::{Duration, Instant},
};
use stripe_api::HANDLED;

/// Accounts, or users, in one transaction.
const PAGE: i64 = 500;
/// Events in one statement.
const EVENTS: i64 = 5_000;
/// How often the progress is told.
const TOLD_EVERY: Duration = Duration::from_secs(5);

/// What was audited so far.
#[derive(Debug, Clone, Copy, Default)]
struct Audited {
    accounts: usize,
    users: usize,
    subscriptions: usize,
    balances: usize,
    facts: usize,
    differences: usize,
}

struct Auditor<'a, W> {
    pool: &'a PgPool,
    out: &'a mut W,
    audited: Audited,
    told: Instant,
}

/// Compares all that is stored with what the facts say, and prints a line for
/// each difference. The figures go to the file `metrics` too, for Prometheus.
///
/// # Errors
/// PostgreSQL's, the network's or the file's; or that something differs.
pub async fn audit(pool: &PgPool, metrics: Option<&Path>, out: &mut impl Write) -> anyhow::Result<()> {
    let began = Instant::now();
    let mut auditor = Auditor {
        pool,
        out,
        audited: Audited::default(),
        told: Instant::now(),
    };
    auditor.accounts().await?;
    auditor.holders().await?;
    auditor.balances().await?;
    auditor.events().await?;
    auditor.usage().await?;
    if let Some(path) = metrics {
        textfile::write(path, &auditor.audited, began.elapsed())?;
    }
    auditor.finish()
}

impl<W: Write> Auditor<'_, W> {
    async fn accounts(&mut self) -> anyhow::Result<()> {
        let mut after = String::new();
        loop {
            let mut moment = snapshot::begin(self.pool).await?;
            let page = store::accounts_after(&mut moment, &after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            let found = self.page(&mut moment, &page).await?;
            moment.commit().await?;
            after = last.to_string();
            self.audited.accounts += page.len();
            self.report(&found)?;
        }
    }

    /// Compares accounts, their subscriptions, and the users of these.
    async fn page(&mut self, moment: &mut PgConnection, page: &[AccountId]) -> Result<Vec<Difference>, sqlx::Error> {
        let (facts, mut found) = compare::read(&store::facts(moment, page).await?);
        let folded = account::fold_all(&facts);
        let ids: Vec<SubscriptionId> = folded
            .values()
            .flat_map(|a| &a.subscriptions)
            .map(|s| s.id.clone())
            .collect();
        let rows = store::subscriptions(moment, page, &ids).await?;
        let outdated: Vec<&StoredSubscription> = rows.iter().filter(|r| compare::outdated(r)).collect();
        let accounts = store::accounts(moment, page).await?;
        let awaiting = outdated.iter().map(|r| r.account.as_str()).collect();
        found.extend(compare::accounts(&folded, &accounts, &awaiting));
        let told: Vec<&Fact> = facts.iter().collect();
        let sessions: Vec<&str> = sales(&told).iter().map(|sale| sale.session).collect();
        let packs = rows::packs(moment, page, &sessions).await?;
        found.extend(credits::packs(&folded, &facts, &packs, &awaiting));
        found.extend(compare::subscriptions(&folded, &rows));
        self.audited.facts += facts.len();
        self.audited.subscriptions += ids.len();
        // Who awaits the migration of a state may get another entitlement by it.
        let waiting: BTreeSet<&str> = outdated.iter().filter_map(|r| r.user.as_deref()).collect();
        let mut users = compare::users(&folded, &rows);
        users.retain(|u| !waiting.contains(u.as_str()));
        found.extend(self.users(moment, page, users, folded).await?);
        Ok(found)
    }

    /// Compares the entitlements of users; one who has several accounts with the first of them.
    async fn users(
        &mut self,
        moment: &mut PgConnection,
        page: &[AccountId],
        mut users: Vec<UserId>,
        mut folded: BTreeMap<AccountId, Account>,
    ) -> Result<Vec<Difference>, sqlx::Error> {
        let elsewhere = store::accounts_elsewhere(moment, &users, page).await?;
        let earlier: BTreeSet<&UserId> = elsewhere.iter().filter(|e| e.2).map(|e| &e.0).collect();
        users.retain(|u| !earlier.contains(u));
        let further: BTreeSet<&AccountId> = elsewhere
            .iter()
            .filter(|e| !earlier.contains(&e.0))
            .map(|e| &e.1)
            .collect();
        let further: Vec<AccountId> = further.into_iter().cloned().collect();
        // What cannot be read there is told with that account's own page.
        let (facts, _) = compare::read(&store::facts(moment, &further).await?);
        folded.extend(account::fold_all(&facts));
        let mut theirs: BTreeMap<&UserId, Vec<&Subscription>> = BTreeMap::new();
        for subscription in folded.values().flat_map(|a| &a.subscriptions) {
            if let Some(user) = &subscription.user {
                theirs.entry(user).or_default().push(subscription);
            }
        }
        let rows = store::entitlements(moment, &users).await?;
        let rows: BTreeMap<&str, _> = rows.iter().map(|r| (r.user_id.as_str(), r)).collect();
        let holders: BTreeSet<UserId> = rows::holders(moment, &users).await?.into_iter().collect();
        let known: BTreeSet<UserId> = store::known_users(moment, &users).await?.into_iter().collect();
        let mut found = Vec::new();
        for user in &users {
            let said = entitlement::of_user(user, theirs.get(user).map_or(&[], Vec::as_slice), FREE_TIER);
            found.extend(compare::entitlement(
                user,
                rows.get(user.as_str()).copied(),
                said.as_ref(),
                holders.contains(user),
            ));
            if theirs.contains_key(user) && !known.contains(user) {
                let what = "there is no row, a subscription is theirs";
                found.push(Difference::of(format!("app_user {user}"), what));
            }
        }
        self.audited.users += users.len();
        Ok(found)
    }

    /// Finds entitlements of users of whom no account tells. Who has a
    /// subscription, stored or told of, was compared with it.
    async fn holders(&mut self) -> anyhow::Result<()> {
        let mut after = String::new();
        loop {
            let mut moment = snapshot::begin(self.pool).await?;
            let page = store::holders_after(&mut moment, &after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after.clone_from(&last.user);
            let bare: Vec<_> = page.iter().filter(|h| !h.has_subscription).collect();
            let customers: BTreeSet<&str> = bare.iter().filter_map(|h| h.customer.as_deref()).collect();
            let customers: Vec<AccountId> = customers.into_iter().map(AccountId::new).collect();
            let (facts, _) = compare::read(&store::facts(&mut moment, &customers).await?);
            let told: BTreeSet<UserId> = compare::users(&account::fold_all(&facts), &[]).into_iter().collect();
            let users: Vec<UserId> = bare.into_iter().map(|h| UserId::new(h.user.as_str())).collect();
            let users: Vec<UserId> = users.into_iter().filter(|u| !told.contains(u)).collect();
            let stored = store::entitlements(&mut moment, &users).await?;
            let holders: BTreeSet<UserId> = rows::holders(&mut moment, &users).await?.into_iter().collect();
            moment.commit().await?;
            self.audited.users += users.len();
            let of = |user: &UserId| stored.iter().find(|r| r.user_id == user.as_str());
            let found = users
                .iter()
                .flat_map(|u| compare::entitlement(u, of(u), None, holders.contains(u)));
            self.report(&found.collect::<Vec<_>>())?;
        }
    }

    /// Finds events without their fact, and facts without their event.
    async fn events(&mut self) -> anyhow::Result<()> {
        let types = HANDLED;
        let lacking = |row: &str, found: Unmatched, what: &str| -> Vec<Difference> {
            let ids = found.lacking.into_iter();
            ids.map(|id| Difference::of(format!("{row} {id}"), what)).collect()
        };
        let mut connection = self.pool.acquire().await?;
        let mut after = Some(String::new());
        while let Some(last) = &after {
            let found = store::events_after(&mut connection, last, EVENTS, &types).await?;
            after.clone_from(&found.last);
            self.report(&lacking("event", found, "it is applied, but its fact is missing"))?;
        }
        let mut after = Some(String::new());
        while let Some(last) = &after {
            let found = store::facts_after(&mut connection, last, EVENTS).await?;
            after.clone_from(&found.last);
            self.report(&lacking("fact of", found, "no event of that id is applied"))?;
        }
        Ok(())
    }

    fn report(&mut self, found: &[Difference]) -> anyhow::Result<()> {
        for difference in found {
            writeln!(self.out, "{}", printable(&difference.to_string()))?;
        }
        self.audited.differences += found.len();
        if self.told.elapsed() >= TOLD_EVERY {
            let Audited {
                accounts,
                users,
                balances,
                facts,
                differences,
                ..
            } = self.audited;
            tracing::info!(accounts, users, balances, facts, differences, "auditing");
            self.told = Instant::now();
        }
        Ok(())
    }

    fn finish(self) -> anyhow::Result<()> {
        let Audited {
            users,
            subscriptions,
            balances,
            facts,
            differences,
            ..
        } = self.audited;
        let result = match differences {
            0 => "no difference".to_owned(),
            1 => "1 difference".to_owned(),
            many => format!("{many} differences"),
        };
        writeln!(
            self.out,
            "audited {users} users, {subscriptions} subscriptions, {balances} balances, {facts} facts: {result}"
        )?;
        anyhow::ensure!(
            differences == 0,
            "what is stored differs from what the events say ({result}); nothing was changed. States of another \
             version are brought up to date by `worker migrate`; any other row was changed by hand, or there is a \
             bug: `worker explain USER` shows what the events say, please report it"
        );
        Ok(())
    }
}
