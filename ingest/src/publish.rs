//! From a verified event to a message in the work queue.

use crate::envelope::Envelope;
use shared::{
    message::{self, Meta},
    publisher::{PublishError, Publisher},
};

/// `Ok` only after the broker has confirmed that it stored the event, as it was
/// received, in `queue`.
///
/// A client that goes away drops this half-way. The event may then be stored
/// without an answer of 200; it comes again, and is one more duplicate.
pub async fn event(
    publisher: &Publisher,
    queue: &str,
    envelope: &Envelope<'_>,
    body: &[u8],
    received_at_ms: i64,
) -> Result<(), PublishError> {
    let headers = Meta::received(received_at_ms).headers();
    let properties = message::properties(&envelope.id, &envelope.kind, headers);
    publisher.publish(queue, properties, body).await
}
