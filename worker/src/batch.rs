//! Gathering deliveries into batches, bounded in number, bytes and time.

use crate::lane::Held;
use shared::broker::BrokerError;
use std::{collections::VecDeque, time::Duration};
use tokio::{sync::mpsc, time::Instant};

/// A batch takes no more deliveries once its bodies hold this many bytes.
const BYTES_MOST: usize = 8 * 1024 * 1024;

/// Adds to `first` what is dealt within `wait`, up to `size` in all.
pub(crate) async fn gather(
    first: Held,
    dealt: &mut mpsc::UnboundedReceiver<Held>,
    size: usize,
    wait: Duration,
) -> Vec<Held> {
    let until = Instant::now() + wait;
    let mut bytes = first.item.body.len();
    let mut batch = Vec::with_capacity(size.min(64));
    batch.push(first);
    while batch.len() < size && bytes < BYTES_MOST {
        let Ok(Some(held)) = tokio::time::timeout_at(until, dealt.recv()).await else {
            break;
        };
        bytes += held.item.body.len();
        batch.push(held);
    }
    batch
}

/// Takes what waits longest, up to `size`.
pub(crate) fn take(aside: &mut VecDeque<Held>, size: usize) -> Vec<Held> {
    let mut bytes = 0;
    let mut batch = Vec::new();
    while batch.len() < size && bytes < BYTES_MOST {
        let Some(held) = aside.pop_front() else { break };
        bytes += held.item.body.len();
        batch.push(held);
    }
    batch
}

/// Why a consumer's stream ended: an error, or without one the broker's cancel.
#[must_use]
pub fn ended(error: Option<lapin::Error>) -> BrokerError {
    error.map_or_else(
        || BrokerError::Unusable("the broker cancelled the consumer".to_owned()),
        BrokerError::from,
    )
}
