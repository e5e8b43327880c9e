//! The event types that Tollbridge handles: the one list in code.

/// Declares the handled types: each with its variant and Stripe's name.
macro_rules! handled {
    ($($variant:ident = $name:literal,)+) => {
        /// An event type that Tollbridge handles.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[expect(missing_docs, reason = "each variant is named after Stripe's type")]
        pub enum HandledType {
            $($variant,)+
        }

        /// The names of all handled types. The worker reads these, `provision` subscribes the
        /// webhook endpoint to these, and recovery asks Stripe for these. Announcements such as
        /// `customer.subscription.trial_will_end` repeat an old snapshot, so they are not handled.
        pub const HANDLED: [&str; [$($name),+].len()] = [$($name),+];

        impl HandledType {
            /// The type of this name; `None` if it is not handled.
            #[must_use]
            pub fn named(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }
    };
}

handled! {
    CheckoutSessionCompleted = "checkout.session.completed",
    CheckoutSessionAsyncPaymentSucceeded = "checkout.session.async_payment_succeeded",
    CheckoutSessionAsyncPaymentFailed = "checkout.session.async_payment_failed",
    CheckoutSessionExpired = "checkout.session.expired",
    CustomerSubscriptionCreated = "customer.subscription.created",
    CustomerSubscriptionUpdated = "customer.subscription.updated",
    CustomerSubscriptionDeleted = "customer.subscription.deleted",
    CustomerSubscriptionPaused = "customer.subscription.paused",
    CustomerSubscriptionResumed = "customer.subscription.resumed",
    CustomerSubscriptionPendingUpdateApplied = "customer.subscription.pending_update_applied",
    CustomerSubscriptionPendingUpdateExpired = "customer.subscription.pending_update_expired",
    InvoicePaid = "invoice.paid",
    InvoicePaymentSucceeded = "invoice.payment_succeeded",
    InvoicePaymentFailed = "invoice.payment_failed",
    InvoicePaymentActionRequired = "invoice.payment_action_required",
    InvoiceitemCreated = "invoiceitem.created",
    ChargeRefunded = "charge.refunded",
    RefundFailed = "refund.failed",
    ChargeDisputeFundsWithdrawn = "charge.dispute.funds_withdrawn",
    ChargeDisputeFundsReinstated = "charge.dispute.funds_reinstated",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stripe_lists_events_of_all_handled_types_at_once() {
        // Stripe's list of events takes up to 20 `types[]` (API reference, "List all events").
        assert!(HANDLED.len() <= 20, "ask for them in several lists");
    }

    #[test]
    fn a_type_is_found_by_stripes_name_alone() {
        assert_eq!(HandledType::named("invoice.paid"), Some(HandledType::InvoicePaid));
        for other in ["customer.subscription.trial_will_end", "invoice", "Invoice.Paid", ""] {
            assert_eq!(HandledType::named(other), None, "{other}");
        }
    }
}
