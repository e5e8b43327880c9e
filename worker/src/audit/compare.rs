//! Compares stored rows with what the facts say: pure functions of both.

use super::difference::{Difference, differing, fields};
use crate::{
    domain::{
        fact::{Fact, Seconds},
        ids::{AccountId, SubscriptionId, UserId},
        moment::Moment,
        subscription::{
            account::Account,
            entitlement::Entitlement,
            state::{Subscription, VERSION},
        },
    },
    store::audit::stored::{StoredAccount, StoredEntitlement, StoredFact, StoredSubscription},
};
use serde::Deserialize;
use shared::catalog::FREE_TIER;
use std::collections::{BTreeMap, BTreeSet};

/// Reads stored facts. A fact that cannot be read, or whose columns contradict its body,
/// is a difference and is left out.
#[must_use]
pub fn read(stored: &[StoredFact]) -> (Vec<Fact>, Vec<Difference>) {
    let mut facts = Vec::with_capacity(stored.len());
    let mut found = Vec::new();
    for row in stored {
        let name = format!("fact of {}", row.event_id);
        match serde_json::from_str::<Fact>(&row.body) {
            Err(error) => found.push(Difference::of(name, format!("its body cannot be read: {error}"))),
            Ok(fact) => {
                let columns = |event: &str, account: &str, created| serde_json::json!({"event_id": event, "account": account, "created": Moment(created)});
                let own = columns(fact.event_id.as_str(), fact.account.as_str(), fact.created);
                let wrong = fields(&name, "", &columns(&row.event_id, &row.account, row.created), &own);
                if wrong.is_empty() {
                    facts.push(fact);
                }
                found.extend(wrong);
            }
        }
    }
    (facts, found)
}

/// Whether a state is of another version than this program's.
#[must_use]
pub fn outdated(row: &StoredSubscription) -> bool {
    #[derive(Deserialize)]
    struct Versioned {
        #[serde(default)]
        version: i32,
    }
    serde_json::from_str::<Versioned>(&row.state).is_ok_and(|s| s.version != VERSION)
}

/// Compares the rows of accounts. The owner claims of accounts in `outdated` are not
/// compared: `worker migrate` will fold these accounts again.
#[must_use]
pub fn accounts(
    folded: &BTreeMap<AccountId, Account>,
    rows: &[StoredAccount],
    outdated: &BTreeSet<&str>,
) -> Vec<Difference> {
    let mut found = Vec::new();
    let stored: BTreeSet<&str> = rows.iter().map(|r| r.account.as_str()).collect();
    for id in folded.keys().filter(|id| !stored.contains(id.as_str())) {
        found.push(Difference::of(
            format!("account {id}"),
            "there is no row, but there are events for it",
        ));
    }
    for row in rows {
        let name = format!("account {}", row.account);
        let Some(account) = folded.get(&AccountId::new(row.account.as_str())) else {
            found.push(Difference::of(name, "there is a row, but no event for it"));
            continue;
        };
        if outdated.contains(row.account.as_str()) {
            continue;
        }
        if row.has_returns != account.has_returns {
            let what = format!(
                "has_returns is {}, the events say {}",
                row.has_returns, account.has_returns
            );
            found.push(Difference::of(name.clone(), what));
        }
        match row.claim.as_deref().map(serde_json::from_str).transpose() {
            Ok(claim) => found.extend(differing(&name, "owner_claim", &claim, &account.claim)),
            Err(error) => found.push(Difference::of(name, format!("its owner claim cannot be read: {error}"))),
        }
    }
    found
}

/// Compares the subscriptions of the folded accounts with `rows`: those stored under the
/// same accounts or ids.
#[must_use]
pub fn subscriptions(folded: &BTreeMap<AccountId, Account>, rows: &[StoredSubscription]) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut expected: BTreeMap<&SubscriptionId, (&AccountId, &Subscription)> = BTreeMap::new();
    for (id, account) in folded {
        expected.extend(account.subscriptions.iter().map(|s| (&s.id, (id, s))));
    }
    for row in rows {
        let name = format!("subscription {}", row.id);
        if let Some((account, subscription)) = expected.remove(&SubscriptionId::new(row.id.as_str())) {
            found.extend(of_subscription(&name, row, account, subscription));
        } else {
            let what = format!(
                "there is a row of account {}, but that account has no event for it",
                row.account
            );
            found.push(Difference::of(name, what));
        }
    }
    for (id, (account, _)) in expected {
        let what = format!("there is no row, but account {account} has events for it");
        found.push(Difference::of(format!("subscription {id}"), what));
    }
    found
}

fn of_subscription(
    name: &str,
    row: &StoredSubscription,
    account: &AccountId,
    expected: &Subscription,
) -> Vec<Difference> {
    if outdated(row) {
        let what = format!("its state is of another version than {VERSION}; run `worker migrate`");
        return vec![Difference::of(name, what)];
    }
    let columns = |account: &str, user: Option<&str>, past: &[&str]| serde_json::json!({"account": account, "user_id": user, "past_users": past});
    let past: Vec<&str> = row.past_users.iter().map(String::as_str).collect();
    let stored = columns(&row.account, row.user.as_deref(), &past);
    let past: Vec<&str> = expected.past_users().into_iter().map(UserId::as_str).collect();
    let user = expected.user.as_ref().map(UserId::as_str);
    let mut found = fields(name, "", &stored, &columns(account.as_str(), user, &past));
    match serde_json::from_str::<Subscription>(&row.state) {
        Ok(state) => found.extend(differing(&format!("state of {name}"), "", &state, expected)),
        Err(error) => found.push(Difference::of(
            format!("state of {name}"),
            format!("it cannot be read: {error}"),
        )),
    }
    found
}

/// The users of the accounts, by the facts and by the rows.
#[must_use]
pub fn users(folded: &BTreeMap<AccountId, Account>, rows: &[StoredSubscription]) -> Vec<UserId> {
    let by_facts = folded
        .values()
        .flat_map(|a| &a.subscriptions)
        .filter_map(|s| s.user.clone());
    let by_rows = rows.iter().filter_map(|r| r.user.as_deref().map(UserId::new));
    by_facts.chain(by_rows).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Compares a user's entitlements over time. A user with balances and without a subscription
/// has a row with status `none`.
#[must_use]
pub fn entitlements(
    user: &UserId,
    stored: &[&StoredEntitlement],
    expected: &[Entitlement],
    has_balances: bool,
) -> Vec<Difference> {
    let mut expected = rows(expected);
    if expected.is_empty() && has_balances {
        expected = rows(&[Entitlement::without_subscription(user, FREE_TIER)]);
    }
    let name = |row: &StoredEntitlement| match row.since {
        None => format!("entitlement of {user}"),
        Some(since) => format!("entitlement of {user} from {since}"),
    };
    let mut found = Vec::new();
    for row in &expected {
        let Some(stored) = stored.iter().copied().find(|s| s.since == row.since) else {
            let what = format!(
                "there is no row, the events say '{}' with status '{}'",
                row.tier, row.status
            );
            found.push(Difference::of(name(row), what));
            continue;
        };
        found.extend(differing(&name(row), "", stored, row));
    }
    let is_unexpected = |s: &&&StoredEntitlement| !expected.iter().any(|row| row.since == s.since);
    for row in stored.iter().filter(is_unexpected) {
        let why = if expected.is_empty() {
            "no event gives this user a subscription"
        } else {
            "nothing changes then"
        };
        found.push(Difference::of(
            name(row),
            format!("there is a row ('{}'), but {why}", row.tier),
        ));
    }
    found
}

/// The rows that entitlements over time are stored as.
fn rows(over_time: &[Entitlement]) -> Vec<StoredEntitlement> {
    let until = over_time.iter().skip(1).map(|next| next.since).chain([None]);
    over_time.iter().zip(until).map(|(of, until)| row(of, until)).collect()
}

/// The row that an entitlement is stored as.
fn row(of: &Entitlement, until: Option<Seconds>) -> StoredEntitlement {
    StoredEntitlement {
        user_id: of.user.to_string(),
        since: of.since.map(Moment),
        until: until.map(Moment),
        entitled: of.entitled,
        status: of.status.clone(),
        tier: of.tier.clone(),
        base_tier: of.base_tier.clone(),
        grace_tier: of.grace.as_ref().map(|g| g.plan.tier.clone()),
        grace_until: of.grace.as_ref().map(|g| Moment(g.until)),
        current_period_start: of.period.map(|p| Moment(p.start)),
        current_period_end: of.period.map(|p| Moment(p.end)),
        trial_end: of.trial_end.map(Moment),
        is_canceling: of.is_canceling,
        cancel_at: of.cancel_at.map(Moment),
        canceled_at: of.canceled_at.map(Moment),
        ever_paid: of.ever_paid,
        highest_tier_subscribed: of.highest.as_ref().map(|p| p.tier.clone()),
        highest_rank: of.highest.as_ref().map(|p| p.rank),
        stripe_customer_id: of.customer.clone(),
        stripe_subscription_id: of.subscription.clone(),
    }
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
