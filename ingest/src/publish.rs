//! Publishes accepted events and usage reports to the work queue.

use crate::{envelope::EventHead, usage::UsageReport};
use futures_util::{StreamExt, TryStreamExt, stream};
use shared::{
    message::{self, Meta},
    publisher::{PublishError, Publisher},
    trace::TraceContext,
    usage::USAGE_TYPE,
};
use tokio::time::Instant;

/// Most messages of one batch that wait for their confirms at the same time. That is enough to
/// share the broker's writes to disk, and leaves room in the publisher for other requests.
const UNCONFIRMED_MAX: usize = 64;

/// Publishes an event, byte for byte as received. Returns `Ok` only after the broker has
/// confirmed that it stored the event in `queue`.
///
/// If the client closes its connection, this future is dropped. The event may be stored
/// without an answer of 200. Stripe then sends it again, and the worker ignores the duplicate.
pub async fn event(
    publisher: &Publisher,
    queue: &str,
    head: &EventHead<'_>,
    body: &[u8],
    received_at_ms: i64,
    trace: TraceContext,
) -> Result<(), PublishError> {
    let headers = Meta::received(received_at_ms).traced(trace).headers();
    let properties = message::properties(&head.id, &head.kind, headers);
    publisher.publish(queue, properties, body).await
}

/// Publishes usage reports. Returns `Ok` only after the broker has confirmed each of them, all
/// within the timeout of one publish.
///
/// The first failure ends it. Some reports may be stored then. The application sends all of
/// them again, and the worker ignores the duplicates.
pub async fn usage(
    publisher: &Publisher,
    queue: &str,
    reports: &[UsageReport<'_>],
    received_at_ms: i64,
    trace: TraceContext,
) -> Result<(), PublishError> {
    let began = Instant::now();
    let all = stream::iter(reports).map(Ok);
    all.try_for_each_concurrent(UNCONFIRMED_MAX, |report| {
        let headers = Meta::usage(received_at_ms).traced(trace).headers();
        let properties = message::properties(&report.key, USAGE_TYPE, headers);
        publisher.publish_of_batch(began, queue, properties, report.body)
    })
    .await
}
