//! Dealing the deliveries of one consumer out to lanes, each customer's to the
//! same lane, and acknowledging what the lanes settle. RabbitMQ itself would
//! deal one customer's events out to all of them: lanes would wait for each
//! other's locks, and overtake each other.

use crate::{
    batch,
    lane::{Context, Ends, Feed, Held},
};
use futures_util::StreamExt;
use lapin::{Acker, Consumer, options::BasicAckOptions, types::DeliveryTag};
use shared::{broker::BrokerError, message::now_ms, shutdown::CancellationToken};
use std::{
    collections::VecDeque,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, PoisonError, Weak},
};
use tokio::sync::{Mutex, mpsc};

/// Deals until one of the `ends`.
pub(crate) async fn deal(
    context: Context,
    feed: Feed,
    mut consumer: Consumer,
    lanes: Vec<mpsc::UnboundedSender<Held>>,
    acks: Arc<Acks>,
    ends: Ends,
) -> Result<(), BrokerError> {
    loop {
        let next = tokio::select! {
            biased;
            () = ends.stop.cancelled() => break,
            next = consumer.next() => next,
        };
        let delivery = match next {
            Some(Ok(delivery)) => delivery,
            end => return Err(batch::ended(end.and_then(Result::err))),
        };
        let (tag, acker) = (delivery.delivery_tag, delivery.acker.clone());
        let held = context.read(delivery, feed);
        let since_ms = held.item.meta.received_at_ms.unwrap_or_else(now_ms);
        acks.0.lock().await.delivered(tag, acker, since_ms);
        let lane = lane_of(&held, lanes.len());
        if lanes.get(lane).is_none_or(|lane| lane.send(held).is_err()) {
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
fn lane_of(held: &Held, lanes: usize) -> usize {
    let mut hasher = DefaultHasher::new();
    match held.item.lane_key() {
        Some(key) => key.hash(&mut hasher),
        None => held.item.envelope.id.hash(&mut hasher),
    }
    let lanes = u64::try_from(lanes.max(1)).unwrap_or(u64::MAX);
    usize::try_from(hasher.finish() % lanes).unwrap_or_default()
}

/// What one channel delivered and is not acknowledged yet. The lock is held
/// while acknowledging: one that covers others must not be overtaken by them.
#[derive(Debug)]
pub(crate) struct Acks(Mutex<Outstanding<Acker>>);

impl Acks {
    /// For a channel that holds at most so many deliveries.
    pub(crate) fn new(prefetch: u16) -> Self {
        Self(Mutex::new(Outstanding::new(usize::from(prefetch) / 4 * 3)))
    }

    /// Acknowledges what may be, now that these are settled. False if the
    /// channel is gone.
    pub(crate) async fn settled(&self, tags: &[DeliveryTag], lost: &CancellationToken) -> Result<bool, BrokerError> {
        let settle = |outstanding: &mut Outstanding<Acker>| outstanding.settle(tags);
        self.acknowledge(settle, lost).await
    }

    /// Acknowledges all that is settled: nothing more is to come.
    pub(crate) async fn end(&self, lost: &CancellationToken) -> Result<bool, BrokerError> {
        self.acknowledge(Outstanding::each_settled, lost).await
    }

    async fn acknowledge(
        &self,
        which: impl FnOnce(&mut Outstanding<Acker>) -> Vec<(Acker, bool)>,
        lost: &CancellationToken,
    ) -> Result<bool, BrokerError> {
        let acknowledge = async {
            let mut outstanding = self.0.lock().await;
            for (acker, multiple) in which(&mut outstanding) {
                if !acker.ack(BasicAckOptions { multiple }).await? {
                    return Ok(false);
                }
            }
            Ok(true)
        };
        // lapin may never hear that its connection is gone.
        tokio::select! {
            acknowledged = acknowledge => acknowledged,
            () = lost.cancelled() => Ok(false),
        }
    }
}

/// All that a worker holds, whatever its channel, to know the oldest of it.
#[derive(Debug, Clone, Default)]
pub struct Holdings(Arc<std::sync::Mutex<Vec<Weak<Acks>>>>);

impl Holdings {
    /// A channel has been opened; it is forgotten when it is dropped.
    pub(crate) fn add(&self, acks: &Arc<Acks>) {
        let mut channels = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        channels.retain(|c| c.strong_count() > 0);
        channels.push(Arc::downgrade(acks));
    }

    /// When the oldest that is not settled was received, in Unix milliseconds. Takes
    /// as long as an acknowledgement under way.
    pub async fn oldest_ms(&self) -> Option<i64> {
        let channels = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut oldest = None;
        for acks in channels.iter().filter_map(Weak::upgrade) {
            let here = acks.0.lock().await.oldest_ms();
            oldest = oldest.into_iter().chain(here).min();
        }
        oldest
    }
}

/// A delivery that is not acknowledged.
#[derive(Debug)]
struct Delivered<A> {
    tag: DeliveryTag,
    acker: A,
    /// When it was received, by ingest if that is known.
    since_ms: i64,
    settled: bool,
}

/// Deliveries in their order, settled or not.
#[derive(Debug)]
struct Outstanding<A> {
    deliveries: VecDeque<Delivered<A>>,
    /// How many settled ones stand behind one that is not.
    behind: usize,
    behind_most: usize,
}

impl<A> Outstanding<A> {
    fn new(behind_most: usize) -> Self {
        Self {
            deliveries: VecDeque::new(),
            behind: 0,
            behind_most,
        }
    }

    fn delivered(&mut self, tag: DeliveryTag, acker: A, since_ms: i64) {
        self.deliveries.push_back(Delivered {
            tag,
            acker,
            since_ms,
            settled: false,
        });
    }

    /// Of all that is not settled: what was retried is older than what came before it.
    fn oldest_ms(&self) -> Option<i64> {
        let held = self.deliveries.iter().filter(|d| !d.settled);
        held.map(|d| d.since_ms).min()
    }

    /// What is to be acknowledged once these are settled: all up to the first
    /// that is not settled at once (`true`), and each behind it (`false`) only
    /// when there are too many, or the consumer would get no more.
    fn settle(&mut self, tags: &[DeliveryTag]) -> Vec<(A, bool)> {
        for tag in tags {
            if let Ok(place) = self.deliveries.binary_search_by_key(tag, |d| d.tag) {
                self.deliveries[place].settled = true;
                self.behind += 1;
            }
        }
        let mut acks = Vec::new();
        while self.deliveries.front().is_some_and(|d| d.settled) {
            self.behind -= 1;
            let upto = self.deliveries.pop_front().map(|d| (d.acker, true));
            acks.clear();
            acks.extend(upto);
        }
        if self.behind > self.behind_most {
            acks.extend(self.each_settled());
        }
        acks
    }

    /// Each settled one by itself, whatever stands before it.
    fn each_settled(&mut self) -> Vec<(A, bool)> {
        self.behind = 0;
        let all = std::mem::take(&mut self.deliveries).into_iter();
        let (settled, held): (VecDeque<_>, VecDeque<_>) = all.partition(|d| d.settled);
        self.deliveries = held;
        settled.into_iter().map(|d| (d.acker, false)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outstanding(behind_most: usize, tags: std::ops::RangeInclusive<u64>) -> Outstanding<u64> {
        let mut outstanding = Outstanding::new(behind_most);
        tags.for_each(|tag| outstanding.delivered(tag, tag, 1_000));
        outstanding
    }

    #[test]
    fn the_oldest_is_that_of_what_is_not_settled() {
        let mut held = Outstanding::new(10);
        assert_eq!(held.oldest_ms(), None);
        for (tag, since_ms) in [(1, 300), (2, 100), (3, 200)] {
            held.delivered(tag, tag, since_ms);
        }
        assert_eq!(held.oldest_ms(), Some(100));
        assert_eq!(held.settle(&[2]), []);
        assert_eq!(held.oldest_ms(), Some(200));
        assert_eq!(held.settle(&[1, 3]), [(3, true)]);
        assert_eq!(held.oldest_ms(), None);
    }

    #[test]
    fn what_is_settled_without_a_gap_is_acknowledged_at_once() {
        let mut held = outstanding(10, 1..=5);
        assert_eq!(held.settle(&[1, 2, 3]), [(3, true)]);
        assert_eq!(held.settle(&[4, 5]), [(5, true)]);
        assert!(held.deliveries.is_empty());
    }

    #[test]
    fn what_stands_behind_a_gap_waits_for_it() {
        let mut held = outstanding(10, 1..=5);
        assert_eq!(held.settle(&[5, 3, 2]), []);
        assert_eq!(held.settle(&[1]), [(3, true)]);
        assert_eq!(held.settle(&[4]), [(5, true)]);
        assert!(held.deliveries.is_empty() && held.behind == 0);
    }

    #[test]
    fn a_gap_holds_up_only_so_many() {
        let mut held = outstanding(2, 1..=6);
        assert_eq!(held.settle(&[2, 3]), []);
        assert_eq!(held.settle(&[5]), [(2, false), (3, false), (5, false)]);
        // What was acknowledged alone is covered by nothing later, and never again.
        assert_eq!(held.settle(&[1, 5]), [(1, true)]);
        assert_eq!(held.settle(&[4, 6]), [(6, true)]);
        assert!(held.deliveries.is_empty() && held.behind == 0);
    }

    #[test]
    fn at_the_end_nothing_settled_is_left_behind_a_gap() {
        let mut held = outstanding(10, 1..=5);
        assert_eq!(held.settle(&[2, 4]), []);
        assert_eq!(held.each_settled(), [(2, false), (4, false)]);
        assert_eq!(held.each_settled(), []);
        assert_eq!(held.settle(&[1, 3]), [(3, true)]);
    }
}
