//! Coupons, and the promotion codes that customers type.

use serde::Deserialize;

/// How long a coupon takes something off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CouponDuration {
    /// Off one invoice.
    Once,
    /// Off the invoices of `duration_in_months`.
    Repeating,
    /// Off every invoice.
    Forever,
}

impl CouponDuration {
    /// Stripe's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Once => "once",
            Self::Repeating => "repeating",
            Self::Forever => "forever",
        }
    }
}

/// What is taken off. At Stripe all but the name is for good.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coupon {
    /// Our own choice: what the coupon is found by.
    pub id: String,
    /// For customers, on invoices; without one Stripe's is left as it is.
    pub name: Option<String>,
    /// In minor units of `currency`; or else `percent_off`.
    pub amount_off: Option<i64>,
    /// Of `amount_off`.
    pub currency: Option<String>,
    /// A whole number, 1 to 100; or else `amount_off`.
    pub percent_off: Option<i64>,
    /// `once`, `repeating` or `forever`.
    pub duration: CouponDuration,
    /// Of `repeating`.
    pub duration_in_months: Option<i64>,
    /// How often it may be redeemed, by all codes and customers together.
    pub max_redemptions: Option<i64>,
    /// The last second in which it may be redeemed, in seconds since 1970.
    #[serde(default, deserialize_with = "moment")]
    pub redeem_by: Option<i64>,
    /// Product ids; none: everything, packs too.
    #[serde(default)]
    pub applies_to: Vec<String>,
}

/// A code that customers type. At Stripe all is for good but whether it is active.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Promotion {
    /// Case does not matter. Of all codes that are the same one may be active.
    pub code: String,
    /// The coupon that it redeems, by its id.
    pub coupon: String,
    /// How often it may be redeemed, by all customers together.
    pub max_redemptions: Option<i64>,
    /// When it ends, in seconds since 1970.
    #[serde(default, deserialize_with = "moment")]
    pub expires_at: Option<i64>,
    /// Only for who never paid before.
    #[serde(default)]
    pub first_time_transaction: bool,
    /// The least that an invoice must come to, in minor units of `minimum_amount_currency`.
    pub minimum_amount: Option<i64>,
    /// Three letters, lower case.
    pub minimum_amount_currency: Option<String>,
}

/// A time in TOML's own notation, such as `2027-01-31T23:59:59Z`.
fn moment<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    let written = toml::value::Datetime::deserialize(deserializer)?;
    let read = time::OffsetDateTime::parse(&written.to_string(), &time::format_description::well_known::Rfc3339);
    read.map(|time| Some(time.unix_timestamp())).map_err(|_| {
        serde::de::Error::custom(format!(
            "'{written}' is not a moment; write one such as 2027-01-31T23:59:59Z"
        ))
    })
}
