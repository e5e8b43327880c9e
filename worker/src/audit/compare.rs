//! What is stored beside what the facts say: pure functions of both.

use crate::{
    domain::{
        explain::Moment,
        fact::Fact,
        ids::{AccountId, SubscriptionId, UserId},
        subscription::{
            account::Account,
            entitlement::Entitlement,
            state::{Subscription, VERSION},
        },
    },
    store::audit::{StoredAccount, StoredEntitlement, StoredFact, StoredSubscription},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::catalog::FREE_TIER;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// Something stored that is not what the facts say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Which row, such as `entitlement of user_ada`.
    pub row: String,
    /// What is stored, and what the facts say.
    pub what: String,
}

impl Difference {
    /// `what` of a row.
    pub fn of(row: impl Into<String>, what: impl Into<String>) -> Self {
        let (row, what) = (row.into(), what.into());
        Self { row, what }
    }

    fn field(row: &str, field: &str, stored: &Value, said: &Value) -> Self {
        Self::of(
            row,
            format!("{field} is {}, the events say {}", shown(stored), shown(said)),
        )
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.row, self.what)
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => format!("'{text}'"),
        other => other.to_string(),
    }
}

/// The leaves in which two values differ.
fn fields(row: &str, path: &str, stored: &Value, said: &Value) -> Vec<Difference> {
    match (stored, said) {
        (Value::Object(a), Value::Object(b)) => {
            let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            let of = |name: &String| {
                let path = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                fields(
                    row,
                    &path,
                    a.get(name).unwrap_or(&Value::Null),
                    b.get(name).unwrap_or(&Value::Null),
                )
            };
            names.into_iter().flat_map(of).collect()
        }
        _ if stored == said => Vec::new(),
        _ => vec![Difference::field(row, path, stored, said)],
    }
}

pub(super) fn differing<T: Serialize + PartialEq>(row: &str, path: &str, stored: &T, said: &T) -> Vec<Difference> {
    if stored == said {
        return Vec::new();
    }
    // What this program defined itself can be written.
    let value = |of: &T| serde_json::to_value(of).unwrap_or_default();
    fields(row, path, &value(stored), &value(said))
}

/// Reads facts; one that cannot be read, or is stored as another's, is left out.
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

/// Whether a state is of the version that this program makes.
#[must_use]
pub fn outdated(row: &StoredSubscription) -> bool {
    #[derive(Deserialize)]
    struct Versioned {
        #[serde(default)]
        version: i32,
    }
    serde_json::from_str::<Versioned>(&row.state).is_ok_and(|s| s.version != VERSION)
}

/// Compares the rows of accounts; those in `outdated` await their migration.
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
            "there is no row, the events tell of it",
        ));
    }
    for row in rows {
        let name = format!("account {}", row.account);
        let Some(account) = folded.get(&AccountId::new(row.account.as_str())) else {
            found.push(Difference::of(name, "there is a row, no event tells of it"));
            continue;
        };
        if outdated.contains(row.account.as_str()) {
            continue;
        }
        match row.claim.as_deref().map(serde_json::from_str).transpose() {
            Ok(claim) => found.extend(differing(&name, "claim", &claim, &account.claim)),
            Err(error) => found.push(Difference::of(name, format!("its claim cannot be read: {error}"))),
        }
    }
    found
}

/// Compares the rows of subscriptions: all of the folded accounts, and those that
/// are stored under them.
#[must_use]
pub fn subscriptions(folded: &BTreeMap<AccountId, Account>, rows: &[StoredSubscription]) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut said: BTreeMap<&SubscriptionId, (&AccountId, &Subscription)> = BTreeMap::new();
    for (id, account) in folded {
        said.extend(account.subscriptions.iter().map(|s| (&s.id, (id, s))));
    }
    for row in rows {
        let name = format!("subscription {}", row.id);
        if let Some((account, subscription)) = said.remove(&SubscriptionId::new(row.id.as_str())) {
            found.extend(of_subscription(&name, row, account, subscription));
        } else {
            let what = format!(
                "there is a row of account {}, none of its events tells of it",
                row.account
            );
            found.push(Difference::of(name, what));
        }
    }
    for (id, (account, _)) in said {
        let what = format!("there is no row, events of account {account} tell of it");
        found.push(Difference::of(format!("subscription {id}"), what));
    }
    found
}

fn of_subscription(name: &str, row: &StoredSubscription, account: &AccountId, said: &Subscription) -> Vec<Difference> {
    if outdated(row) {
        let what = format!("its state is of another version than {VERSION}; run `worker migrate`");
        return vec![Difference::of(name, what)];
    }
    let columns = |account: &str, user: Option<&str>| serde_json::json!({"account": account, "user_id": user});
    let stored = columns(&row.account, row.user.as_deref());
    let mut found = fields(
        name,
        "",
        &stored,
        &columns(account.as_str(), said.user.as_ref().map(UserId::as_str)),
    );
    match serde_json::from_str::<Subscription>(&row.state) {
        Ok(state) => found.extend(differing(&format!("state of {name}"), "", &state, said)),
        Err(error) => found.push(Difference::of(
            format!("state of {name}"),
            format!("it cannot be read: {error}"),
        )),
    }
    found
}

/// The users whom accounts are about: by their facts, and by their rows.
#[must_use]
pub fn users(folded: &BTreeMap<AccountId, Account>, rows: &[StoredSubscription]) -> Vec<UserId> {
    let said = folded
        .values()
        .flat_map(|a| &a.subscriptions)
        .filter_map(|s| s.user.clone());
    let stored = rows.iter().filter_map(|r| r.user.as_deref().map(UserId::new));
    said.chain(stored).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Compares a user's entitlement. Who has balances and no subscription is known
/// by them.
#[must_use]
pub fn entitlement(
    user: &UserId,
    stored: Option<&StoredEntitlement>,
    said: Option<&Entitlement>,
    has_balances: bool,
) -> Vec<Difference> {
    let name = format!("entitlement of {user}");
    let none = || has_balances.then(|| row(&Entitlement::without_subscription(user, FREE_TIER)));
    match (stored, said.map(row).or_else(none)) {
        (None, None) => Vec::new(),
        (Some(stored), Some(said)) => differing(&name, "", stored, &said),
        (None, Some(said)) => {
            let what = format!(
                "there is no row, the events say '{}' with status '{}'",
                said.tier, said.status
            );
            vec![Difference::of(name, what)]
        }
        (Some(stored), None) => {
            let what = format!(
                "there is a row ('{}'), the events tell of no subscription of theirs",
                stored.tier
            );
            vec![Difference::of(name, what)]
        }
    }
}

/// The row that an entitlement is stored as.
fn row(of: &Entitlement) -> StoredEntitlement {
    StoredEntitlement {
        user_id: of.user.to_string(),
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
