//! What a customer orders in a checkout.

use crate::fixtures::Price;

/// The object that identifies the user of a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserLink {
    /// The subscription's own metadata.
    Metadata,
    /// The metadata of its checkout session.
    SessionMetadata,
    /// The session's `client_reference_id`.
    SessionReference,
    /// Only another subscription of the same customer, if there is one. The session identifies nobody.
    Customer,
    /// The customer's own metadata, which the application set when it made the customer.
    CustomerMetadata,
    /// As `Customer`, but without a session: the subscription was made in the Dashboard.
    Dashboard,
}

/// The price of the first period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstPeriod {
    /// The full price.
    Full,
    /// Free by a coupon.
    Coupon,
    /// Free in a trial of so many days.
    Trial(i64),
}

/// An order of a subscription.
#[derive(Clone, Debug)]
pub struct CheckoutOrder {
    /// Stripe's id of an existing customer, or `None` for a new one.
    pub customer: Option<String>,
    /// The price of the subscription.
    pub price: Price,
    /// How many of it: seats.
    pub quantity: i64,
    /// The object that identifies the user.
    pub link: UserLink,
    /// The price of the first period.
    pub first_period: FirstPeriod,
    /// Packs that are bought in the same checkout, with their quantities. It needs a session.
    pub packs: Vec<(Price, i64)>,
}

impl CheckoutOrder {
    /// A new customer pays the full `price`, and the subscription identifies the user.
    #[must_use]
    pub const fn new(price: Price) -> Self {
        Self {
            customer: None,
            price,
            quantity: 1,
            link: UserLink::Metadata,
            first_period: FirstPeriod::Full,
            packs: Vec::new(),
        }
    }
}
