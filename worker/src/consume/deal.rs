//! Deals the deliveries of one consumer to lanes, each customer's to the same
//! lane. RabbitMQ itself would deal one customer's events to all of them: lanes
//! would wait for each other's locks, and overtake each other.

use crate::consume::{
    acks::AckTracker,
    context::{Context, Shutdown},
    delivery::{Delivery, SourceQueue},
};
use futures_util::StreamExt;
use lapin::Consumer;
use shared::{broker::BrokerError, message::now_ms};
use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};
use tokio::sync::mpsc;

/// Deals until the shutdown.
pub(crate) async fn deal(
    context: Context,
    from: SourceQueue,
    mut consumer: Consumer,
    lanes: Vec<mpsc::UnboundedSender<Delivery>>,
    acks: Arc<AckTracker>,
    shutdown: Shutdown,
) -> Result<(), BrokerError> {
    loop {
        let next = tokio::select! {
            biased;
            () = shutdown.stop.cancelled() => break,
            next = consumer.next() => next,
        };
        let message = match next {
            Some(Ok(message)) => message,
            end => return Err(stream_ended(end.and_then(Result::err))),
        };
        let (tag, acker) = (message.delivery_tag, message.acker.clone());
        let delivery = Delivery::read(message, from, &context.reader);
        let since_ms = delivery.item.meta.received_at_ms.unwrap_or_else(now_ms);
        acks.delivered(tag, acker, since_ms).await;
        let lane = lane_of(&delivery, lanes.len());
        if lanes.get(lane).is_none_or(|lane| lane.send(delivery).is_err()) {
            return Err(BrokerError::Unusable("a lane ended".to_owned()));
        }
    }
    // Its channel closes with the consumer, and no acknowledgement comes through any more.
    for lane in lanes {
        lane.closed().await;
    }
    Ok(())
}

/// By account, usage by its user; what is about none may go anywhere.
fn lane_of(delivery: &Delivery, lanes: usize) -> usize {
    let mut hasher = DefaultHasher::new();
    match delivery.item.lane_key() {
        Some(key) => key.hash(&mut hasher),
        None => delivery.item.envelope.id.hash(&mut hasher),
    }
    let lanes = u64::try_from(lanes.max(1)).unwrap_or(u64::MAX);
    usize::try_from(hasher.finish() % lanes).unwrap_or_default()
}

/// Why a consumer's stream ended: an error, or without one the broker's cancel.
fn stream_ended(error: Option<lapin::Error>) -> BrokerError {
    error.map_or_else(
        || BrokerError::Unusable("the broker cancelled the consumer".to_owned()),
        BrokerError::from,
    )
}
