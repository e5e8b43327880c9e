//! The handled types of events: the one list in code.

use crate::domain::fact::{InvoiceStep, Phase, SessionStep};

/// A type of event that we handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
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
        /// Withdrawn, else reinstated.
        withdrawn: bool,
    },
}

/// Every handled type, and what it is to us. Announcements such as
/// `customer.subscription.trial_will_end` repeat an old snapshot and are not here.
pub const HANDLED: [(&str, Kind); 20] = [
    ("checkout.session.completed", Kind::Session(SessionStep::Completed)),
    (
        "checkout.session.async_payment_succeeded",
        Kind::Session(SessionStep::PaymentSucceeded),
    ),
    (
        "checkout.session.async_payment_failed",
        Kind::Session(SessionStep::PaymentFailed),
    ),
    ("checkout.session.expired", Kind::Session(SessionStep::Expired)),
    ("customer.subscription.created", Kind::Subscription(Phase::Created)),
    ("customer.subscription.updated", Kind::Subscription(Phase::Changed)),
    ("customer.subscription.deleted", Kind::Subscription(Phase::Deleted)),
    ("customer.subscription.paused", Kind::Subscription(Phase::Changed)),
    ("customer.subscription.resumed", Kind::Subscription(Phase::Changed)),
    (
        "customer.subscription.pending_update_applied",
        Kind::Subscription(Phase::Changed),
    ),
    (
        "customer.subscription.pending_update_expired",
        Kind::Subscription(Phase::Changed),
    ),
    ("invoice.paid", Kind::Invoice(InvoiceStep::Paid)),
    ("invoice.payment_succeeded", Kind::Invoice(InvoiceStep::Paid)),
    ("invoice.payment_failed", Kind::Invoice(InvoiceStep::Failed)),
    (
        "invoice.payment_action_required",
        Kind::Invoice(InvoiceStep::ActionRequired),
    ),
    ("invoiceitem.created", Kind::InvoiceItem),
    ("charge.refunded", Kind::ChargeRefunded),
    ("refund.failed", Kind::RefundFailed),
    ("charge.dispute.funds_withdrawn", Kind::Dispute { withdrawn: true }),
    ("charge.dispute.funds_reinstated", Kind::Dispute { withdrawn: false }),
];

impl Kind {
    /// The kind of an event type; none if it is not handled.
    #[must_use]
    pub fn of(event_type: &str) -> Option<Self> {
        HANDLED
            .iter()
            .find(|(name, _)| *name == event_type)
            .map(|(_, kind)| *kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stripe_lists_events_of_all_handled_types_at_once() {
        // Its list of events takes up to 20 `types[]` (API reference, List all events); whoever asks
        // for what was missed asks for all of ours.
        assert!(HANDLED.len() <= 20, "ask for them in several lists");
    }
}
