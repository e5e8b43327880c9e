//! The result of reading a message.

use crate::{
    domain::{
        balance::usage::Usage,
        fact::{Fact, Seconds},
        ids::{EventId, SubscriptionId},
    },
    failure::Refusal,
};
use sha2::{Digest, Sha256};

/// Which of Stripe's modes are applied; the setting `STRIPE_LIVEMODE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Both modes.
    Any,
    /// Only events with `livemode: true`.
    Live,
    /// Only events with `livemode: false`.
    Test,
}

impl std::str::FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "any" => Ok(Self::Any),
            "live" => Ok(Self::Live),
            "test" => Ok(Self::Test),
            _ => Err("write any, live or test".to_owned()),
        }
    }
}

/// Whose events are applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventScope {
    /// Which of Stripe's modes.
    pub mode: Mode,
    /// The connected account; the setting `STRIPE_ACCOUNT`. `None`: events of no connected
    /// account.
    pub account: Option<String>,
}

/// The fields that every event has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Its id, or a [hash of the body](hash_id) if it has none.
    pub id: EventId,
    /// Its type; empty if it has none.
    pub kind: String,
    /// Its `created`, in seconds since 1970.
    pub created: Option<Seconds>,
}

/// What a message means for the worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning {
    /// A fact to store and to fold.
    Fact(Box<Fact>),
    /// Usage to take from a balance.
    Usage(Box<Usage>),
    /// Nothing to apply, for one of these reasons: `not_handled` (the type), `other_mode`,
    /// `other_account`, `other_product` (nothing but `ignored_products`), `no_user` (a shop's
    /// session or a customer, without a user).
    Ignored(&'static str),
    /// A fact whose missing part only Stripe's API can give.
    NeedsLookup(Box<Lookup>),
}

/// A fact that must be completed with an answer of Stripe's API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    /// What the event does not show.
    pub missing: MissingPart,
    /// The fact without the missing part.
    pub fact: Fact,
    /// The refusal that applies without a look-up, as in a worker without a key.
    pub unanswered: Refusal,
}

/// What an event does not show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MissingPart {
    /// The line items of this checkout session.
    LineItems(String),
    /// The items of this subscription beyond the first page.
    Items(SubscriptionId),
}

/// The id for a message without an id: `sha256:` and the hash of its body in hex.
#[must_use]
pub fn hash_id(body: &[u8]) -> EventId {
    EventId::new(format!("sha256:{}", hex::encode(Sha256::digest(body))))
}
