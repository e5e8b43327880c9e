//! The names by which facts about one payment find each other.

use super::FactBody;

impl FactBody {
    /// The payment that a fact is about: its payment intent, or its charge if there is none.
    /// Of sessions only those that sold credits have one.
    #[must_use]
    pub fn payment_id(&self) -> Option<&str> {
        let (intent, charge) = match self {
            Self::Session(fact) if !fact.grants.is_empty() => (&fact.payment_intent, None),
            Self::Invoice(fact) if fact.subscription.is_some() => (&fact.payment_intent, fact.charge.as_ref()),
            Self::InvoicePayment(fact) => (&fact.payment_intent, fact.charge.as_ref()),
            Self::ChargeRefunded(fact) => (&fact.payment_intent, Some(&fact.charge)),
            Self::RefundFailed(fact) => (&fact.payment_intent, fact.charge.as_ref()),
            Self::Dispute(fact) => (&fact.payment_intent, fact.charge.as_ref()),
            _ => return None,
        };
        intent.as_ref().or(charge).map(String::as_str)
    }

    /// The invoice that a fact is about, or that its payment paid.
    #[must_use]
    pub fn invoice_id(&self) -> Option<&str> {
        match self {
            Self::Invoice(fact) if fact.subscription.is_some() => Some(&fact.invoice),
            Self::InvoicePayment(fact) => Some(&fact.invoice),
            Self::ChargeRefunded(fact) => fact.invoice.as_deref(),
            _ => None,
        }
    }

    /// Whether money of a payment goes back, or comes again after all.
    #[must_use]
    pub fn returns_money(&self) -> bool {
        matches!(self, Self::ChargeRefunded(_) | Self::RefundFailed(_) | Self::Dispute(_))
    }
}
