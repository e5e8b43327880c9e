//! Makes the messages for the dead-letter queue and the retry queues. The lane publishes
//! them after the commit and before the acknowledgement.

use crate::{failure::Refusal, read::message::ParsedMessage};
use lapin::BasicProperties;
use shared::{
    message::{self, Meta, text},
    topology::Topology,
};
use std::time::Duration;

/// A message to publish. Its body does not change.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// The queue.
    pub queue: String,
    /// Its properties and headers.
    pub properties: BasicProperties,
}

/// A dead letter. Its headers have everything that an operator needs.
#[must_use]
pub fn dead(topology: &Topology, message: &ParsedMessage, refusal: &Refusal, now_ms: i64) -> Outgoing {
    let meta = message.meta.failed_at(now_ms);
    let mut headers = meta.headers();
    for (name, value) in [
        (message::REASON, refusal.reason.as_str()),
        (message::DETAIL, &refusal.detail),
        (
            message::FIRST_FAILED,
            &message::rfc3339(meta.first_failed_at_ms.unwrap_or(now_ms)),
        ),
        (message::LAST_FAILED, &message::rfc3339(now_ms)),
        (message::EVENT_ID, message.envelope.id.as_str()),
        (message::EVENT_TYPE, &message.envelope.kind),
    ] {
        headers.insert(name.into(), text(value));
    }
    let properties = message::properties(message.envelope.id.as_str(), &message.envelope.kind, headers);
    Outgoing {
        queue: topology.dead(),
        properties,
    }
}

/// A message for the retry queue of `delay`, with `meta` as its headers.
#[must_use]
pub fn retry(topology: &Topology, message: &ParsedMessage, meta: Meta, delay: Duration) -> Outgoing {
    let properties = message::properties(message.envelope.id.as_str(), &message.envelope.kind, meta.headers());
    Outgoing {
        queue: topology.retry(delay),
        properties,
    }
}
