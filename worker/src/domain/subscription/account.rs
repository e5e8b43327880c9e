//! All that is known of one account: its subscriptions, and whose it is.

use super::{
    link::{self, Claim},
    state::{Subscription, VERSION},
};
use crate::domain::{
    fact::{Fact, FactBody},
    ids::{AccountId, SubscriptionId, UserId},
};
use std::collections::{BTreeMap, BTreeSet};

/// What is known of one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The version of the rules by which it was folded.
    pub version: i32,
    /// The best word about the customer's user.
    pub claim: Option<Claim>,
    /// Its subscriptions, sorted by id.
    pub subscriptions: Vec<Subscription>,
}

/// Facts by the account that they belong to.
#[must_use]
pub fn by_account<'a>(facts: impl IntoIterator<Item = &'a Fact>) -> BTreeMap<&'a AccountId, Vec<&'a Fact>> {
    let mut by_account: BTreeMap<_, Vec<&Fact>> = BTreeMap::new();
    for fact in facts {
        by_account.entry(&fact.account).or_default().push(fact);
    }
    by_account
}

/// Folds facts of any accounts, each account by itself.
#[must_use]
pub fn fold_all(facts: &[Fact]) -> BTreeMap<AccountId, Account> {
    by_account(facts)
        .into_iter()
        .map(|(id, facts)| (id.clone(), Account::fold(&facts)))
        .collect()
}

/// Facts by the subscription that they are about.
fn by_subscription<'a>(facts: &[&'a Fact]) -> BTreeMap<&'a SubscriptionId, Vec<&'a Fact>> {
    let mut by_subscription: BTreeMap<_, Vec<&Fact>> = BTreeMap::new();
    for fact in facts {
        if let Some(id) = fact.body.subscription() {
            by_subscription.entry(id).or_default().push(fact);
        }
    }
    by_subscription
}

/// The best word of these facts about whose their customer is.
#[must_use]
pub fn claim(facts: &[&Fact]) -> Option<Claim> {
    let mut best = None;
    for fact in facts {
        link::improve(&mut best, link::of_customer(fact));
    }
    best
}

impl Default for Account {
    /// An account of which nothing is known.
    fn default() -> Self {
        Self {
            version: VERSION,
            claim: None,
            subscriptions: Vec::new(),
        }
    }
}

impl Account {
    /// Folds all facts of one account, in any order.
    #[must_use]
    pub fn fold(facts: &[&Fact]) -> Self {
        let subscriptions = by_subscription(facts)
            .into_iter()
            .map(|(id, own)| Subscription::refold(id.clone(), &own))
            .collect();
        let mut account = Self {
            claim: claim(facts),
            subscriptions,
            ..Self::default()
        };
        account.link();
        account
    }

    /// The fast path: takes in `new` facts, in any order, on top of what is
    /// folded. None if one of them is late or tied, or the state is of an older
    /// version: then the account must be folded from all its facts.
    #[must_use]
    pub fn advance(&self, new: &[&Fact]) -> Option<Self> {
        if self.version != VERSION || self.subscriptions.iter().any(|s| s.version != VERSION) {
            return None;
        }
        let mut next = self.clone();
        link::improve(&mut next.claim, claim(new));
        for (id, own) in by_subscription(new) {
            match next.subscriptions.iter_mut().find(|s| s.id == *id) {
                Some(known) => *known = known.advance(&own)?,
                None => next.subscriptions.push(Subscription::refold(id.clone(), &own)),
            }
        }
        next.link();
        Some(next)
    }

    /// Whose story `new` facts may change by a subscription, given the account
    /// `before` them and whether it was folded again from all its facts: the
    /// users of the subscriptions in question, as they are and as they were.
    ///
    /// A story has every state that was told, not the last one alone, so that no
    /// comparison of two states can tell. Only what is neither a snapshot nor an
    /// invoice, and changes nothing before it, leaves a story as it is.
    #[must_use]
    pub fn concerns<'a>(&'a self, before: Option<&'a Self>, new: &[&Fact], late: bool) -> BTreeSet<&'a UserId> {
        let tells = |fact: &&&Fact| matches!(fact.body, FactBody::Subscription(_) | FactBody::Invoice(_));
        let told: BTreeSet<&SubscriptionId> = new.iter().filter(tells).filter_map(|f| f.body.subscription()).collect();
        let mut users = BTreeSet::new();
        for now in &self.subscriptions {
            let was = before.and_then(|b| b.subscriptions.iter().find(|s| s.id == now.id));
            let was = was.and_then(|was| was.user.as_ref());
            if late || told.contains(&now.id) || was != now.user.as_ref() {
                users.extend(was.into_iter().chain(&now.user));
            }
        }
        users
    }

    /// A subscription's user is the one of its own best word, else the customer's.
    fn link(&mut self) {
        self.subscriptions.sort_by(|a, b| a.id.cmp(&b.id));
        for subscription in &mut self.subscriptions {
            let claim = subscription.claim.as_ref().or(self.claim.as_ref());
            subscription.user = claim.map(|c| c.user.clone());
        }
    }
}
