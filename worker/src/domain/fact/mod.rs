//! Facts: the content of events that billing needs. A fact is parsed once and
//! stored for good. All state can be computed again from facts alone, so a fact
//! also contains the plan or pack that the catalog named when the event came.
//!
//! Example: `invoice.paid` of `in_1` becomes a [`Fact`] with an [`InvoiceFact`]
//! whose step is [`InvoiceStep::Paid`].

mod invoice;
mod money;
mod payment;
mod period;
mod sale;
mod subscription;

pub use invoice::{BillingReason, InvoiceFact, InvoiceItemFact, InvoiceLine, InvoicePaymentFact, InvoiceStep};
pub use money::{ChargeRefundedFact, DisputeFact, RefundFailedFact};
pub use period::{Period, Seconds};
pub use sale::{CustomerFact, Grant, SessionFact, SessionStep};
pub use subscription::{
    BillingInterval, Digests, IntervalUnit, Phase, Plan, Snapshot, SubscriptionFact, SubscriptionItem, ended, entitled,
};

use super::ids::{AccountId, EventId, SubscriptionId};
use serde::{Deserialize, Serialize};

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
    /// `refund.failed`, and its equals of older endpoints
    RefundFailed(RefundFailedFact),
    /// `charge.dispute.funds_withdrawn`, `.funds_reinstated`
    Dispute(DisputeFact),
    /// `customer.created`, `customer.updated`
    Customer(CustomerFact),
    /// `invoice_payment.paid`
    InvoicePayment(InvoicePaymentFact),
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
            Self::ChargeRefunded(_)
            | Self::RefundFailed(_)
            | Self::Dispute(_)
            | Self::Customer(_)
            | Self::InvoicePayment(_) => None,
        }
    }
}
