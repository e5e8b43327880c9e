//! The kind of each handled event type.

use crate::domain::fact::{InvoiceStep, Phase, SessionStep};
use stripe_api::HandledType;

/// The kind of a handled event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// `customer.subscription.*`
    Subscription(Phase),
    /// `checkout.session.*`
    Session(SessionStep),
    /// `invoice.*`
    Invoice(InvoiceStep),
    /// `invoiceitem.created`
    InvoiceItem,
    /// `charge.refunded`
    ChargeRefunded,
    /// `refund.failed`
    RefundFailed,
    /// `refund.updated`, `charge.refund.updated`: how endpoints of before 2024-10-28 tell that
    /// a refund failed
    RefundUpdated,
    /// `charge.dispute.funds_*`
    Dispute {
        /// The funds were withdrawn; if false, they were reinstated.
        withdrawn: bool,
    },
    /// `customer.created`, `customer.updated`
    Customer,
    /// `invoice_payment.paid`
    InvoicePayment,
}

impl EventKind {
    /// The kind of an event type; `None` if it is not handled. The compiler points here when a
    /// type is added to the list of handled types.
    #[must_use]
    pub fn of(event_type: &str) -> Option<Self> {
        use HandledType as Type;
        let kind = match Type::named(event_type)? {
            Type::CheckoutSessionCompleted => Self::Session(SessionStep::Completed),
            Type::CheckoutSessionAsyncPaymentSucceeded => Self::Session(SessionStep::PaymentSucceeded),
            Type::CheckoutSessionAsyncPaymentFailed => Self::Session(SessionStep::PaymentFailed),
            Type::CheckoutSessionExpired => Self::Session(SessionStep::Expired),
            Type::CustomerSubscriptionCreated => Self::Subscription(Phase::Created),
            Type::CustomerSubscriptionUpdated
            | Type::CustomerSubscriptionPaused
            | Type::CustomerSubscriptionResumed
            | Type::CustomerSubscriptionPendingUpdateApplied
            | Type::CustomerSubscriptionPendingUpdateExpired => Self::Subscription(Phase::Changed),
            Type::CustomerSubscriptionDeleted => Self::Subscription(Phase::Deleted),
            Type::InvoicePaid | Type::InvoicePaymentSucceeded => Self::Invoice(InvoiceStep::Paid),
            Type::InvoicePaymentFailed => Self::Invoice(InvoiceStep::Failed),
            Type::InvoicePaymentActionRequired => Self::Invoice(InvoiceStep::ActionRequired),
            Type::InvoiceitemCreated => Self::InvoiceItem,
            Type::ChargeRefunded => Self::ChargeRefunded,
            Type::RefundFailed => Self::RefundFailed,
            Type::RefundUpdated | Type::ChargeRefundUpdated => Self::RefundUpdated,
            Type::ChargeDisputeFundsWithdrawn => Self::Dispute { withdrawn: true },
            Type::ChargeDisputeFundsReinstated => Self::Dispute { withdrawn: false },
            Type::CustomerCreated | Type::CustomerUpdated => Self::Customer,
            Type::InvoicePaymentPaid => Self::InvoicePayment,
        };
        Some(kind)
    }
}
