//! The input and the output of an explanation.

use super::{meter_history::MeterHistory, transition::ChangeNote};
use crate::domain::{
    fact::{Fact, Seconds},
    ids::{AccountId, EventId, SubscriptionId, UserId},
    moment::Moment,
    subscription::entitlement::Entitlement,
};
use serde::Serialize;
use std::collections::BTreeMap;

/// Which user to explain, and as of when.
#[derive(Debug, Clone, Copy)]
pub struct ExplainRequest<'a> {
    /// The user.
    pub user: &'a UserId,
    /// The moment.
    pub at: Seconds,
    /// Whether the moment is not now. Then facts that were created after it do not count, nor
    /// periods that begin after it, even if earlier events announce them (Stripe's test
    /// clocks do this).
    pub is_past: bool,
    /// The tier of users without a subscription.
    pub free_tier: &'a str,
    /// The types of the events, where they are known.
    pub types: &'a BTreeMap<EventId, String>,
}

/// What a user has at a moment, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The user.
    pub user_id: UserId,
    /// The moment.
    pub at: Moment,
    /// What they have and why, in a few sentences.
    pub summary: Vec<String>,
    /// Their row of `billing.entitlements` at that moment.
    pub entitlement: Option<EntitlementRow>,
    /// Their subscriptions, the current one first.
    pub subscriptions: Vec<SubscriptionHistory>,
    /// The other facts of their customers: purchases, refunds, disputes.
    pub others: Vec<HistoryEntry>,
    /// Their balances, meter by meter.
    pub meters: Vec<MeterHistory>,
}

/// A row of `billing.entitlements`, with the names of its columns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the columns are described in docs/integrate.md")]
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

/// One subscription and its facts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SubscriptionHistory {
    /// Its id.
    pub subscription: SubscriptionId,
    /// The Stripe customer.
    pub customer: AccountId,
    /// The user that it is linked to at that moment.
    pub user: Option<UserId>,
    /// Whether it decides about the entitlement.
    pub is_current: bool,
    /// Why it is not the current one, and what else an operator should know.
    pub notes: Vec<String>,
    /// Its facts, in order.
    pub entries: Vec<HistoryEntry>,
}

/// What happened at a moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HistoryEntry {
    /// When the event was created.
    pub at: Moment,
    /// The event; none where a period ran out without an event.
    pub event: Option<EventId>,
    /// The event's type, where it is known.
    pub event_type: Option<String>,
    /// What the event reports, where its type does not say it.
    pub detail: Option<String>,
    /// What it changed.
    pub changes: Vec<ChangeNote>,
    /// The tier that the subscription gives from here on, where that changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_tier: Option<String>,
}

impl ExplainRequest<'_> {
    /// Whether what is of this moment counts. For now everything does that is in the tables,
    /// also a usage report whose time is some minutes ahead.
    pub(super) fn counts(&self, moment: Seconds) -> bool {
        !self.is_past || moment <= self.at
    }

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
    /// The row that the view shows at a moment.
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
