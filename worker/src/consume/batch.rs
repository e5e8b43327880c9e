//! Gathers deliveries into batches. A batch has limits of number, bytes and time.

use crate::consume::delivery::Delivery;
use std::{collections::VecDeque, time::Duration};
use tokio::{sync::mpsc, time::Instant};

/// A batch takes no more deliveries once its bodies have this many bytes.
const BYTES_MAX: usize = 8 * 1024 * 1024;

/// Adds deliveries to `first` that come within `wait`, up to `size` in all.
pub(crate) async fn gather(
    first: Delivery,
    dealt: &mut mpsc::UnboundedReceiver<Delivery>,
    size: usize,
    wait: Duration,
) -> Vec<Delivery> {
    let until = Instant::now() + wait;
    let mut bytes = first.message.body.len();
    let mut batch = Vec::with_capacity(size.min(64));
    batch.push(first);
    while batch.len() < size && bytes < BYTES_MAX {
        let Ok(Some(delivery)) = tokio::time::timeout_at(until, dealt.recv()).await else {
            break;
        };
        bytes += delivery.message.body.len();
        batch.push(delivery);
    }
    batch
}

/// Takes the deliveries that were set aside first, up to `size`.
pub(crate) fn take(aside: &mut VecDeque<Delivery>, size: usize) -> Vec<Delivery> {
    let mut bytes = 0;
    let mut batch = Vec::new();
    while batch.len() < size && bytes < BYTES_MAX {
        let Some(delivery) = aside.pop_front() else { break };
        bytes += delivery.message.body.len();
        batch.push(delivery);
    }
    batch
}
