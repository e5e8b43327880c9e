//! After the commit: what is to be put on the dead-letter or a retry queue
//! before the acknowledgement. Decided here, published by the lane.

use crate::{failure::Refusal, read::prepared::Prepared};
use lapin::BasicProperties;
use shared::{
    message::{self, Meta, text},
    topology::Topology,
};
use std::time::Duration;

/// A message's next place.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// The queue.
    pub queue: String,
    /// Its properties and headers.
    pub properties: BasicProperties,
}

/// To the dead-letter queue, with all that an operator needs in the headers.
#[must_use]
pub fn dead(topology: &Topology, item: &Prepared, refusal: &Refusal, now_ms: i64) -> Outgoing {
    let meta = item.meta.failed_at(now_ms);
    let mut headers = meta.headers();
    for (name, value) in [
        (message::REASON, refusal.reason.as_str()),
        (message::DETAIL, &refusal.detail),
        (
            message::FIRST_FAILED,
            &message::rfc3339(meta.first_failed_at_ms.unwrap_or(now_ms)),
        ),
        (message::LAST_FAILED, &message::rfc3339(now_ms)),
        (message::EVENT_ID, item.envelope.id.as_str()),
        (message::EVENT_TYPE, &item.envelope.kind),
    ] {
        headers.insert(name.into(), text(value));
    }
    let properties = message::properties(item.envelope.id.as_str(), &item.envelope.kind, headers);
    Outgoing {
        queue: topology.dead(),
        properties,
    }
}

/// To the retry queue of `delay`, with its history as `meta` says.
#[must_use]
pub fn retry(topology: &Topology, item: &Prepared, meta: Meta, delay: Duration) -> Outgoing {
    let properties = message::properties(item.envelope.id.as_str(), &item.envelope.kind, meta.headers());
    Outgoing {
        queue: topology.retry(delay),
        properties,
    }
}
