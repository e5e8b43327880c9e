//! The list of event types that Tollbridge handles.

/// Every handled type. The worker reads these types, `provision` subscribes the webhook
/// endpoint to them, and recovery lists them. Announcements such as
/// `customer.subscription.trial_will_end` are not here: they repeat an old state.
pub const HANDLED: [&str; 20] = [
    "checkout.session.completed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "checkout.session.expired",
    "customer.subscription.created",
    "customer.subscription.updated",
    "customer.subscription.deleted",
    "customer.subscription.paused",
    "customer.subscription.resumed",
    "customer.subscription.pending_update_applied",
    "customer.subscription.pending_update_expired",
    "invoice.paid",
    "invoice.payment_succeeded",
    "invoice.payment_failed",
    "invoice.payment_action_required",
    "invoiceitem.created",
    "charge.refunded",
    "refund.failed",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.funds_reinstated",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stripe_lists_events_of_all_handled_types_at_once() {
        // Stripe's list of events takes up to 20 `types[]` (API reference, "List all events").
        assert!(HANDLED.len() <= 20, "ask for them in several lists");
    }
}
