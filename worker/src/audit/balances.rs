//! Compares balances and ledgers with the timelines of their users.

use super::{
    accounts::facts_of,
    auditor::{Auditor, PAGE},
    compare, credits,
    difference::Difference,
    sums,
};
use crate::{
    domain::{
        balance::timeline::Timeline,
        fact::{Fact, Seconds},
        ids::{AccountId, EventId, UserId},
        subscription::account,
    },
    store::{
        self,
        audit::{credits as rows, ledger},
        snapshot,
    },
};
use sqlx::PgConnection;
use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
};

/// Most ledger rows, and most sums, that are reported one by one per page.
const ODD_LINES_MAX: i64 = 1_000;

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
        let mut found = credits::odd_lines(&rows::odd_lines(moment, page, ODD_LINES_MAX).await?);
        let timelines = timelines(moment, page).await?;
        let users: Vec<UserId> = timelines.keys().cloned().collect();
        let cuts = timelines.iter().map(|(user, timeline)| (user, timeline.boundaries()));
        let cuts: Vec<(&UserId, Seconds)> = cuts
            .flat_map(|(u, cuts)| cuts.into_iter().map(move |c| (u, c)))
            .collect();
        found.extend(sums::odd_sums(&ledger::odd_sums(moment, page, ODD_LINES_MAX).await?));
        let mut recorded = ledger::lines(moment, &users, &cuts).await?;
        let mut balances = store::balance::load(moment, &users).await?;
        let holders: Vec<UserId> = balances.keys().cloned().collect();
        let mut unexplained = Vec::new();
        for (user, timeline) in &timelines {
            let own = balances.remove(user).unwrap_or_default();
            self.figures.balances += own.len();
            let (differences, entries) =
                credits::balances(user, timeline, &own, &recorded.remove(user).unwrap_or_default());
            found.extend(differences);
            unexplained.extend(entries);
        }
        found.extend(credits::without_reason(
            &rows::without_reason(moment, unexplained).await?,
        ));
        found.extend(credits::without_subscription(
            &rows::without_subscription(moment, &holders).await?,
        ));
        Ok(found)
    }
}

/// The timelines of users. Users with outdated accounts are left out: `worker migrate`
/// may change their timelines.
async fn timelines(moment: &mut PgConnection, users: &[UserId]) -> Result<BTreeMap<UserId, Timeline>, sqlx::Error> {
    let accounts = rows::accounts_of(moment, users).await?;
    let ids: BTreeSet<&AccountId> = accounts.iter().map(|(_, account)| account).collect();
    let ids: Vec<AccountId> = ids.into_iter().cloned().collect();
    let ranks = store::catalog::ranks(moment).await?;
    let outdated = rows::outdated(moment, &ids, ranks.version()).await?;
    let outdated: BTreeSet<AccountId> = outdated.into_iter().collect();
    // A fact that cannot be read is reported with its account's page.
    let (mut facts, _) = facts_of(moment, &ids, &ranks).await?;
    let payments: BTreeSet<&str> = facts.iter().filter_map(|f| f.body.payment()).collect();
    if !payments.is_empty() {
        let payments: Vec<&str> = payments.into_iter().collect();
        let elsewhere = rows::facts_of_payments(moment, &payments, &ids).await?;
        facts.extend(compare::read(&elsewhere).0);
    }
    let by_account = account::by_account(&facts);
    let mut by_payment: BTreeMap<&str, Vec<&Fact>> = BTreeMap::new();
    for fact in &facts {
        if let Some(payment) = fact.body.payment() {
            by_payment.entry(payment).or_default().push(fact);
        }
    }
    let mut theirs: BTreeMap<&UserId, BTreeSet<&AccountId>> = users.iter().map(|u| (u, BTreeSet::new())).collect();
    for (user, account) in &accounts {
        theirs.entry(user).or_default().insert(account);
    }
    theirs.retain(|_, accounts| accounts.is_disjoint(&outdated.iter().collect()));
    let timeline = |user: &UserId, accounts: &BTreeSet<&AccountId>| {
        let own = accounts.iter().filter_map(|a| by_account.get(a)).flatten();
        let own: BTreeMap<&EventId, &Fact> = own.map(|f| (&f.event_id, *f)).collect();
        let paid = own.values().filter_map(|f| by_payment.get(f.body.payment()?)).flatten();
        let mut known: BTreeMap<&EventId, &Fact> = paid.map(|f| (&f.event_id, *f)).collect();
        known.extend(own);
        Timeline::of(user, known.into_values())
    };
    Ok(theirs
        .into_iter()
        .map(|(user, accounts)| (user.clone(), timeline(user, &accounts)))
        .collect())
}
