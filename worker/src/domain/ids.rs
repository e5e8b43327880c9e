//! Ids as types of their own, so that one is never taken for another.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Takes an id as it stands; its form was checked at the edge.
            pub fn new(id: impl Into<String>) -> Self {
                Self(id.into())
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id!(
    /// Stripe's event id; one per event, however often it is delivered.
    EventId
);
id!(
    /// The application's own id of a user.
    UserId
);
id!(
    /// Stripe's subscription id.
    SubscriptionId
);
id!(
    /// What facts are gathered, locked and folded by: the Stripe customer's id,
    /// or the id of the object itself where it has no customer.
    AccountId
);
