//! A delivery, read by pure code and ready to be applied.

use crate::{
    domain::{fact::Fact, ids::AccountId},
    failure::Refusal,
    read::{
        meaning::{Envelope, Meaning, Mode},
        stripe, usage,
    },
};
use shared::{
    catalog::Catalog,
    message::{Meta, Source},
};
use std::sync::Arc;

/// Reads deliveries, by the catalog and the mode that this process has.
#[derive(Debug, Clone)]
pub struct EventReader {
    /// What is sold.
    pub catalog: Arc<Catalog>,
    /// Which events are applied.
    pub mode: Mode,
}

impl EventReader {
    /// Reads a delivery. A message's source decides how its body is read.
    #[must_use]
    pub fn read(&self, body: Vec<u8>, meta: Meta) -> Prepared {
        let (envelope, meaning) = match meta.source {
            Source::Usage => usage::read(&body, meta.received_at_ms, &self.catalog),
            Source::Snapshot => stripe::read_snapshot(&body, &self.catalog, self.mode),
            Source::Webhook | Source::Backfill | Source::Direct => stripe::read(&body, &self.catalog, self.mode),
        };
        Prepared {
            envelope,
            meaning: meaning.map_err(Refusal::brief),
            meta,
            body,
            again: false,
        }
    }
}

/// A delivery, read by pure code and ready to be applied.
#[derive(Debug)]
pub struct Prepared {
    /// What is known of any event.
    pub envelope: Envelope,
    /// What it means, or why it is refused.
    pub meaning: Result<Meaning, Refusal>,
    /// What travelled beside it.
    pub meta: Meta,
    /// Its raw body.
    pub body: Vec<u8>,
    /// Whether it was delivered before: who held it may have recorded it as
    /// dead, and died before its message was on the dead-letter queue.
    pub again: bool,
}

impl Prepared {
    /// What is worked on by one lane at a time: its account, or the user of usage.
    #[must_use]
    pub fn lane_key(&self) -> Option<&str> {
        match &self.meaning {
            Ok(Meaning::Fact(fact)) => Some(fact.account.as_str()),
            Ok(Meaning::Usage(usage)) => Some(usage.user.as_str()),
            Ok(Meaning::NeedsLookup(lookup)) => Some(lookup.fact.account.as_str()),
            Ok(Meaning::Ignored(_)) | Err(_) => None,
        }
    }

    /// What it says, if it is to be applied.
    #[must_use]
    pub fn fact(&self) -> Option<&Fact> {
        match &self.meaning {
            Ok(Meaning::Fact(fact)) => Some(fact),
            _ => None,
        }
    }

    /// The account that it is about, if it is to be applied.
    #[must_use]
    pub fn account(&self) -> Option<&AccountId> {
        self.fact().map(|fact| &fact.account)
    }

    /// Why it is dead, if it is to be: also while nobody has looked up what it lacks.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        match &self.meaning {
            Err(refusal) => Some(refusal),
            Ok(Meaning::NeedsLookup(lookup)) => Some(&lookup.unanswered),
            Ok(Meaning::Fact(_) | Meaning::Usage(_) | Meaning::Ignored(_)) => None,
        }
    }
}
