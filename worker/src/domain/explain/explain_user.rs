//! The explanation of one user, from their facts.

use super::{
    balances,
    explanation::{EntitlementRow, ExplainRequest, Explanation, HistoryEntry, SubscriptionHistory},
    history::{self, FoldedHistory},
    meter_history::LedgerRecord,
    summary,
    transition::ChangeKind,
    words,
};
use crate::domain::{
    fact::{Fact, FactBody},
    ids::{AccountId, EventId, UserId},
    moment::Moment,
    subscription::{
        account,
        entitlement::{self, Entitlement},
        state::Subscription,
    },
};
use std::collections::BTreeSet;

/// A subscription's history, and the account that it belongs to.
struct AccountHistory<'a> {
    account: &'a AccountId,
    history: FoldedHistory,
}

/// Explains a user. `facts` are all facts of the accounts that may be theirs, and
/// of these accounts' payments, in any order. `recorded` is their usage and their
/// corrections in the ledger, in order. None if nothing names the user, at any time.
#[must_use]
pub fn explain(facts: &[Fact], recorded: &[LedgerRecord], request: &ExplainRequest<'_>) -> Option<Explanation> {
    let mut accounts = account::by_account(facts);
    accounts.retain(|_, facts| names_user(facts, request.user));
    let fact_times = accounts.values().flatten().map(|f| f.created);
    let first = fact_times.chain(recorded.iter().map(|r| r.entry.at)).min()?;
    for facts in accounts.values_mut() {
        facts.retain(|f| request.counts(f.created));
    }
    let mut histories: Vec<AccountHistory<'_>> =
        accounts.iter().flat_map(|(id, f)| histories(id, f, request)).collect();
    let is_theirs = |h: &&AccountHistory<'_>| h.history.user.as_ref() == Some(request.user);
    let subscriptions: Vec<&Subscription> = histories.iter().filter(is_theirs).map(|h| &h.history.end).collect();
    let entitlement = entitlement::at(request.user, &subscriptions, request.free_tier, request.at);
    let current = entitlement.as_ref().and_then(|e| {
        let is_current = |s: &&&Subscription| Some(s.id.as_str()) == e.subscription.as_deref();
        subscriptions.iter().find(is_current).map(|s| (*s).clone())
    });
    let gone = histories.iter().filter(|h| !is_theirs(h));
    let gone: Vec<String> = gone
        .filter_map(|h| summary::handed_over(&h.history.end, &h.history.owners, request.user))
        .collect();
    let summary = summary::sentences(request, entitlement.as_ref(), current.as_ref(), first, gone);
    histories.sort_by_cached_key(|h| {
        let is_current = current.as_ref().is_some_and(|c| c.id == h.history.end.id);
        let since = h.history.entries.first().map(|e| e.at);
        (!is_current, std::cmp::Reverse(since), h.history.end.id.clone())
    });
    let meters = balances::meters(facts, recorded, request);
    // A user with a balance has a row, even without a subscription.
    let by_balance =
        || (!meters.is_empty()).then(|| Entitlement::without_subscription(request.user, request.free_tier));
    let row = entitlement
        .or_else(by_balance)
        .map(|e| EntitlementRow::at(e, request.at));
    Some(Explanation {
        user_id: request.user.clone(),
        at: Moment(request.at),
        summary,
        entitlement: row,
        subscriptions: histories
            .into_iter()
            .map(|h| h.finish(current.as_ref(), request))
            .collect(),
        others: accounts.values().flat_map(|f| others(f, request)).collect(),
        meters,
    })
}

/// Whether one of an account's facts names the user.
fn names_user(facts: &[&Fact], user: &UserId) -> bool {
    let is = |named: &Option<UserId>| named.as_ref() == Some(user);
    facts.iter().any(|fact| match &fact.body {
        FactBody::Subscription(s) => is(&s.now.user) || s.before.as_ref().is_some_and(|b| is(&b.user)),
        FactBody::Session(s) => is(&s.user) || is(&s.reference),
        FactBody::Customer(c) => is(&c.user),
        _ => false,
    })
}

/// An account's subscriptions that are or were the user's, or are not linked yet.
fn histories<'a>(account: &'a AccountId, facts: &[&'a Fact], request: &ExplainRequest<'a>) -> Vec<AccountHistory<'a>> {
    let by_subscription = account::by_subscription(facts);
    let histories = by_subscription.iter().map(|(id, own)| {
        let is_other = |f: &&&Fact| f.body.subscription() != Some(id);
        let others: Vec<&Fact> = facts.iter().filter(is_other).copied().collect();
        history::of_subscription(id, own, &others, request)
    });
    histories
        .filter(|history| history.was_theirs || history.user.is_none())
        .map(|history| AccountHistory { account, history })
        .collect()
}

/// The facts of an account that are about no subscription; without those that name another user.
fn others(facts: &[&Fact], request: &ExplainRequest<'_>) -> Vec<HistoryEntry> {
    let by_subscription = account::by_subscription(facts);
    let told: BTreeSet<&EventId> = by_subscription.values().flatten().map(|f| &f.event_id).collect();
    let mut facts: Vec<&Fact> = facts.iter().copied().filter(|f| !told.contains(&f.event_id)).collect();
    facts.sort_by_key(|f| (f.created, &f.event_id));
    let no_change = |fact: &Fact| match &fact.body {
        FactBody::ChargeRefunded(_) | FactBody::RefundFailed(_) | FactBody::Dispute(_) => {
            "changes no subscription by itself"
        }
        FactBody::Customer(_) => "counts for subscriptions of the customer that name nobody",
        _ => "changes no subscription",
    };
    let is_anothers = |fact: &&Fact| match &fact.body {
        FactBody::Customer(c) => c.user.as_ref().is_some_and(|u| u != request.user),
        FactBody::Session(s) => s
            .user
            .as_ref()
            .or(s.reference.as_ref())
            .is_some_and(|u| u != request.user),
        _ => false,
    };
    facts
        .into_iter()
        .filter(|f| !is_anothers(f))
        .map(|f| {
            let change = ChangeKind::Nothing.note(no_change(f));
            request.entry(f, words::detail(f), vec![change])
        })
        .collect()
}

impl AccountHistory<'_> {
    fn finish(self, current: Option<&Subscription>, request: &ExplainRequest<'_>) -> SubscriptionHistory {
        let end = &self.history.end;
        SubscriptionHistory {
            subscription: end.id.clone(),
            customer: self.account.clone(),
            is_current: current.is_some_and(|c| c.id == end.id),
            notes: summary::notes(&self.history, current, request),
            user: self.history.user,
            entries: self.history.entries,
        }
    }
}

#[cfg(test)]
#[path = "explain_user_tests.rs"]
pub(super) mod tests;
