//! Why a user has what they have: each fact of their subscriptions and the change
//! it made, and each change of their balances, in words. Computed from facts and
//! usage alone, by the same folds as the state.

mod chapter;
mod grace;
mod step;
mod summary;
mod wallet;
mod wallet_words;
mod words;

pub use step::{ChangeKind, ChangeNote};
pub use wallet::{EARLIER, Line, LineKind, Meter, Paid, Recorded};
pub use words::Moment;

use super::{
    fact::{Fact, FactBody, Seconds},
    ids::{AccountId, EventId, SubscriptionId, UserId},
    subscription::{
        account::Account,
        entitlement::{self, Entitlement},
        state::Subscription,
    },
};
use chapter::Life;
use serde::Serialize;
use std::collections::BTreeMap;

/// Whose story, as of when.
#[derive(Debug, Clone, Copy)]
pub struct ExplainRequest<'a> {
    /// Whose.
    pub user: &'a UserId,
    /// As of this moment: facts created later do not count.
    pub at: Seconds,
    /// Whether that is another moment than now: of periods that begin after it
    /// nothing counts yet, though events have told of them.
    pub is_past: bool,
    /// The tier of who has none.
    pub free_tier: &'a str,
    /// The types of the events, where they are known.
    pub types: &'a BTreeMap<EventId, String>,
}

/// The story of a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// Whose.
    pub user_id: UserId,
    /// As of when.
    pub at: Moment,
    /// What they have and why, in a few sentences.
    pub summary: Vec<String>,
    /// Their row of `billing.entitlements` at that moment.
    pub entitlement: Option<EntitlementRow>,
    /// Their subscriptions, the current one first.
    pub subscriptions: Vec<SubscriptionHistory>,
    /// What else is known of their customers: purchases, refunds, disputes.
    pub others: Vec<HistoryEntry>,
    /// Their balances, meter by meter.
    pub meters: Vec<Meter>,
}

/// A row of `billing.entitlements`, by the names of its columns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the columns are described in the README")]
pub struct EntitlementRow {
    pub entitled: bool,
    pub status: String,
    pub tier: String,
    pub effective_tier: String,
    pub grace_tier: Option<String>,
    pub grace_until: Option<Moment>,
    pub current_period_start: Option<Moment>,
    pub current_period_end: Option<Moment>,
    pub trial_end: Option<Moment>,
    pub is_canceling: bool,
    pub cancel_at: Option<Moment>,
    pub canceled_at: Option<Moment>,
    pub ever_paid: bool,
    pub highest_tier_subscribed: Option<String>,
    pub stripe_customer_id: Option<String>,
    pub stripe_subscription_id: Option<String>,
}

/// One subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SubscriptionHistory {
    /// Its id.
    pub subscription: SubscriptionId,
    /// The Stripe customer.
    pub customer: AccountId,
    /// Whose it is at that moment.
    pub user: Option<UserId>,
    /// Whether it decides about the entitlement.
    pub is_current: bool,
    /// Why it does, or does not; and what else is to be known of it.
    pub notes: Vec<String>,
    /// Its facts, in order.
    pub entries: Vec<HistoryEntry>,
}

/// What happened at a moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HistoryEntry {
    /// When: the event's `created`.
    pub at: Moment,
    /// The event; none where time alone made the change.
    pub event: Option<EventId>,
    /// Its type, where it is known.
    pub event_type: Option<String>,
    /// What it tells, where its type does not say it all.
    pub tells: Option<String>,
    /// What it changed.
    pub changes: Vec<ChangeNote>,
    /// The tier that the subscription gives from here on, where that changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gives: Option<String>,
}

impl ExplainRequest<'_> {
    fn entry(&self, fact: &Fact, tells: Option<String>, changes: Vec<ChangeNote>) -> HistoryEntry {
        HistoryEntry {
            at: Moment(fact.created),
            event: Some(fact.event_id.clone()),
            event_type: self.types.get(&fact.event_id).cloned(),
            tells,
            changes,
            gives: None,
        }
    }
}

/// A subscription with its life.
struct Told<'a> {
    account: &'a AccountId,
    life: Life,
}

/// The story of a user in these facts: all those of the accounts that may be
/// theirs, and of the payments of these, in any order; and in what the ledger
/// recorded of them, in order. None if nothing, of whatever time, tells of them.
#[must_use]
pub fn explain(facts: &[Fact], recorded: &[Recorded], question: &ExplainRequest<'_>) -> Option<Explanation> {
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
    let meters = wallet::meters(facts, recorded, question);
    let none = || (!meters.is_empty()).then(|| Entitlement::without_subscription(question.user, question.free_tier));
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
        chapter::tell(&id, &own, &others, question)
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

impl EntitlementRow {
    /// What the view shows of it at a moment.
    fn at(entitlement: Entitlement, at: Seconds) -> Self {
        let grace = entitlement.grace.filter(|g| g.until > at);
        let (grace_tier, grace_until) = grace.map(|g| (g.plan.tier, Moment(g.until))).unzip();
        Self {
            entitled: entitlement.entitled,
            status: entitlement.status,
            tier: entitlement.tier,
            effective_tier: grace_tier.clone().unwrap_or(entitlement.base_tier),
            grace_tier,
            grace_until,
            current_period_start: entitlement.period.map(|p| Moment(p.start)),
            current_period_end: entitlement.period.map(|p| Moment(p.end)),
            trial_end: entitlement.trial_end.map(Moment),
            is_canceling: entitlement.is_canceling,
            cancel_at: entitlement.cancel_at.map(Moment),
            canceled_at: entitlement.canceled_at.map(Moment),
            ever_paid: entitlement.ever_paid,
            highest_tier_subscribed: entitlement.highest.map(|p| p.tier),
            stripe_customer_id: entitlement.customer,
            stripe_subscription_id: entitlement.subscription,
        }
    }
}

#[cfg(test)]
#[path = "explain_tests.rs"]
mod tests;
