//! What an explanation is asked for, and what it holds.

use super::{meter_history::MeterHistory, transition::ChangeNote, words::Moment};
use crate::domain::{
    fact::{Fact, Seconds},
    ids::{AccountId, EventId, SubscriptionId, UserId},
    subscription::entitlement::Entitlement,
};
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
    pub meters: Vec<MeterHistory>,
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
    pub detail: Option<String>,
    /// What it changed.
    pub changes: Vec<ChangeNote>,
    /// The tier that the subscription gives from here on, where that changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_tier: Option<String>,
}

impl ExplainRequest<'_> {
    pub(super) fn entry(&self, fact: &Fact, detail: Option<String>, changes: Vec<ChangeNote>) -> HistoryEntry {
        HistoryEntry {
            at: Moment(fact.created),
            event: Some(fact.event_id.clone()),
            event_type: self.types.get(&fact.event_id).cloned(),
            detail,
            changes,
            access_tier: None,
        }
    }
}

impl EntitlementRow {
    /// What the view shows of it at a moment.
    pub(super) fn at(entitlement: Entitlement, at: Seconds) -> Self {
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
