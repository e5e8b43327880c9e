//! Gives deliveries to the lanes. One consumer serves all lanes. All deliveries of a customer
//! go to the same lane. With one consumer per lane, RabbitMQ would spread one customer's events
//! over all lanes. The lanes would wait for each other's locks, and overtake each other.

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

/// Gives deliveries to the lanes until the shutdown.
///
/// # Errors
/// If the consumer or a lane ends before the shutdown.
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
        let since_ms = delivery.message.meta.received_at_ms.unwrap_or_else(now_ms);
        acks.add(tag, acker, since_ms).await;
        let lane = lane_of(&delivery, lanes.len());
        if lanes.get(lane).is_none_or(|lane| lane.send(delivery).is_err()) {
            return Err(BrokerError::Unusable("a lane ended".to_owned()));
        }
    }
    // The channel closes when the consumer is dropped, so keep the consumer until every lane has acknowledged.
    for lane in lanes {
        lane.closed().await;
    }
    Ok(())
}

/// The lane of a delivery: the same one for each lane key, or any lane if it has no key.
fn lane_of(delivery: &Delivery, lanes: usize) -> usize {
    let mut hasher = DefaultHasher::new();
    match delivery.message.lane_key() {
        Some(key) => key.hash(&mut hasher),
        None => delivery.message.envelope.id.hash(&mut hasher),
    }
    let lanes = u64::try_from(lanes.max(1)).unwrap_or(u64::MAX);
    usize::try_from(hasher.finish() % lanes).unwrap_or_default()
}

/// Why a consumer's stream ended: an error, or else the broker cancelled the consumer.
fn stream_ended(error: Option<lapin::Error>) -> BrokerError {
    error.map_or_else(
        || BrokerError::Unusable("the broker cancelled the consumer".to_owned()),
        BrokerError::from,
    )
}
