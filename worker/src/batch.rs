//! Gathering deliveries into batches, bounded in number, bytes and time.

use futures_util::{Stream, StreamExt};
use lapin::message::Delivery;
use shared::broker::BrokerError;
use std::time::Duration;
use tokio::time::Instant;

/// A batch takes no more deliveries once its bodies hold this many bytes.
pub const BYTES_MOST: usize = 8 * 1024 * 1024;

/// Adds to `first` what arrives within `wait`, up to `size` in all. Tells too how
/// the stream ended, if it did: lapin says so only once.
pub async fn gather<S>(
    first: Delivery,
    deliveries: &mut S,
    size: usize,
    wait: Duration,
) -> (Vec<Delivery>, Option<BrokerError>)
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
            Ok(end) => return (batch, Some(ended(end.and_then(Result::err)))),
            Err(_) => break,
        }
    }
    (batch, None)
}

/// Why a consumer's stream ended: an error, or without one the broker's cancel.
#[must_use]
pub fn ended(error: Option<lapin::Error>) -> BrokerError {
    error.map_or_else(
        || BrokerError::Unusable("the broker cancelled the consumer".to_owned()),
        BrokerError::from,
    )
}
