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
    /// Whether other rules or ranks than those in force made its state.
    pub is_outdated: bool,
    /// The best claim about the customer's user.
    pub claim: Option<OwnerClaim>,
    /// Whether a refund or a dispute of one of its payments is known. Then all of its facts
    /// say which invoice was returned.
    pub has_returns: bool,
    /// Its subscriptions, sorted by id.
    pub subscriptions: Vec<Subscription>,
}

/// Groups facts by account. A fact about a payment that names no customer is also given to
/// the accounts whose invoices were paid with that payment.
#[must_use]
pub fn by_account<'a>(facts: impl IntoIterator<Item = &'a Fact>) -> BTreeMap<&'a AccountId, Vec<&'a Fact>> {
    let mut by_account: BTreeMap<_, Vec<&Fact>> = BTreeMap::new();
    let mut about_payments: Vec<&Fact> = Vec::new();
    for fact in facts {
        by_account.entry(&fact.account).or_default().push(fact);
        if is_about_payment(&fact.body) {
            about_payments.push(fact);
        }
    }
    if !about_payments.is_empty() {
        for (id, own) in &mut by_account {
            let linked = linked(own, &about_payments);
            own.extend(linked.into_iter().filter(|f| f.account != **id));
        }
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

/// Whether a fact is a payment of an invoice, a refund or a dispute.
fn is_about_payment(body: &FactBody) -> bool {
    matches!(body, FactBody::InvoicePayment(_)) || body.returns_money()
}

/// Whether a fact may show that a returned payment paid an invoice, or that this invoice was
/// about the plan.
fn shows_returns(body: &FactBody) -> bool {
    matches!(
        body,
        FactBody::Invoice(_) | FactBody::InvoicePayment(_) | FactBody::Subscription(_)
    )
}

/// The facts of `about_payments` that concern the invoices of subscriptions among `own`
/// facts: their payments, and the refunds and disputes of those.
fn linked<'a>(own: &[&'a Fact], about_payments: &[&'a Fact]) -> Vec<&'a Fact> {
    let invoices = own.iter().filter_map(|f| match &f.body {
        FactBody::Invoice(i) if i.subscription.is_some() => Some(i),
        _ => None,
    });
    let mut ids: BTreeSet<&str> = BTreeSet::new();
    let mut payments: BTreeSet<&str> = BTreeSet::new();
    for invoice in invoices {
        ids.insert(&invoice.invoice);
        payments.extend(invoice.payment_intent.iter().chain(&invoice.charge).map(String::as_str));
    }
    let pays = |f: &&&Fact| match &f.body {
        FactBody::InvoicePayment(p) => ids.contains(p.invoice.as_str()),
        FactBody::ChargeRefunded(c) => c.invoice.as_ref().is_some_and(|i| ids.contains(i.as_str())),
        _ => false,
    };
    let paid: Vec<&Fact> = about_payments.iter().filter(pays).copied().collect();
    payments.extend(paid.iter().flat_map(|f| payment_ids(&f.body)));
    let concerns = |f: &&&Fact| {
        let is_paid_with = || payment_ids(&f.body).into_iter().any(|id| payments.contains(id));
        pays(f) || f.body.returns_money() && is_paid_with()
    };
    about_payments.iter().filter(concerns).copied().collect()
}

/// The payment intent and the charge that a fact about a payment names.
fn payment_ids(body: &FactBody) -> Vec<&str> {
    let (intent, charge) = match body {
        FactBody::InvoicePayment(p) => (&p.payment_intent, p.charge.as_ref()),
        FactBody::ChargeRefunded(c) => (&c.payment_intent, Some(&c.charge)),
        FactBody::RefundFailed(r) => (&r.payment_intent, r.charge.as_ref()),
        FactBody::Dispute(d) => (&d.payment_intent, d.charge.as_ref()),
        _ => return Vec::new(),
    };
    intent.iter().chain(charge).map(String::as_str).collect()
}

/// Groups facts by subscription; leaves out facts that concern none. `facts` are those of
/// one account.
#[must_use]
pub fn by_subscription<'a>(facts: &[&'a Fact]) -> BTreeMap<&'a SubscriptionId, Vec<&'a Fact>> {
    let mut by_subscription: BTreeMap<_, Vec<&Fact>> = BTreeMap::new();
    let mut about_payments: Vec<&Fact> = Vec::new();
    for fact in facts {
        if let Some(id) = fact.body.subscription() {
            by_subscription.entry(id).or_default().push(fact);
        } else if is_about_payment(&fact.body) {
            about_payments.push(fact);
        }
    }
    if about_payments.iter().any(|f| f.body.returns_money()) {
        for own in by_subscription.values_mut() {
            let linked = linked(own, &about_payments);
            own.extend(linked);
        }
    }
    by_subscription
}

impl Default for Account {
    /// An account without facts.
    fn default() -> Self {
        Self {
            is_outdated: false,
            claim: None,
            has_returns: false,
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
            claim: link::customer_owner(facts),
            has_returns: facts.iter().any(|f| f.body.returns_money()),
            subscriptions,
            ..Self::default()
        };
        account.link_subscriptions();
        account
    }

    /// The fast path: folds `new` facts, given in any order, on top of this state.
    /// Returns `None` if a subscription declines ([`Subscription::advance`]), if money of a
    /// payment was returned, or if the state is outdated. Then all facts must be
    /// folded again.
    #[must_use]
    pub fn advance(&self, new: &[&Fact]) -> Option<Self> {
        if self.is_outdated || self.subscriptions.iter().any(|s| s.version != VERSION) {
            return None;
        }
        let concerns_returns = |f: &&Fact| f.body.returns_money() || self.has_returns && shows_returns(&f.body);
        if new.iter().any(concerns_returns) {
            return None;
        }
        let mut next = self.clone();
        next.claim = link::customer_owner_after(self.claim.as_ref(), new)?;
        for (id, own) in by_subscription(new) {
            match next.subscriptions.iter_mut().find(|s| s.id == *id) {
                Some(known) => *known = known.advance(&own)?,
                None => next.subscriptions.push(Subscription::refold(id.clone(), &own)),
            }
        }
        next.link_subscriptions();
        Some(next)
    }

    /// The users whose balances `new` facts may change through a subscription: all that own it
    /// or owned it, by the facts now and by those `before`. `refolded` says whether the account
    /// was folded again from all its facts.
    ///
    /// Balances depend on every state that a subscription had, so equal states
    /// before and after are not enough. A subscription leaves balances as they are
    /// only if it has no new snapshot, invoice or credit, the same owners, and was not folded
    /// again.
    #[must_use]
    pub fn affected_users<'a>(
        &'a self,
        before: Option<&'a Self>,
        new: &[&Fact],
        refolded: bool,
    ) -> BTreeSet<&'a UserId> {
        let alters_state = |fact: &&&Fact| match &fact.body {
            FactBody::Subscription(_) | FactBody::Invoice(_) => true,
            // A credit may belong to a change that cut a period short.
            FactBody::InvoiceItem(item) => item.credits(),
            _ => false,
        };
        let altered: BTreeSet<&SubscriptionId> = new
            .iter()
            .filter(alters_state)
            .filter_map(|f| f.body.subscription())
            .collect();
        let mut users = BTreeSet::new();
        for now in &self.subscriptions {
            let old = before.and_then(|b| b.subscriptions.iter().find(|s| s.id == now.id));
            let owners = |s: &'a Subscription| (&s.user, &s.owners);
            let is_same = old.is_some_and(|old| owners(old) == owners(now));
            if refolded || altered.contains(&now.id) || !is_same {
                users.extend(old.into_iter().chain([now]).flat_map(Subscription::all_users));
            }
        }
        users
    }

    /// Gives each subscription the users of its own best claim, else of the customer's.
    fn link_subscriptions(&mut self) {
        self.subscriptions.sort_by(|a, b| a.id.cmp(&b.id));
        for subscription in &mut self.subscriptions {
            let claim = subscription.claim.as_ref().or(self.claim.as_ref());
            subscription.user = claim.map(|c| c.user.clone());
            subscription.owners = claim.map_or_else(Vec::new, |c| c.handed.clone());
        }
    }
}

#[cfg(test)]
#[path = "account_tests.rs"]
mod tests;
