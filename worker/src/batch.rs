//! Gathering deliveries into batches, bounded in number, bytes and time.

use futures_util::{Stream, StreamExt};
use lapin::message::Delivery;
use std::time::Duration;
use tokio::time::Instant;

/// A batch takes no more deliveries once its bodies hold this many bytes.
const BYTES_MOST: usize = 8 * 1024 * 1024;

/// Adds to `first` what arrives within `wait`, up to `size` in all. An error in
/// the stream ends the batch; the next read of the stream finds it again.
pub async fn gather<S>(first: Delivery, deliveries: &mut S, size: usize, wait: Duration) -> Vec<Delivery>
where
    S: Stream<Item = lapin::Result<Delivery>> + Unpin,
{
    let until = Instant::now() + wait;
    let mut bytes = first.data.len();
    let mut batch = Vec::with_capacity(size.min(64));
    batch.push(first);
    while batch.len() < size && bytes < BYTES_MOST {
        match tokio::time::timeout_at(until, deliveries.next()).await {
            Ok(Some(Ok(delivery))) => {
                bytes += delivery.data.len();
                batch.push(delivery);
            }
            Ok(Some(Err(_)) | None) | Err(_) => break,
        }
    }
    batch
}
