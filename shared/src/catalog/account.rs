//! How the Stripe account itself is set up: portal, webhook endpoint, tax.

use serde::Deserialize;

/// When a switch to a cheaper or shorter price takes effect, in the portal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Downgrades {
    /// With the next period: Stripe schedules it.
    #[default]
    PeriodEnd,
    /// At once; what was paid for stays as a grace, unless it is credited.
    Immediate,
}

/// What Stripe does about the rest of a period when a price changes in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proration {
    /// The difference is paid at once.
    #[default]
    AlwaysInvoice,
    /// The difference is on the next invoice.
    CreateProrations,
    /// No difference is paid.
    None,
}

impl Proration {
    /// Stripe's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AlwaysInvoice => "always_invoice",
            Self::CreateProrations => "create_prorations",
            Self::None => "none",
        }
    }
}

/// What customers may change of themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "Stripe's own words, which say what they are")]
pub enum CustomerField {
    Address,
    Email,
    Name,
    Phone,
    Shipping,
    TaxId,
}

impl CustomerField {
    /// Stripe's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Email => "email",
            Self::Name => "name",
            Self::Phone => "phone",
            Self::Shipping => "shipping",
            Self::TaxId => "tax_id",
        }
    }
}

/// Stripe's page where customers look after their subscription.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Portal {
    /// At its top; 60 characters at the most.
    pub headline: Option<String>,
    /// `https://…`
    pub privacy_policy_url: Option<String>,
    /// `https://…`
    pub terms_of_service_url: Option<String>,
    /// Where it leads back to, `https://…`
    pub default_return_url: Option<String>,
    /// `period_end` or `immediate`.
    #[serde(default)]
    pub downgrades: Downgrades,
    /// `always_invoice`, `create_prorations` or `none`.
    #[serde(default)]
    pub proration_behavior: Proration,
    /// What is on it.
    #[serde(default)]
    pub features: Features,
}

/// What the portal lets customers do.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of Stripe's own")]
pub struct Features {
    /// What they may change of themselves; empty: nothing.
    pub customer_update: Vec<CustomerField>,
    /// See their invoices.
    pub invoice_history: bool,
    /// Change how they pay.
    pub payment_method_update: bool,
    /// Cancel, always at the end of the period.
    pub cancel: bool,
    /// Switch between the prices of all tiers.
    pub switch: bool,
    /// Enter a promotion code as they switch.
    pub promotion_codes: bool,
}

impl Default for Features {
    fn default() -> Self {
        Self {
            customer_update: Vec::new(),
            invoice_history: true,
            payment_method_update: true,
            cancel: true,
            switch: true,
            promotion_codes: false,
        }
    }
}

/// Where Stripe sends events; ours are the handled ones, always.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// `https://…/webhooks/stripe`: what the endpoint is found by.
    pub url: String,
    /// For people.
    pub description: Option<String>,
    /// In which version of the API its events are written; for good.
    pub api_version: String,
}

/// Tax of whatever says nothing of its own.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tax {
    /// Of prices that say none.
    pub tax_behavior: Option<DefaultTaxBehavior>,
    /// Of products that have none.
    pub tax_code: Option<String>,
    /// Where the business sits.
    pub head_office: Option<Address>,
}

/// Whether prices hold their tax unless they say so themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DefaultTaxBehavior {
    /// They do.
    Inclusive,
    /// Tax comes on top.
    Exclusive,
    /// As is usual where the currency is.
    InferredByCurrency,
}

impl DefaultTaxBehavior {
    /// Stripe's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inclusive => "inclusive",
            Self::Exclusive => "exclusive",
            Self::InferredByCurrency => "inferred_by_currency",
        }
    }
}

/// An address, as far as Stripe asks for it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// Two letters, upper case.
    pub country: String,
    /// Of some countries.
    pub state: Option<String>,
    /// Town.
    pub city: Option<String>,
    /// Post code.
    pub postal_code: Option<String>,
    /// Street and number.
    pub line1: Option<String>,
    /// More of it.
    pub line2: Option<String>,
}
