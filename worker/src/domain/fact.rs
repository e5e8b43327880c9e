//! Facts: the content of events that billing needs. A fact is parsed once and
//! stored for good. All state can be computed again from facts alone, so a fact
//! also contains the plan or pack that the catalog named when the event came.
//!
//! Example: `invoice.paid` of `in_1` becomes a [`Fact`] with an [`InvoiceFact`]
//! whose step is [`InvoiceStep::Paid`].

use super::ids::{AccountId, EventId, SubscriptionId, UserId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Seconds since 1970-01-01 in UTC: Stripe's unit of time.
pub type Seconds = i64;

/// The content of one event, and its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// The event's id.
    pub event_id: EventId,
    /// The event's `created`, in whole seconds.
    pub created: Seconds,
    /// The account that the fact belongs to.
    pub account: AccountId,
    /// The content, by the kind of the event's object.
    pub body: FactBody,
}

/// The content of a fact: one variant per kind of object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FactBody {
    /// `customer.subscription.*`
    Subscription(Box<SubscriptionFact>),
    /// `checkout.session.*`
    Session(SessionFact),
    /// `invoice.*`
    Invoice(InvoiceFact),
    /// `invoiceitem.created`
    InvoiceItem(InvoiceItemFact),
    /// `charge.refunded`
    ChargeRefunded(ChargeRefundedFact),
    /// `refund.failed`
    RefundFailed(RefundFailedFact),
    /// `charge.dispute.funds_withdrawn`, `.funds_reinstated`
    Dispute(DisputeFact),
}

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
    /// The plan that the catalog named for the price when the event came. `None`
    /// for a price that the catalog did not know. Such an event is refused if it
    /// gives access, so only a snapshot without access has no plan.
    pub plan: Option<Plan>,
    /// The current billing period.
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

/// The plan that the catalog named for a price when the event came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Stripe's price id.
    pub price: String,
    /// The tier's name.
    pub tier: String,
    /// The tier's rank; higher is better.
    pub rank: i32,
    /// Units per period and meter; `None` is unlimited.
    pub limits: BTreeMap<String, Option<i64>>,
    /// Most units that rollover may carry over, by meter. A meter without an entry
    /// has no rollover.
    pub caps: BTreeMap<String, i64>,
}

/// A span of time: `start` belongs to it, `end` does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Period {
    /// The first second.
    pub start: Seconds,
    /// The first second after the span.
    pub end: Seconds,
}

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
    /// The credits that the paid session grants.
    pub grant: Option<Grant>,
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

/// Credits that a session bought, by the catalog of that time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The pack's name.
    pub pack: String,
    /// The meter that gets the credits.
    pub meter: String,
    /// Units in total: the units of a pack times the quantity.
    pub credits: i64,
}

/// An invoice as one event shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvoiceFact {
    /// The invoice's id.
    pub invoice: String,
    /// The step that the event reports.
    pub step: InvoiceStep,
    /// The subscription that it bills, if any.
    pub subscription: Option<SubscriptionId>,
    /// `billing_reason`
    pub billing_reason: Option<String>,
    /// The total, in minor units.
    pub total: i64,
    /// The invoice's own `period_start` and `period_end`. A cycle invoice names the
    /// period that ended, not the one that it pays for.
    pub period: Option<Period>,
    /// The invoice's lines.
    pub lines: Vec<InvoiceLine>,
    /// Whether `issuer.type` is `self`: Managed Payments did not issue it.
    pub issued_by_self: bool,
    /// The API request that caused the event.
    pub request: Option<String>,
}

impl InvoiceFact {
    /// The period that this invoice pays for: the latest period of its lines,
    /// without prorations. The latest, because an extra item may come before the
    /// subscription's line, and its period is the moment when it was added.
    #[must_use]
    pub fn pays_for(&self) -> Option<Period> {
        let lines = self.lines.iter().filter(|l| !l.proration);
        lines.filter_map(|l| l.period).max_by_key(|p| (p.end, p.start))
    }

    /// Whether it renews the subscription (`subscription_cycle`).
    #[must_use]
    pub fn renews(&self) -> bool {
        self.billing_reason.as_deref() == Some("subscription_cycle")
    }

    /// Whether it bills a change within a period (`subscription_update`).
    #[must_use]
    pub fn settles_change(&self) -> bool {
        self.billing_reason.as_deref() == Some("subscription_update")
    }

    /// Whether it gives money back for a change: a proration below zero.
    #[must_use]
    pub fn credits(&self) -> bool {
        self.lines.iter().any(|l| l.proration && l.amount < 0)
    }
}

/// A step of an invoice. `invoice.paid` and `invoice.payment_succeeded` are both
/// [`InvoiceStep::Paid`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InvoiceStep {
    /// The invoice is paid.
    Paid,
    /// A payment failed.
    Failed,
    /// The customer has to confirm the payment.
    ActionRequired,
}

/// One line of an invoice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvoiceLine {
    /// The amount, in minor units. Below zero is a credit.
    pub amount: i64,
    /// Whether it is a proration: it bills or credits a change within a period.
    pub proration: bool,
    /// The time that it bills.
    pub period: Option<Period>,
}

/// `invoiceitem.created`: a pending line for the next invoice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvoiceItemFact {
    /// The item's id.
    pub item: String,
    /// The subscription that it bills, if any.
    pub subscription: Option<SubscriptionId>,
    /// The amount, in minor units. Below zero is a credit.
    pub amount: i64,
    /// Whether it is a proration: it bills or credits a change within a period.
    pub proration: bool,
    /// The API request that caused the event.
    pub request: Option<String>,
}

impl InvoiceItemFact {
    /// Whether it gives money back for a change: a proration below zero.
    #[must_use]
    pub fn credits(&self) -> bool {
        self.proration && self.amount < 0
    }
}

/// `charge.refunded`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChargeRefundedFact {
    /// The charge's id.
    pub charge: String,
    /// The charge's payment intent.
    pub payment_intent: Option<String>,
    /// The amount charged, in minor units.
    pub amount: i64,
    /// The sum of all refunds so far, in minor units.
    pub amount_refunded: i64,
}

/// `refund.failed`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundFailedFact {
    /// The refund's id.
    pub refund: String,
    /// The refunded charge.
    pub charge: Option<String>,
    /// The charge's payment intent.
    pub payment_intent: Option<String>,
    /// The amount of the refund, in minor units.
    pub amount: i64,
}

/// The money of a disputed charge was withdrawn, or came back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DisputeFact {
    /// The dispute's id.
    pub dispute: String,
    /// The disputed charge.
    pub charge: Option<String>,
    /// The charge's payment intent.
    pub payment_intent: Option<String>,
    /// The disputed amount, in minor units.
    pub amount: i64,
    /// `true` for `funds_withdrawn`, `false` for `funds_reinstated`.
    pub withdrawn: bool,
}

impl FactBody {
    /// The subscription that the fact names, if any.
    #[must_use]
    pub fn subscription(&self) -> Option<&SubscriptionId> {
        match self {
            Self::Subscription(fact) => Some(&fact.subscription),
            Self::Session(fact) => fact.subscription.as_ref(),
            Self::Invoice(fact) => fact.subscription.as_ref(),
            Self::InvoiceItem(fact) => fact.subscription.as_ref(),
            Self::ChargeRefunded(_) | Self::RefundFailed(_) | Self::Dispute(_) => None,
        }
    }
}
