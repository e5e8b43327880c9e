//! Why a payment failed.

/// Why the payment of an invoice failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PaymentFailure {
    /// The card was refused.
    Refused,
    /// The bank asks the customer to confirm.
    ActionRequired,
}

impl PaymentFailure {
    /// The type of the event.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Refused => "invoice.payment_failed",
            Self::ActionRequired => "invoice.payment_action_required",
        }
    }
}
