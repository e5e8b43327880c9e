//! From what was accepted to messages in the work queue.

use crate::{envelope::Envelope, usage::Report};
use futures_util::{StreamExt, TryStreamExt, stream};
use shared::{
    message::{self, Meta},
    publisher::{PublishError, Publisher},
    trace::TraceContext,
    usage::USAGE_TYPE,
};
use tokio::time::Instant;

/// Messages of one batch that wait for their confirms at once: enough to share
/// the broker's writes to disk, and few beside what the publisher lets wait in all.
const AT_ONCE: usize = 64;

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
    trace: TraceContext,
) -> Result<(), PublishError> {
    let headers = Meta::received(received_at_ms).traced(trace).headers();
    let properties = message::properties(&envelope.id, &envelope.kind, headers);
    publisher.publish(queue, properties, body).await
}

/// `Ok` only after the broker has confirmed each of `reports`, all within the
/// time of one publish. The first that fails ends it: what was stored by then
/// comes again with the rest, and is one more duplicate.
pub async fn usage(
    publisher: &Publisher,
    queue: &str,
    reports: &[Report<'_>],
    received_at_ms: i64,
    trace: TraceContext,
) -> Result<(), PublishError> {
    let began = Instant::now();
    let all = stream::iter(reports).map(Ok);
    all.try_for_each_concurrent(AT_ONCE, |report| {
        let headers = Meta::usage(received_at_ms).traced(trace).headers();
        let properties = message::properties(&report.key, USAGE_TYPE, headers);
        publisher.publish_of_batch(began, queue, properties, report.body)
    })
    .await
}
