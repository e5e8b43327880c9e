//! Facts of `customer.subscription.*`.

use super::period::{Period, Seconds};
use crate::domain::ids::{SubscriptionId, UserId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A subscription as one event shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscriptionFact {
    /// The subscription's id.
    pub subscription: SubscriptionId,
    /// Whether the event begins, changes or ends the subscription.
    pub phase: Phase,
    /// The subscription after the change.
    pub now: Snapshot,
    /// The subscription before the change; `None` if the event has no
    /// `previous_attributes`.
    pub before: Option<Snapshot>,
    /// The API request that caused the event. Two events of one change name the
    /// same request.
    pub request: Option<String>,
    /// Digests of the whole object; `None` for an answer of Stripe's API.
    pub digests: Option<Digests>,
}

/// Digests of the whole object in an event, with the fields that we do not read.
/// They show that one event continues another even if only such a field changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digests {
    /// Before the change; `None` if the event has no `previous_attributes`.
    pub before: Option<i64>,
    /// After the change.
    pub now: i64,
}

/// The place of a fact in a subscription's life. `created` is always first and
/// `deleted` always last, also among events of one second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// `customer.subscription.created`
    Created,
    /// Any change between `created` and `deleted`.
    Changed,
    /// An answer of Stripe's API, not an event. It shows the subscription at that
    /// time, even if the events of earlier changes never arrived.
    Read,
    /// `customer.subscription.deleted`
    Deleted,
}

/// The fields of a subscription that we read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// `customer`, its id
    pub customer: Option<String>,
    /// `metadata.user_id`
    pub user: Option<UserId>,
    /// `status` as Stripe wrote it, also one that this version does not know.
    pub status: String,
    /// The plan that the catalog named for the plan item when the event came. `None`
    /// if the catalog knew no item's price. Such an event is refused if it gives
    /// access, so only a snapshot without access has no plan.
    pub plan: Option<Plan>,
    /// All items, also those that are no plan.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<SubscriptionItem>,
    /// The current billing period of the plan item.
    pub period: Option<Period>,
    /// `cancel_at_period_end`
    pub cancel_at_period_end: bool,
    /// `cancel_at`
    pub cancel_at: Option<Seconds>,
    /// `canceled_at`
    pub canceled_at: Option<Seconds>,
    /// `trial_end`
    pub trial_end: Option<Seconds>,
    /// `latest_invoice`, its id
    pub latest_invoice: Option<String>,
    /// The subscription's own `created`.
    pub subscribed_at: Seconds,
    /// Whether `pause_collection` is set. It changes no entitlement.
    pub collection_paused: bool,
}

impl Snapshot {
    /// Whether this status gives access. An unknown status does not.
    #[must_use]
    pub fn entitled(&self) -> bool {
        entitled(&self.status)
    }

    /// Whether both show the same state in all fields that we read. Prices are
    /// compared by id, because the catalog may name another plan for the same
    /// price between two events.
    #[must_use]
    pub fn shows_same(&self, other: &Self) -> bool {
        let dates = |s: &Self| (s.period, s.cancel_at, s.canceled_at, s.trial_end, s.subscribed_at);
        self.status == other.status
            && dates(self) == dates(other)
            && self.cancel_at_period_end == other.cancel_at_period_end
            && self.collection_paused == other.collection_paused
            && self.latest_invoice == other.latest_invoice
            && self.user == other.user
            && self.customer == other.customer
            && self.price() == other.price()
    }

    /// The price's id; `None` if the catalog did not know it.
    #[must_use]
    pub fn price(&self) -> Option<&str> {
        self.plan.as_ref().map(|p| p.price.as_str())
    }
}

/// Whether this status is final: the subscription was canceled, or its first
/// payment never came. Stripe calls both terminal ("How subscriptions work" and
/// "The Subscription object").
#[must_use]
pub fn ended(status: &str) -> bool {
    matches!(status, "canceled" | "incomplete_expired")
}

/// Whether a subscription of this status gives access. `past_due` does, because
/// Stripe still retries the payment.
#[must_use]
pub fn entitled(status: &str) -> bool {
    matches!(status, "trialing" | "active" | "past_due")
}

/// One item of a subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscriptionItem {
    /// The item's id; empty in shapes that have none.
    pub item: String,
    /// Stripe's price id.
    pub price: String,
    /// `quantity`; `None` for a metered price.
    pub quantity: Option<i64>,
    /// How often the price is charged.
    pub interval: Option<BillingInterval>,
    /// The item's own billing period (since API version 2025-03-31).
    pub period: Option<Period>,
}

/// The plan that the catalog named for the plan item when the event came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Stripe's price id.
    pub price: String,
    /// The id of the plan item; `None` in shapes that have no items.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<String>,
    /// The item's quantity: the number of seats of a tier that is sold per unit.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub quantity: i64,
    /// How often the price is charged; `None` if the event does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<BillingInterval>,
    /// The tier's name.
    pub tier: String,
    /// The tier's rank; higher is better.
    pub rank: i32,
    /// Units by meter that one interval of the price sells, for all seats; `None` is
    /// unlimited.
    pub limits: BTreeMap<String, Option<i64>>,
    /// Units by meter of a month, for all seats; absent if they equal `limits`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub month_limits: Option<BTreeMap<String, Option<i64>>>,
    /// Units by meter of a trial, for all seats; absent if they are a month's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial_limits: Option<BTreeMap<String, Option<i64>>>,
    /// Most units that rollover may carry over, by meter. A meter without an entry
    /// has no rollover.
    pub caps: BTreeMap<String, i64>,
    /// The meters whose limit a change gives whole at once, not weighted by time
    /// (`prorate = false`).
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub unprorated: BTreeSet<String>,
}

impl Plan {
    /// Units by meter of a month.
    #[must_use]
    pub fn month_limits(&self) -> &BTreeMap<String, Option<i64>> {
        self.month_limits.as_ref().unwrap_or(&self.limits)
    }

    /// Units by meter of a trial, whatever its length.
    #[must_use]
    pub fn trial_limits(&self) -> &BTreeMap<String, Option<i64>> {
        self.trial_limits.as_ref().unwrap_or_else(|| self.month_limits())
    }
}

fn one() -> i64 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_one(quantity: &i64) -> bool {
    *quantity == 1
}

/// How often Stripe charges a price: `count` times `unit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BillingInterval {
    /// `interval`
    pub unit: IntervalUnit,
    /// `interval_count`
    pub count: i64,
}

/// The unit of a billing interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntervalUnit {
    /// A day.
    Day,
    /// A week.
    Week,
    /// A calendar month.
    Month,
    /// A calendar year.
    Year,
}
