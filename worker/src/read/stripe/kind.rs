//! The kind of each handled event type.

use crate::domain::fact::{InvoiceStep, Phase, SessionStep};

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
    /// `charge.dispute.funds_*`
    Dispute {
        /// The funds were withdrawn; if false, they were reinstated.
        withdrawn: bool,
    },
}

impl EventKind {
    /// The kind of an event type; `None` if it is not handled.
    #[must_use]
    pub fn of(event_type: &str) -> Option<Self> {
        let kind = match event_type {
            "checkout.session.completed" => Self::Session(SessionStep::Completed),
            "checkout.session.async_payment_succeeded" => Self::Session(SessionStep::PaymentSucceeded),
            "checkout.session.async_payment_failed" => Self::Session(SessionStep::PaymentFailed),
            "checkout.session.expired" => Self::Session(SessionStep::Expired),
            "customer.subscription.created" => Self::Subscription(Phase::Created),
            "customer.subscription.updated"
            | "customer.subscription.paused"
            | "customer.subscription.resumed"
            | "customer.subscription.pending_update_applied"
            | "customer.subscription.pending_update_expired" => Self::Subscription(Phase::Changed),
            "customer.subscription.deleted" => Self::Subscription(Phase::Deleted),
            "invoice.paid" | "invoice.payment_succeeded" => Self::Invoice(InvoiceStep::Paid),
            "invoice.payment_failed" => Self::Invoice(InvoiceStep::Failed),
            "invoice.payment_action_required" => Self::Invoice(InvoiceStep::ActionRequired),
            "invoiceitem.created" => Self::InvoiceItem,
            "charge.refunded" => Self::ChargeRefunded,
            "refund.failed" => Self::RefundFailed,
            "charge.dispute.funds_withdrawn" => Self::Dispute { withdrawn: true },
            "charge.dispute.funds_reinstated" => Self::Dispute { withdrawn: false },
            _ => return None,
        };
        Some(kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stripe_api::HANDLED;

    #[test]
    fn every_type_in_the_list_of_handled_types_has_a_kind() {
        for event_type in HANDLED {
            assert!(EventKind::of(event_type).is_some(), "{event_type} has no kind");
        }
        assert_eq!(EventKind::of("customer.subscription.trial_will_end"), None);
    }
}
