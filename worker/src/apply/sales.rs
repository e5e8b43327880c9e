//! Sessions that bought credits. Stores them, and finds the users whose balances
//! change.

use crate::{
    domain::{
        balance::grants,
        fact::{Fact, FactBody},
        ids::{AccountId, EventId, UserId},
        subscription::{account::Account, link::OwnerClaim, ranks::Ranks},
    },
    store::{
        self,
        pack::{AffectedPack, NewPack},
    },
};
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet};

/// Stores the sessions of these facts, and gives the sessions of `owners`' accounts to their
/// new owner. Returns each user whose balances change, with the event that is the cause.
pub(super) async fn keep_new(
    connection: &mut PgConnection,
    facts: &[&Fact],
    folded: &BTreeMap<AccountId, Account>,
    owners: &[(&AccountId, Option<&OwnerClaim>)],
    ranks: &Ranks,
) -> Result<Vec<(UserId, String)>, sqlx::Error> {
    let (payments, mut buying) = (payments(facts), buying(facts));
    // Each pack of a customer that was handed over belongs to the user of its time.
    let (handed, owners): (Vec<_>, Vec<_>) = owners
        .iter()
        .partition(|(_, claim)| claim.is_some_and(|c| !c.handed.is_empty()));
    buying.extend(handed.into_iter().map(|(account, _)| account.clone()));
    buying.sort();
    buying.dedup();
    let owners: Vec<_> = owners
        .into_iter()
        .map(|(id, claim)| (id, claim.map(|c| &c.user)))
        .collect();
    if owners.is_empty() && payments.is_empty() && buying.is_empty() {
        return Ok(Vec::new());
    }
    let mut affected = Vec::new();
    if !buying.is_empty() {
        affected = keep(connection, facts, &buying, folded, ranks).await?;
    }
    affected.extend(store::pack::assign(connection, &owners, &payments).await?);
    let caused = |pack: AffectedPack| Some((cause_of(&pack, facts)?, UserId::new(pack.user)));
    let caused = affected.into_iter().filter_map(caused);
    Ok(caused.map(|(cause, user)| (user, cause)).collect())
}

/// Stores the sessions of these accounts, as all facts of the accounts describe them.
async fn keep(
    connection: &mut PgConnection,
    new: &[&Fact],
    accounts: &[AccountId],
    folded: &BTreeMap<AccountId, Account>,
    ranks: &Ranks,
) -> Result<Vec<AffectedPack>, sqlx::Error> {
    let facts = store::fact::of_accounts(connection, accounts, ranks).await?;
    let facts: Vec<&Fact> = facts.iter().collect();
    let ids: BTreeSet<&EventId> = new.iter().map(|f| &f.event_id).collect();
    let agreed = grants::keep_first_grants(&facts, &ids);
    if !agreed.is_empty() {
        store::fact::rewrite(connection, &agreed).await?;
    }
    let sales = grants::sales(&facts);
    let sold = sales.iter().map(|sale| {
        let account = &sale.first.account;
        let owner = folded.get(account).and_then(|a| a.claim.as_ref());
        NewPack {
            session: sale.sale,
            account,
            payment: sale.payment,
            user: sale.named.or(owner.map(|claim| claim.user_at(sale.first.created))),
            names_user: sale.named.is_some(),
        }
    });
    store::pack::store(connection, &sold.collect::<Vec<_>>()).await
}

/// The payments of these facts, each once, sorted.
fn payments<'a>(facts: &[&'a Fact]) -> Vec<&'a str> {
    let payments: BTreeSet<&str> = facts.iter().filter_map(|f| f.body.payment()).collect();
    payments.into_iter().collect()
}

/// The accounts of sessions that bought credits, sorted.
fn buying(facts: &[&Fact]) -> Vec<AccountId> {
    let accounts: BTreeSet<&AccountId> = facts
        .iter()
        .filter(|f| f.body.buys_credits())
        .map(|f| &f.account)
        .collect();
    accounts.into_iter().cloned().collect()
}

/// The event that changes the balances of a session's user: one about the session or its
/// payment, or else one of its account.
fn cause_of(pack: &AffectedPack, facts: &[&Fact]) -> Option<String> {
    let about = |fact: &&&Fact| match &fact.body {
        FactBody::Session(session) => session.session == pack.session,
        other => other.payment().is_some() && other.payment() == pack.payment.as_deref(),
    };
    let same_account = |fact: &&&Fact| fact.account.as_str() == pack.account;
    let cause = facts.iter().find(about).or_else(|| facts.iter().find(same_account));
    cause.map(|fact| fact.event_id.to_string())
}
