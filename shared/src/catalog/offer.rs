//! Coupons, and the promotion codes that customers type (Stripe's page "Coupons and
//! promotion codes").

use serde::Deserialize;

/// How long a coupon gives its discount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CouponDuration {
    /// For one invoice.
    Once,
    /// For the invoices of `duration_in_months` months.
    Repeating,
    /// For every invoice.
    Forever,
}

impl CouponDuration {
    /// The value in Stripe's API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Once => "once",
            Self::Repeating => "repeating",
            Self::Forever => "forever",
        }
    }
}

/// A discount. Stripe never changes a coupon, except its name and metadata.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coupon {
    /// An id of your choice. The coupon is found by it.
    pub id: String,
    /// A name for customers, on invoices; at most 40 characters. Without one Stripe's name stays
    /// as it is.
    pub name: Option<String>,
    /// The discount in minor units of `currency`. A coupon has this or `percent_off`.
    pub amount_off: Option<i64>,
    /// The currency of `amount_off`: three lower-case letters.
    pub currency: Option<String>,
    /// The discount in percent, 1 to 100. A coupon has this or `amount_off`.
    pub percent_off: Option<i64>,
    /// `once`, `repeating` or `forever`.
    pub duration: CouponDuration,
    /// The number of months of a `repeating` coupon.
    pub duration_in_months: Option<i64>,
    /// How often the coupon can be redeemed, all codes and customers together.
    pub max_redemptions: Option<i64>,
    /// The last second in which the coupon can be redeemed, in seconds since 1970.
    #[serde(default, deserialize_with = "timestamp")]
    pub redeem_by: Option<i64>,
    /// Ids of the products that the coupon discounts. Empty: all products, also packs.
    #[serde(default)]
    pub applies_to: Vec<String>,
}

/// A code that customers type. Stripe never changes a code, except whether it is active.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Promotion {
    /// The text of the code. Case does not matter. Stripe allows one active code per text.
    pub code: String,
    /// The id of the coupon that it redeems.
    pub coupon: String,
    /// How often the code can be redeemed, all customers together.
    pub max_redemptions: Option<i64>,
    /// When the code expires, in seconds since 1970.
    #[serde(default, deserialize_with = "timestamp")]
    pub expires_at: Option<i64>,
    /// Whether only customers without an earlier payment can redeem it.
    #[serde(default)]
    pub first_time_transaction: bool,
    /// The smallest total of an invoice, in minor units of `minimum_amount_currency`.
    pub minimum_amount: Option<i64>,
    /// Three lower-case letters, such as `eur`.
    pub minimum_amount_currency: Option<String>,
}

/// Reads a TOML time such as `2027-01-31T23:59:59Z` as seconds since 1970.
fn timestamp<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    let written = toml::value::Datetime::deserialize(deserializer)?;
    let read = time::OffsetDateTime::parse(&written.to_string(), &time::format_description::well_known::Rfc3339);
    read.map(|time| Some(time.unix_timestamp())).map_err(|_| {
        serde::de::Error::custom(format!(
            "'{written}' is not a time; write one such as 2027-01-31T23:59:59Z"
        ))
    })
}
