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
        /// webhook endpoint to these. Announcements such as
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

/// Most types in one list of events (API reference, "List all events", `types`).
const LISTED_TYPES_MAX: usize = 20;

/// All handled types, in parts that Stripe takes in one list of events.
pub fn handled_lists() -> impl Iterator<Item = &'static [&'static str]> {
    HANDLED.chunks(LISTED_TYPES_MAX)
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
    InvoicePaymentPaid = "invoice_payment.paid",
    CustomerCreated = "customer.created",
    CustomerUpdated = "customer.updated",
    ChargeRefunded = "charge.refunded",
    RefundFailed = "refund.failed",
    RefundUpdated = "refund.updated",
    ChargeRefundUpdated = "charge.refund.updated",
    ChargeDisputeFundsWithdrawn = "charge.dispute.funds_withdrawn",
    ChargeDisputeFundsReinstated = "charge.dispute.funds_reinstated",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_list_has_as_many_types_as_stripe_takes() {
        let lists: Vec<_> = handled_lists().collect();
        assert!(lists.iter().all(|list| (1..=20).contains(&list.len())));
        assert_eq!(lists.concat(), HANDLED);
    }

    #[test]
    fn a_type_is_found_by_stripes_name_alone() {
        assert_eq!(HandledType::named("invoice.paid"), Some(HandledType::InvoicePaid));
        for other in ["customer.subscription.trial_will_end", "invoice", "Invoice.Paid", ""] {
            assert_eq!(HandledType::named(other), None, "{other}");
        }
    }
}
