//! A message that was read and is ready to be applied.

use crate::{
    domain::{fact::Fact, ids::AccountId},
    failure::Refusal,
    read::{
        meaning::{Envelope, EventScope, Meaning},
        stripe, usage,
    },
};
use shared::{
    catalog::Catalog,
    message::{Meta, Source},
};
use std::sync::Arc;

/// Reads messages, with the catalog and the scope of this process.
#[derive(Debug, Clone)]
pub struct EventReader {
    /// The tiers, prices, packs and meters.
    pub catalog: Arc<Catalog>,
    /// Whose events are applied.
    pub scope: EventScope,
}

impl EventReader {
    /// Reads a message. Its source decides how its body is read.
    #[must_use]
    pub fn read(&self, body: Vec<u8>, meta: Meta) -> ParsedMessage {
        let (envelope, meaning) = match meta.source {
            Source::Usage => usage::read(&body, meta.received_at_ms, &self.catalog),
            source => stripe::read(&body, source, &self.catalog, &self.scope),
        };
        ParsedMessage {
            envelope,
            meaning: meaning.map_err(Refusal::brief),
            meta,
            body,
            redelivered: false,
        }
    }

    /// The meaning of a subscription's event whose list of items was cut, with Stripe's answer
    /// that has all items.
    ///
    /// # Errors
    /// If the answer is no list, or the event is refused with all items too.
    pub fn read_with_items(&self, message: &ParsedMessage, answer: &[u8]) -> Result<Meaning, Refusal> {
        stripe::read_with_items(&message.body, answer, message.meta.source, &self.catalog, &self.scope)
    }
}

/// A message that was read and is ready to be applied.
#[derive(Debug)]
pub struct ParsedMessage {
    /// The fields that every event has.
    pub envelope: Envelope,
    /// The meaning of its body, or why it is refused.
    pub meaning: Result<Meaning, Refusal>,
    /// Its headers.
    pub meta: Meta,
    /// Its body, byte for byte as received.
    pub body: Vec<u8>,
    /// It may have been delivered before. A worker may have recorded it as a dead letter, and
    /// crashed before it published it to the dead-letter queue.
    pub redelivered: bool,
}

impl ParsedMessage {
    /// The key of its lane: its account, or the user of a usage report. All messages with the
    /// same key go to the same lane.
    #[must_use]
    pub fn lane_key(&self) -> Option<&str> {
        match &self.meaning {
            Ok(Meaning::Fact(fact)) => Some(fact.account.as_str()),
            Ok(Meaning::Usage(usage)) => Some(usage.user.as_str()),
            Ok(Meaning::NeedsLookup(lookup)) => Some(lookup.fact.account.as_str()),
            Ok(Meaning::Ignored(_)) | Err(_) => None,
        }
    }

    /// Its fact, if it has one that can be applied.
    #[must_use]
    pub fn fact(&self) -> Option<&Fact> {
        match &self.meaning {
            Ok(Meaning::Fact(fact)) => Some(fact),
            _ => None,
        }
    }

    /// The account of its fact, if it has one.
    #[must_use]
    pub fn account(&self) -> Option<&AccountId> {
        self.fact().map(|fact| &fact.account)
    }

    /// Why it is refused, if it is. A message that needs a look-up is refused until the
    /// look-up is done.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        match &self.meaning {
            Err(refusal) => Some(refusal),
            Ok(Meaning::NeedsLookup(lookup)) => Some(&lookup.unanswered),
            Ok(Meaning::Fact(_) | Meaning::Usage(_) | Meaning::Ignored(_)) => None,
        }
    }
}
