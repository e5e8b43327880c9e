//! The explanation of one user, made of their facts.

use super::{
    balances,
    explanation::{EntitlementRow, ExplainRequest, Explanation, HistoryEntry, SubscriptionHistory},
    history::{self, Life},
    meter_history::LedgerRecord,
    summary,
    transition::ChangeKind,
    words::{self, Moment},
};
use crate::domain::{
    fact::{Fact, FactBody},
    ids::{AccountId, UserId},
    subscription::{
        account::Account,
        entitlement::{self, Entitlement},
        state::Subscription,
    },
};
use std::collections::BTreeMap;

/// A subscription with its life.
struct Told<'a> {
    account: &'a AccountId,
    life: Life,
}

/// The story of a user in these facts: all those of the accounts that may be
/// theirs, and of the payments of these, in any order; and in what the ledger
/// recorded of them, in order. None if nothing, of whatever time, tells of them.
#[must_use]
pub fn explain(facts: &[Fact], recorded: &[LedgerRecord], question: &ExplainRequest<'_>) -> Option<Explanation> {
    let mut accounts: BTreeMap<&AccountId, Vec<&Fact>> = BTreeMap::new();
    for fact in facts {
        accounts.entry(&fact.account).or_default().push(fact);
    }
    accounts.retain(|_, facts| tells_of(facts, question.user));
    let told = accounts.values().flatten().map(|f| f.created);
    let first = told.chain(recorded.iter().map(|r| r.entry.at)).min()?;
    for facts in accounts.values_mut() {
        facts.retain(|f| f.created <= question.at);
    }
    let mut told: Vec<Told<'_>> = accounts.iter().flat_map(|(id, f)| lives(id, f, question)).collect();
    let theirs = told.iter().filter(|t| t.life.user.as_ref() == Some(question.user));
    let subscriptions: Vec<&Subscription> = theirs.map(|t| &t.life.end).collect();
    let entitlement = entitlement::of_user(question.user, &subscriptions, question.free_tier);
    let current = entitlement.as_ref().and_then(|e| {
        let of = |s: &&&Subscription| Some(s.id.as_str()) == e.subscription.as_deref();
        subscriptions.iter().find(of).map(|s| (*s).clone())
    });
    let summary = summary::sentences(question, entitlement.as_ref(), current.as_ref(), first);
    told.sort_by_cached_key(|t| {
        let is_current = current.as_ref().is_some_and(|c| c.id == t.life.end.id);
        let since = t.life.entries.first().map(|e| e.at);
        (!is_current, std::cmp::Reverse(since), t.life.end.id.clone())
    });
    let meters = balances::meters(facts, recorded, question);
    let none = || (!meters.is_empty()).then(|| Entitlement::by_balance(question.user, question.free_tier));
    let row = entitlement.or_else(none).map(|e| EntitlementRow::at(e, question.at));
    Some(Explanation {
        user_id: question.user.clone(),
        at: Moment(question.at),
        summary,
        entitlement: row,
        subscriptions: told
            .into_iter()
            .map(|t| t.chapter(current.as_ref(), question))
            .collect(),
        others: accounts.values().flat_map(|f| others(f, question)).collect(),
        meters,
    })
}

/// Whether one of an account's facts names the user.
fn tells_of(facts: &[&Fact], user: &UserId) -> bool {
    let is = |named: &Option<UserId>| named.as_ref() == Some(user);
    facts.iter().any(|fact| match &fact.body {
        FactBody::Subscription(s) => is(&s.now.user),
        FactBody::Session(s) => is(&s.user) || is(&s.reference),
        _ => false,
    })
}

/// The subscriptions of an account that are, or were, the user's, or nobody's yet.
fn lives<'a>(account: &'a AccountId, facts: &[&'a Fact], question: &ExplainRequest<'a>) -> Vec<Told<'a>> {
    let ids = Account::fold(facts).subscriptions.into_iter().map(|s| s.id);
    let lives = ids.map(|id| {
        let (own, others): (Vec<&Fact>, Vec<&Fact>) =
            facts.iter().copied().partition(|f| f.body.subscription() == Some(&id));
        history::tell(&id, &own, &others, question)
    });
    lives
        .filter(|life| life.ever_theirs || life.user.is_none())
        .map(|life| Told { account, life })
        .collect()
}

/// What is known of an account beside its subscriptions.
fn others(facts: &[&Fact], question: &ExplainRequest<'_>) -> Vec<HistoryEntry> {
    let mut facts: Vec<&Fact> = facts
        .iter()
        .copied()
        .filter(|f| f.body.subscription().is_none())
        .collect();
    facts.sort_by_key(|f| (f.created, &f.event_id));
    let nothing = |fact: &Fact| match &fact.body {
        FactBody::ChargeRefunded(_) | FactBody::RefundFailed(_) | FactBody::Dispute(_) => {
            "changes no subscription by itself"
        }
        _ => "changes no subscription",
    };
    let of_another = |fact: &&Fact| match &fact.body {
        FactBody::Session(s) => s
            .user
            .as_ref()
            .or(s.reference.as_ref())
            .is_some_and(|u| u != question.user),
        _ => false,
    };
    facts
        .into_iter()
        .filter(|f| !of_another(f))
        .map(|f| question.entry(f, words::tells(f), vec![ChangeKind::Nothing.is(nothing(f))]))
        .collect()
}

impl Told<'_> {
    fn chapter(self, current: Option<&Subscription>, question: &ExplainRequest<'_>) -> SubscriptionHistory {
        let end = &self.life.end;
        SubscriptionHistory {
            subscription: end.id.clone(),
            customer: self.account.clone(),
            is_current: current.is_some_and(|c| c.id == end.id),
            notes: summary::notes(end, self.life.user.as_ref(), current, question),
            user: self.life.user,
            entries: self.life.entries,
        }
    }
}

#[cfg(test)]
#[path = "explain_user_tests.rs"]
pub(super) mod tests;
