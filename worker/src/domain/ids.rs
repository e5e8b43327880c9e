//! One type per kind of id, so that the compiler finds a mix-up.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Makes an id of text, without a check: the reader of the event checked it.
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
    /// Stripe's event id, such as `evt_1`. All deliveries of one event have the same.
    EventId
);
id!(
    /// The application's id of a user, any text that the application chose.
    UserId
);
id!(
    /// Stripe's subscription id, such as `sub_1`.
    SubscriptionId
);
id!(
    /// The id by which facts are grouped, locked and folded: the Stripe customer's
    /// id, such as `cus_1`, or the id of the event's object if it has no customer.
    AccountId
);
