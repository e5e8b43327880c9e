//! The setup of the Stripe account: customer portal, webhook endpoint, tax settings.

use serde::Deserialize;

/// When a switch to a price that is cheaper or has a shorter interval takes effect.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Downgrades {
    /// At the end of the paid period. Stripe schedules the switch (Stripe's page "Configure the
    /// customer portal").
    #[default]
    PeriodEnd,
    /// At once. The paid tier stays as a grace until its period ends, unless Stripe credits the
    /// rest of the period.
    Immediate,
}

/// Who pays for the rest of a period when the price changes in the middle (Stripe's page
/// "Prorations").
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proration {
    /// The customer pays the difference at once.
    #[default]
    AlwaysInvoice,
    /// The difference is an item of the next invoice.
    CreateProrations,
    /// Nobody pays a difference.
    None,
}

impl Proration {
    /// The value in Stripe's API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AlwaysInvoice => "always_invoice",
            Self::CreateProrations => "create_prorations",
            Self::None => "none",
        }
    }
}

/// A field of their own that customers may change in the portal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are Stripe's own")]
pub enum CustomerField {
    Address,
    Email,
    Name,
    Phone,
    Shipping,
    TaxId,
}

impl CustomerField {
    /// The value in Stripe's API.
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

/// The customer portal: Stripe's page where customers manage their subscription.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Portal {
    /// The text at the top of the page; at most 60 characters.
    pub headline: Option<String>,
    /// `https://…`
    pub privacy_policy_url: Option<String>,
    /// `https://…`
    pub terms_of_service_url: Option<String>,
    /// The URL of the link back to the application, `https://…`
    pub default_return_url: Option<String>,
    /// `period_end` or `immediate`.
    #[serde(default)]
    pub downgrades: Downgrades,
    /// `always_invoice`, `create_prorations` or `none`.
    #[serde(default)]
    pub proration_behavior: Proration,
    /// What customers can do there.
    #[serde(default)]
    pub features: PortalFeatures,
}

/// What customers can do in the portal.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a separate setting of Stripe's portal"
)]
pub struct PortalFeatures {
    /// The fields that customers can change. Empty: none.
    pub customer_update: Vec<CustomerField>,
    /// Customers can see their invoices.
    pub invoice_history: bool,
    /// Customers can change their payment method.
    pub payment_method_update: bool,
    /// Customers can cancel, always at the end of the period.
    pub cancel: bool,
    /// Customers can switch between the prices of all tiers.
    pub switch: bool,
    /// Customers can enter a promotion code when they switch.
    pub promotion_codes: bool,
}

impl Default for PortalFeatures {
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

/// The endpoint that Stripe sends events to. Its event types are not a setting: they are the
/// types that the worker handles.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// `https://…/webhooks/stripe`. The endpoint is found by this URL.
    pub url: String,
    /// A text for people in the Dashboard.
    pub description: Option<String>,
    /// The API version of its events, such as `2026-05-27.dahlia`. Stripe never changes it.
    pub api_version: String,
}

/// The tax settings of the account: defaults for prices and products without their own.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tax {
    /// For prices without a `tax_behavior`.
    pub tax_behavior: Option<DefaultTaxBehavior>,
    /// For products without a `tax_code`.
    pub tax_code: Option<String>,
    /// The address of the business.
    pub head_office: Option<Address>,
}

/// Whether an amount includes the tax, for prices without a `tax_behavior`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DefaultTaxBehavior {
    /// The amount includes the tax.
    Inclusive,
    /// The tax is added to the amount.
    Exclusive,
    /// Stripe decides by the currency.
    InferredByCurrency,
}

impl DefaultTaxBehavior {
    /// The value in Stripe's API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inclusive => "inclusive",
            Self::Exclusive => "exclusive",
            Self::InferredByCurrency => "inferred_by_currency",
        }
    }
}

/// An address. Stripe's tax settings require only the country.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// Two upper-case letters, such as `DE` (ISO 3166-1 alpha-2).
    pub country: String,
    /// State or region; only some countries have one.
    pub state: Option<String>,
    /// City or town.
    pub city: Option<String>,
    /// Postal code.
    pub postal_code: Option<String>,
    /// Street and number.
    pub line1: Option<String>,
    /// A second address line.
    pub line2: Option<String>,
}
