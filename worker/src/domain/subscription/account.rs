//! One account: the subscriptions of a customer, and the user that owns them.
//!
//! Example: customer `cus_1` has `sub_1`, whose metadata names the user `u1`, and
//! `sub_2`, which names nobody. Both belong to `u1`: a subscription without a claim
//! of its own takes the customer's.

use super::{
    link::{self, OwnerClaim},
    state::{Subscription, VERSION},
};
use crate::domain::{
    fact::{Fact, FactBody},
    ids::{AccountId, SubscriptionId, UserId},
};
use std::collections::{BTreeMap, BTreeSet};

/// The state of one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// [`VERSION`] when it was folded.
    pub version: i32,
    /// The best claim about the customer's user.
    pub claim: Option<OwnerClaim>,
    /// Its subscriptions, sorted by id.
    pub subscriptions: Vec<Subscription>,
}

/// Groups facts by account.
#[must_use]
pub fn by_account<'a>(facts: impl IntoIterator<Item = &'a Fact>) -> BTreeMap<&'a AccountId, Vec<&'a Fact>> {
    let mut by_account: BTreeMap<_, Vec<&Fact>> = BTreeMap::new();
    for fact in facts {
        by_account.entry(&fact.account).or_default().push(fact);
    }
    by_account
}

/// Folds the facts of any number of accounts, each account for itself.
#[must_use]
pub fn fold_all(facts: &[Fact]) -> BTreeMap<AccountId, Account> {
    by_account(facts)
        .into_iter()
        .map(|(id, facts)| (id.clone(), Account::fold(&facts)))
        .collect()
}

/// Groups facts by subscription; leaves out facts that name none.
fn by_subscription<'a>(facts: &[&'a Fact]) -> BTreeMap<&'a SubscriptionId, Vec<&'a Fact>> {
    let mut by_subscription: BTreeMap<_, Vec<&Fact>> = BTreeMap::new();
    for fact in facts {
        if let Some(id) = fact.body.subscription() {
            by_subscription.entry(id).or_default().push(fact);
        }
    }
    by_subscription
}

/// The best claim of these facts about their customer's user.
#[must_use]
pub fn best_customer_claim(facts: &[&Fact]) -> Option<OwnerClaim> {
    let mut best = None;
    for fact in facts {
        link::keep_better(&mut best, link::customer_owner(fact));
    }
    best
}

impl Default for Account {
    /// An account without facts.
    fn default() -> Self {
        Self {
            version: VERSION,
            claim: None,
            subscriptions: Vec::new(),
        }
    }
}

impl Account {
    /// The slow path: folds all facts of one account, given in any order.
    #[must_use]
    pub fn fold(facts: &[&Fact]) -> Self {
        let subscriptions = by_subscription(facts)
            .into_iter()
            .map(|(id, own)| Subscription::refold(id.clone(), &own))
            .collect();
        let mut account = Self {
            claim: best_customer_claim(facts),
            subscriptions,
            ..Self::default()
        };
        account.link_subscriptions();
        account
    }

    /// The fast path: folds `new` facts, given in any order, on top of this state.
    /// Returns `None` if a subscription declines ([`Subscription::advance`]) or the
    /// state is of another version. Then all facts must be folded again.
    #[must_use]
    pub fn advance(&self, new: &[&Fact]) -> Option<Self> {
        if self.version != VERSION || self.subscriptions.iter().any(|s| s.version != VERSION) {
            return None;
        }
        let mut next = self.clone();
        link::keep_better(&mut next.claim, best_customer_claim(new));
        for (id, own) in by_subscription(new) {
            match next.subscriptions.iter_mut().find(|s| s.id == *id) {
                Some(known) => *known = known.advance(&own)?,
                None => next.subscriptions.push(Subscription::refold(id.clone(), &own)),
            }
        }
        next.link_subscriptions();
        Some(next)
    }

    /// The users whose balances `new` facts may change through a subscription: its
    /// user now, and its user `before`. `refolded` says whether the account was
    /// folded again from all its facts.
    ///
    /// Balances depend on every state that a subscription had, so equal states
    /// before and after are not enough. A subscription leaves balances as they are
    /// only if it has no new snapshot or invoice, the same user, and was not folded
    /// again.
    #[must_use]
    pub fn affected_users<'a>(
        &'a self,
        before: Option<&'a Self>,
        new: &[&Fact],
        refolded: bool,
    ) -> BTreeSet<&'a UserId> {
        let alters_state = |fact: &&&Fact| matches!(fact.body, FactBody::Subscription(_) | FactBody::Invoice(_));
        let altered: BTreeSet<&SubscriptionId> = new
            .iter()
            .filter(alters_state)
            .filter_map(|f| f.body.subscription())
            .collect();
        let mut users = BTreeSet::new();
        for now in &self.subscriptions {
            let old = before.and_then(|b| b.subscriptions.iter().find(|s| s.id == now.id));
            let old_user = old.and_then(|s| s.user.as_ref());
            if refolded || altered.contains(&now.id) || old_user != now.user.as_ref() {
                users.extend(old_user.into_iter().chain(&now.user));
            }
        }
        users
    }

    /// Gives each subscription the user of its own best claim, else the customer's.
    fn link_subscriptions(&mut self) {
        self.subscriptions.sort_by(|a, b| a.id.cmp(&b.id));
        for subscription in &mut self.subscriptions {
            let claim = subscription.claim.as_ref().or(self.claim.as_ref());
            subscription.user = claim.map(|c| c.user.clone());
        }
    }
}
