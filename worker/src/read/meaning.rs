//! What reading a delivery results in.

use crate::{
    domain::{
        balance::usage::Usage,
        fact::{Fact, Seconds},
        ids::EventId,
    },
    failure::Refusal,
};
use sha2::{Digest, Sha256};

/// Which of Stripe's modes are applied: `STRIPE_LIVEMODE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Both.
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

/// The fields that every event has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Its id, or a hash of the body where it has none.
    pub id: EventId,
    /// Its type; empty where it has none.
    pub kind: String,
    /// Its `created`, in seconds.
    pub created: Option<Seconds>,
}

/// What an event means to us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning {
    /// A fact, to keep and to fold.
    Fact(Box<Fact>),
    /// A report of usage, to charge.
    Usage(Box<Usage>),
    /// Nothing to apply; the reason is one of a short list.
    Ignored(&'static str),
    /// A fact that lacks what only Stripe can tell.
    NeedsLookup(Box<Lookup>),
}

/// A fact to complete with an answer of Stripe's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    /// The fact without the missing part.
    pub fact: Fact,
    /// Why the event is dead if nobody asks Stripe, as in a worker without a key.
    pub unanswered: Refusal,
}

/// The id of a message that has none: `sha256:` and the hash of its body.
#[must_use]
pub fn hash_id(body: &[u8]) -> EventId {
    EventId::new(format!("sha256:{}", hex::encode(Sha256::digest(body))))
}
