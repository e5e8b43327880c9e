//! Sales of credits. Stores them, and finds the users whose balances change.

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
        payment::ReturnedPayment,
    },
};
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet};

/// Stores the sales of these facts, and gives the sales of `owners`' accounts to their
/// new owner. Returns each user whose balances change, with the event that is the cause.
/// `returned` are the returned payments of invoices that the facts concern.
pub(super) async fn keep_new(
    connection: &mut PgConnection,
    facts: &[&Fact],
    returned: &[ReturnedPayment],
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
    buying.extend(named_late(connection, facts).await?);
    buying.sort();
    buying.dedup();
    let owners: Vec<_> = owners
        .into_iter()
        .map(|(id, claim)| (id, claim.map(|c| &c.user)))
        .collect();
    let invoices: Vec<&str> = returned.iter().map(|r| r.invoice.as_str()).collect();
    if owners.is_empty() && payments.is_empty() && buying.is_empty() && invoices.is_empty() {
        return Ok(Vec::new());
    }
    let mut affected = Vec::new();
    if !buying.is_empty() {
        affected = keep(connection, facts, &buying, folded, ranks).await?;
    }
    affected.extend(store::pack::assign(connection, &owners, &payments, &invoices).await?);
    let caused = |pack: AffectedPack| Some((cause_of(&pack, facts, returned)?, UserId::new(pack.user)));
    let caused = affected.into_iter().filter_map(caused);
    Ok(caused.map(|(cause, user)| (user, cause)).collect())
}

/// Stores the sales of these accounts, as all facts of the accounts describe them.
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
            sale: sale.sale,
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

/// The accounts of sales, sorted.
fn buying(facts: &[&Fact]) -> Vec<AccountId> {
    let accounts: BTreeSet<&AccountId> = facts
        .iter()
        .filter(|f| f.body.buys_credits())
        .map(|f| &f.account)
        .collect();
    accounts.into_iter().cloned().collect()
}

/// The accounts with packs of which a session may name the user only now: a pack that is
/// sold with a subscription belongs to the user of the session that started it.
async fn named_late(connection: &mut PgConnection, facts: &[&Fact]) -> Result<Vec<AccountId>, sqlx::Error> {
    let starts = |f: &&&Fact| matches!(&f.body, FactBody::Session(s) if s.subscription.is_some());
    let accounts: BTreeSet<&AccountId> = facts.iter().filter(starts).map(|f| &f.account).collect();
    if accounts.is_empty() {
        return Ok(Vec::new());
    }
    let accounts: Vec<AccountId> = accounts.into_iter().cloned().collect();
    store::pack::with_packs(connection, &accounts).await
}

/// The event that changes the balances of a sale's user: one about the sale or its
/// payment, or else one of its account.
fn cause_of(pack: &AffectedPack, facts: &[&Fact], returned: &[ReturnedPayment]) -> Option<String> {
    let about = |fact: &&&Fact| match &fact.body {
        FactBody::Session(session) => session.session == pack.sale,
        other => {
            let is_paid_by = other.payment().is_some() && other.payment() == pack.payment.as_deref();
            let mut of_sale = returned.iter().filter(|r| r.invoice == pack.sale);
            is_paid_by || of_sale.any(|r| r.concerns(fact))
        }
    };
    let same_account = |fact: &&&Fact| fact.account.as_str() == pack.account;
    let cause = facts.iter().find(about).or_else(|| facts.iter().find(same_account));
    cause.map(|fact| fact.event_id.to_string())
}
