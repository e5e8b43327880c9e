//! Facts about money that went back: refunds and disputes.

use serde::{Deserialize, Serialize};

/// `charge.refunded`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChargeRefundedFact {
    /// The charge's id.
    pub charge: String,
    /// The charge's payment intent.
    pub payment_intent: Option<String>,
    /// The amount charged, in minor units.
    pub amount: i64,
    /// The sum of all refunds so far, in minor units.
    pub amount_refunded: i64,
    /// `currency` of the charge: three lower-case letters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// `invoice`, its id (before API version 2025-03-31).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invoice: Option<String>,
}

/// `refund.failed`; `refund.updated` and `charge.refund.updated` of a refund that failed
/// or was canceled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundFailedFact {
    /// The refund's id.
    pub refund: String,
    /// The refunded charge.
    pub charge: Option<String>,
    /// The charge's payment intent.
    pub payment_intent: Option<String>,
    /// The amount of the refund, in minor units.
    pub amount: i64,
}

/// The money of a disputed charge was withdrawn, or came back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DisputeFact {
    /// The dispute's id.
    pub dispute: String,
    /// The disputed charge.
    pub charge: Option<String>,
    /// The charge's payment intent.
    pub payment_intent: Option<String>,
    /// The disputed amount, in minor units of its own currency.
    pub amount: i64,
    /// `currency` of the dispute, which may be another than the charge's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// `true` for `funds_withdrawn`, `false` for `funds_reinstated`.
    pub withdrawn: bool,
}
