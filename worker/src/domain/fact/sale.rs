//! Facts of `checkout.session.*` and `customer.*`: what was bought, and by whom.

use crate::domain::ids::{SubscriptionId, UserId};
use serde::{Deserialize, Serialize};

/// A checkout session as one event shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionFact {
    /// The session's id.
    pub session: String,
    /// The step that the event reports.
    pub step: SessionStep,
    /// `mode`: `subscription`, `payment` or `setup`.
    pub mode: String,
    /// `payment_status`
    pub payment_status: String,
    /// The subscription that the session started.
    pub subscription: Option<SubscriptionId>,
    /// `metadata.user_id`
    pub user: Option<UserId>,
    /// `client_reference_id`
    pub reference: Option<UserId>,
    /// `payment_intent`, its id. Refunds and disputes name it.
    pub payment_intent: Option<String>,
    /// The amount charged, in minor units.
    pub amount_total: Option<i64>,
    /// `currency`: three lower-case letters.
    pub currency: Option<String>,
    /// `invoice`, its id. A session that starts a subscription has one.
    pub invoice: Option<String>,
    /// The credits that the paid session grants: one entry for each pack.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<Grant>,
}

/// A step of a checkout session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionStep {
    /// `.completed`
    Completed,
    /// `.async_payment_succeeded`
    PaymentSucceeded,
    /// `.async_payment_failed`
    PaymentFailed,
    /// `.expired`
    Expired,
}

/// Credits of a pack that was bought, by the catalog of that time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The pack's name.
    pub pack: String,
    /// The meter that gets the credits.
    pub meter: String,
    /// Units in total: the units of a pack times the quantity.
    pub credits: i64,
}

/// `customer.created`, `customer.updated`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomerFact {
    /// `metadata.user_id`
    pub user: Option<UserId>,
}
