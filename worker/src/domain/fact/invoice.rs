//! Facts of `invoice.*`, `invoiceitem.created` and `invoice_payment.paid`.

use super::{period::Period, sale::Grant};
use crate::domain::ids::SubscriptionId;
use serde::{Deserialize, Serialize};

/// An invoice as one event shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvoiceFact {
    /// The invoice's id.
    pub invoice: String,
    /// The step that the event reports.
    pub step: InvoiceStep,
    /// The subscription that it bills, if any.
    pub subscription: Option<SubscriptionId>,
    /// `billing_reason`
    pub billing_reason: BillingReason,
    /// The total, in minor units.
    pub total: i64,
    /// The invoice's own `period_start` and `period_end`. A cycle invoice names the
    /// period that ended, not the one that it pays for.
    pub period: Option<Period>,
    /// The invoice's lines; at most the first ten ([`lines_cut`](Self::lines_cut)).
    pub lines: Vec<InvoiceLine>,
    /// Whether the event shows only the first page of the lines (`has_more`).
    #[serde(default)]
    pub lines_cut: bool,
    /// `payment_intent`, its id (before API version 2025-03-31). Refunds and disputes
    /// name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_intent: Option<String>,
    /// `charge`, its id (before API version 2025-03-31).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charge: Option<String>,
    /// Whether `issuer.type` is `self`: Managed Payments did not issue it.
    pub issued_by_self: bool,
    /// The API request that caused the event.
    pub request: Option<String>,
}

impl InvoiceFact {
    /// The period that this invoice pays for: the latest period of its lines,
    /// without prorations. The latest, because an extra item may come before the
    /// subscription's line, and its period is the moment when it was added.
    #[must_use]
    pub fn pays_for(&self) -> Option<Period> {
        let lines = self.lines.iter().filter(|l| !l.proration);
        lines.filter_map(|l| l.period).max_by_key(|p| (p.end, p.start))
    }

    /// Whether it gives money back for a change: a proration below zero.
    #[must_use]
    pub fn credits(&self) -> bool {
        self.lines.iter().any(|l| l.proration && l.amount < 0)
    }
}

/// Why Stripe made an invoice, in its own word (API reference, "The Invoice object",
/// `billing_reason`); `None` if the event does not say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BillingReason(pub Option<String>);

impl BillingReason {
    /// Whether the invoice renews the subscription (`subscription_cycle`).
    #[must_use]
    pub fn renews(&self) -> bool {
        self.0.as_deref() == Some("subscription_cycle")
    }

    /// Whether the invoice bills a change within a period (`subscription_update`).
    #[must_use]
    pub fn settles_change(&self) -> bool {
        self.0.as_deref() == Some("subscription_update")
    }
}

/// A step of an invoice. `invoice.paid` and `invoice.payment_succeeded` are both
/// [`InvoiceStep::Paid`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InvoiceStep {
    /// The invoice is paid.
    Paid,
    /// A payment failed.
    Failed,
    /// The customer has to confirm the payment.
    ActionRequired,
}

/// One line of an invoice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvoiceLine {
    /// The id of the subscription item that it bills, if it bills one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<String>,
    /// Stripe's price id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<String>,
    /// The amount, in minor units. Below zero is a credit.
    pub amount: i64,
    /// Whether it is a proration: it bills or credits a change within a period.
    pub proration: bool,
    /// The time that it bills.
    pub period: Option<Period>,
    /// The credits that it sells, if its price is that of a pack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<Grant>,
}

/// `invoiceitem.created`: a pending line for the next invoice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvoiceItemFact {
    /// The item's id.
    pub item: String,
    /// The subscription that it bills, if any.
    pub subscription: Option<SubscriptionId>,
    /// The amount, in minor units. Below zero is a credit.
    pub amount: i64,
    /// Whether it is a proration: it bills or credits a change within a period.
    pub proration: bool,
    /// The API request that caused the event.
    pub request: Option<String>,
}

impl InvoiceItemFact {
    /// Whether it gives money back for a change: a proration below zero.
    #[must_use]
    pub fn credits(&self) -> bool {
        self.proration && self.amount < 0
    }
}

/// `invoice_payment.paid`: which payment paid which invoice. Since API version
/// 2025-03-31 nothing else says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvoicePaymentFact {
    /// The invoice's id.
    pub invoice: String,
    /// The payment's payment intent.
    pub payment_intent: Option<String>,
    /// The payment's charge.
    pub charge: Option<String>,
}
