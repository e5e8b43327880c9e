//! Facts: what an event says, parsed once and kept for good. Everything that
//! may be recomputed later is recomputed from these alone, so they hold what
//! the catalog said at the time.

use super::ids::{AccountId, EventId, SubscriptionId, UserId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Seconds since 1970, Stripe's unit of time.
pub type Seconds = i64;

/// What one event says, and when it was said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// The event that said it.
    pub event_id: EventId,
    /// The event's `created`.
    pub created: Seconds,
    /// Whose account it belongs to.
    pub account: AccountId,
    /// What the event tells, by the kind of its object.
    pub body: FactBody,
}

/// The kinds of facts, one per kind of object.
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

/// A subscription as one event showed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscriptionFact {
    /// Which subscription.
    pub subscription: SubscriptionId,
    /// Where in the subscription's life the event stands.
    pub phase: Phase,
    /// The subscription after the change.
    pub now: Snapshot,
    /// The subscription before the change, where `previous_attributes` says so.
    pub before: Option<Snapshot>,
    /// The API request that caused it: equal for twin events.
    pub request: Option<String>,
    /// What the whole objects looked like, where it was noted.
    #[serde(default)]
    pub prints: Option<Digests>,
}

/// Digests of the whole object in an event, the fields that we do not read
/// included: whether one event continues another can be told by more than we
/// know of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digests {
    /// Before the change, where `previous_attributes` says so.
    pub before: Option<i64>,
    /// After it.
    pub now: i64,
}

/// Where in a subscription's life a fact stands: it begins with `created`,
/// ends with `deleted`, whatever else the second holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// `customer.subscription.created`
    Created,
    /// Any change in between.
    Changed,
    /// Not an event: read from Stripe's API. It shows what stood then, whatever
    /// changes before it were never heard of.
    Read,
    /// `customer.subscription.deleted`
    Deleted,
}

/// What we read of a subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// `customer`, its id
    pub customer: Option<String>,
    /// `metadata.user_id`
    pub user: Option<UserId>,
    /// Stripe's own word, also one that we do not know.
    pub status: String,
    /// What the price meant in the catalog of that time; none for an unknown
    /// price, which only a subscription that is not entitled may have.
    pub plan: Option<Plan>,
    /// The billing period.
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
    /// `pause_collection` is set; it changes nothing by itself.
    pub collection_paused: bool,
}

impl Snapshot {
    /// Whether this status gives access; a word that we do not know does not.
    #[must_use]
    pub fn entitled(&self) -> bool {
        entitled(&self.status)
    }

    /// Whether both show the same state: all that we read but for what the
    /// catalog made of the price, which may have changed between two events.
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

    /// The price's id, if the catalog knew it.
    #[must_use]
    pub fn price(&self) -> Option<&str> {
        self.plan.as_ref().map(|p| p.price.as_str())
    }
}

/// Whether a subscription of this status can never change again: Stripe's word
/// for one that was canceled, or never paid for.
#[must_use]
pub fn ended(status: &str) -> bool {
    matches!(status, "canceled" | "incomplete_expired")
}

/// Whether a subscription of this status gives access. `past_due` does: Stripe
/// is still retrying the card.
#[must_use]
pub fn entitled(status: &str) -> bool {
    matches!(status, "trialing" | "active" | "past_due")
}

/// A price as the catalog resolved it when the event came.
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
    /// The most that rollover may hold, by meter; a meter that is not there has
    /// no rollover.
    #[serde(default)]
    pub caps: BTreeMap<String, i64>,
}

/// From `start`, up to but not including `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Period {
    /// First second.
    pub start: Seconds,
    /// First second after it.
    pub end: Seconds,
}

/// A checkout session as one event showed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionFact {
    /// Which session.
    pub session: String,
    /// What became of it.
    pub step: SessionStep,
    /// `mode`: `subscription`, `payment` or `setup`.
    pub mode: String,
    /// `payment_status`
    pub payment_status: String,
    /// The subscription it started.
    pub subscription: Option<SubscriptionId>,
    /// `metadata.user_id`
    pub user: Option<UserId>,
    /// `client_reference_id`
    pub reference: Option<UserId>,
    /// `payment_intent`, its id: what refunds and disputes name.
    pub payment_intent: Option<String>,
    /// What was charged, in minor units.
    #[serde(default)]
    pub amount_total: Option<i64>,
    /// The credits that a paid session grants.
    pub grant: Option<Grant>,
}

/// What an event says of a session.
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

/// Credits that were bought, as the catalog sold them at the time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The pack's name.
    pub pack: String,
    /// The meter it fills.
    pub meter: String,
    /// Units in all: the pack's times the quantity.
    pub credits: i64,
}

/// An invoice as one event showed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvoiceFact {
    /// Which invoice.
    pub invoice: String,
    /// What became of it.
    pub step: InvoiceStep,
    /// The subscription it bills, if any.
    pub subscription: Option<SubscriptionId>,
    /// `billing_reason`
    pub billing_reason: Option<String>,
    /// In minor units.
    pub total: i64,
    /// The invoice's own `period_start` and `period_end`: for a cycle invoice,
    /// the period that ended.
    pub period: Option<Period>,
    /// Its lines.
    pub lines: Vec<InvoiceLine>,
    /// `issuer.type` is `self`: made outside Managed Payments.
    pub issued_by_self: bool,
    /// The API request that caused it.
    #[serde(default)]
    pub request: Option<String>,
}

impl InvoiceFact {
    /// The period that this invoice pays for: the latest of its lines that are
    /// not prorations. (An extra item may stand before the subscription's line,
    /// with a period that is the moment it was added.)
    #[must_use]
    pub fn pays_for(&self) -> Option<Period> {
        let lines = self.lines.iter().filter(|l| !l.proration);
        lines.filter_map(|l| l.period).max_by_key(|p| (p.end, p.start))
    }

    /// Whether it renews the subscription for a period of its own.
    #[must_use]
    pub fn renews(&self) -> bool {
        self.billing_reason.as_deref() == Some("subscription_cycle")
    }

    /// Whether it settles a change within a period.
    #[must_use]
    pub fn settles_change(&self) -> bool {
        self.billing_reason.as_deref() == Some("subscription_update")
    }

    /// Whether it gives money back for a change.
    #[must_use]
    pub fn credits(&self) -> bool {
        self.lines.iter().any(|l| l.proration && l.amount < 0)
    }
}

/// What an event says of an invoice. `invoice.paid` and
/// `invoice.payment_succeeded` say the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InvoiceStep {
    /// Paid.
    Paid,
    /// A payment failed.
    Failed,
    /// The customer has to confirm the payment.
    ActionRequired,
}

/// A line of an invoice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvoiceLine {
    /// In minor units; below zero is a credit.
    pub amount: i64,
    /// Whether it settles a change within a period.
    pub proration: bool,
    /// What time it bills.
    pub period: Option<Period>,
}

/// `invoiceitem.created`: a pending line, for the next invoice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvoiceItemFact {
    /// Which item.
    pub item: String,
    /// The subscription it is about, if any.
    pub subscription: Option<SubscriptionId>,
    /// In minor units; below zero is a credit.
    pub amount: i64,
    /// Whether it settles a change within a period.
    pub proration: bool,
    /// The API request that caused it.
    #[serde(default)]
    pub request: Option<String>,
}

impl InvoiceItemFact {
    /// Whether it gives money back for a change.
    #[must_use]
    pub fn credits(&self) -> bool {
        self.proration && self.amount < 0
    }
}

/// `charge.refunded`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChargeRefundedFact {
    /// Which charge.
    pub charge: String,
    /// Its payment intent.
    pub payment_intent: Option<String>,
    /// What was charged, in minor units.
    pub amount: i64,
    /// What was refunded of it in all so far, in minor units.
    pub amount_refunded: i64,
}

/// `refund.failed`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundFailedFact {
    /// Which refund.
    pub refund: String,
    /// The charge it was for.
    pub charge: Option<String>,
    /// Its payment intent.
    pub payment_intent: Option<String>,
    /// In minor units.
    pub amount: i64,
}

/// Money of a disputed charge that went, or came back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DisputeFact {
    /// Which dispute.
    pub dispute: String,
    /// The charge it is about.
    pub charge: Option<String>,
    /// Its payment intent.
    pub payment_intent: Option<String>,
    /// In minor units.
    pub amount: i64,
    /// `funds_withdrawn` (true) or `funds_reinstated` (false).
    pub withdrawn: bool,
}

impl FactBody {
    /// The subscription that a fact is about, if any.
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
