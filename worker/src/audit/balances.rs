//! The pages of users: their balances, ledgers, and what these rest upon.

use super::{Auditor, PAGE, compare, credits, sums};
use crate::{
    domain::{
        balance::timeline::Timeline,
        fact::{Fact, Seconds},
        ids::{AccountId, EventId, UserId},
    },
    store::{
        self,
        audit::{self as stored, credits as rows, ledger as lines},
        snapshot,
    },
};
use compare::Difference;
use sqlx::PgConnection;
use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
};

/// Lines of the ledger, and sums, that are told of each by itself, of one page.
const ODD_LINES: i64 = 1_000;
/// Events of usage without their line, in one statement.
const UNENTERED: i64 = 1_000;

impl<W: Write> Auditor<'_, W> {
    /// Compares the balances of all users.
    pub(super) async fn balances(&mut self) -> anyhow::Result<()> {
        let mut after = String::new();
        loop {
            let mut moment = snapshot::begin(self.pool).await?;
            let page = rows::users_after(&mut moment, &after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.to_string();
            let found = self.balances_of(&mut moment, &page).await?;
            moment.commit().await?;
            self.report(&found)?;
        }
    }

    async fn balances_of(
        &mut self,
        moment: &mut PgConnection,
        page: &[UserId],
    ) -> Result<Vec<Difference>, sqlx::Error> {
        let mut found = credits::odd_lines(&rows::odd_lines(moment, page, ODD_LINES).await?);
        let stories = stories(moment, page).await?;
        let users: Vec<UserId> = stories.keys().cloned().collect();
        let cuts = stories.iter().map(|(user, story)| (user, story.boundaries()));
        let cuts: Vec<(&UserId, Seconds)> = cuts
            .flat_map(|(u, cuts)| cuts.into_iter().map(move |c| (u, c)))
            .collect();
        found.extend(sums::odd_sums(&lines::odd_sums(moment, page, ODD_LINES).await?));
        let mut held = lines::held(moment, &users, &cuts).await?;
        let mut balances = store::balance::load(moment, &users).await?;
        let holders: Vec<UserId> = balances.keys().cloned().collect();
        let mut untold = Vec::new();
        for (user, story) in &stories {
            let own = balances.remove(user).unwrap_or_default();
            self.audited.balances += own.len();
            let (differences, entries) = credits::balances(user, story, &own, &held.remove(user).unwrap_or_default());
            found.extend(differences);
            untold.extend(entries);
        }
        found.extend(credits::unaccounted(&rows::unaccounted(moment, untold).await?));
        found.extend(credits::bare(&rows::bare(moment, &holders).await?));
        Ok(found)
    }

    /// Finds usage that was applied, but is in no ledger.
    pub(super) async fn usage(&mut self) -> anyhow::Result<()> {
        let mut after = String::new();
        loop {
            let mut moment = snapshot::begin(self.pool).await?;
            let events = rows::unentered_after(&mut moment, &after, UNENTERED).await?;
            moment.commit().await?;
            let Some(last) = events.last() else { return Ok(()) };
            after.clone_from(last);
            let what = "it is applied, but no ledger has its usage";
            let found = events.iter().map(|id| Difference::of(format!("event {id}"), what));
            self.report(&found.collect::<Vec<_>>())?;
        }
    }
}

/// The stories of users, but of those who await a migration: it may change them.
async fn stories(moment: &mut PgConnection, users: &[UserId]) -> Result<BTreeMap<UserId, Timeline>, sqlx::Error> {
    let accounts = rows::accounts_of(moment, users).await?;
    let ids: BTreeSet<&AccountId> = accounts.iter().map(|(_, account)| account).collect();
    let ids: Vec<AccountId> = ids.into_iter().cloned().collect();
    let outdated: BTreeSet<AccountId> = rows::outdated(moment, &ids).await?.into_iter().collect();
    // What cannot be read is told with its account's own page.
    let (mut facts, _) = compare::read(&stored::facts(moment, &ids).await?);
    let payments: BTreeSet<&str> = facts.iter().filter_map(|f| f.body.payment()).collect();
    if !payments.is_empty() {
        let payments: Vec<&str> = payments.into_iter().collect();
        let elsewhere = rows::facts_of_payments(moment, &payments, &ids).await?;
        facts.extend(compare::read(&elsewhere).0);
    }
    let mut by_account: BTreeMap<&AccountId, Vec<&Fact>> = BTreeMap::new();
    let mut by_payment: BTreeMap<&str, Vec<&Fact>> = BTreeMap::new();
    for fact in &facts {
        by_account.entry(&fact.account).or_default().push(fact);
        if let Some(payment) = fact.body.payment() {
            by_payment.entry(payment).or_default().push(fact);
        }
    }
    let mut theirs: BTreeMap<&UserId, BTreeSet<&AccountId>> = users.iter().map(|u| (u, BTreeSet::new())).collect();
    for (user, account) in &accounts {
        theirs.entry(user).or_default().insert(account);
    }
    theirs.retain(|_, accounts| accounts.is_disjoint(&outdated.iter().collect()));
    let story = |user: &UserId, accounts: &BTreeSet<&AccountId>| {
        let own = accounts.iter().filter_map(|a| by_account.get(a)).flatten();
        let own: BTreeMap<&EventId, &Fact> = own.map(|f| (&f.event_id, *f)).collect();
        let paid = own.values().filter_map(|f| by_payment.get(f.body.payment()?)).flatten();
        let mut known: BTreeMap<&EventId, &Fact> = paid.map(|f| (&f.event_id, *f)).collect();
        known.extend(own);
        Timeline::of(user, known.into_values())
    };
    Ok(theirs
        .into_iter()
        .map(|(user, accounts)| (user.clone(), story(user, &accounts)))
        .collect())
}
