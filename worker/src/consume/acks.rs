//! Acknowledges the deliveries that lanes settle, with as few frames as possible.

use lapin::{Acker, options::BasicAckOptions, types::DeliveryTag};
use shared::{broker::BrokerError, shutdown::CancellationToken};
use std::{
    collections::VecDeque,
    sync::{Arc, PoisonError, Weak},
};
use tokio::sync::Mutex;

/// The deliveries of one channel that are not acknowledged yet. The lock is kept during an
/// acknowledgement, because one that covers several deliveries must not overtake another.
#[derive(Debug)]
pub(crate) struct AckTracker(Mutex<Outstanding<Acker>>);

impl AckTracker {
    /// Adds a delivery. `since_ms` is when the message was received, in milliseconds since
    /// 1970.
    pub(crate) async fn add(&self, tag: DeliveryTag, acker: Acker, since_ms: i64) {
        self.0.lock().await.add(tag, acker, since_ms);
    }

    /// A tracker for a channel with at most `prefetch` deliveries.
    pub(crate) fn new(prefetch: u16) -> Self {
        Self(Mutex::new(Outstanding::new(usize::from(prefetch) / 4 * 3)))
    }

    /// Marks these deliveries as settled, and acknowledges as many as possible. False if the
    /// channel is closed.
    pub(crate) async fn acknowledge_settled(
        &self,
        tags: &[DeliveryTag],
        lost: &CancellationToken,
    ) -> Result<bool, BrokerError> {
        let settle = |outstanding: &mut Outstanding<Acker>| outstanding.settle(tags);
        self.acknowledge(settle, lost).await
    }

    /// Acknowledges all settled deliveries at the end of a lane.
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
        // lapin may never end an acknowledgement whose connection is lost.
        tokio::select! {
            acknowledged = acknowledge => acknowledged,
            () = lost.cancelled() => Ok(false),
        }
    }
}

/// The deliveries of all channels of this worker that are not acknowledged yet.
#[derive(Debug, Clone, Default)]
pub struct InFlight(Arc<std::sync::Mutex<Vec<Weak<AckTracker>>>>);

impl InFlight {
    /// Adds a channel. It is removed when its tracker is dropped.
    pub(crate) fn add(&self, acks: &Arc<AckTracker>) {
        let mut channels = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        channels.retain(|c| c.strong_count() > 0);
        channels.push(Arc::downgrade(acks));
    }

    /// When the oldest delivery that is not settled was received, in milliseconds since
    /// 1970. Waits for an acknowledgement under way.
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
struct Unacknowledged<A> {
    tag: DeliveryTag,
    acker: A,
    /// When ingest received it, or else when the worker did: milliseconds since 1970.
    since_ms: i64,
    settled: bool,
}

/// The deliveries in the order of their tags, settled or not.
#[derive(Debug)]
struct Outstanding<A> {
    deliveries: VecDeque<Unacknowledged<A>>,
    /// The number of settled deliveries that wait for an earlier one.
    behind: usize,
    behind_max: usize,
}

impl<A> Outstanding<A> {
    fn new(behind_max: usize) -> Self {
        Self {
            deliveries: VecDeque::new(),
            behind: 0,
            behind_max,
        }
    }

    fn add(&mut self, tag: DeliveryTag, acker: A, since_ms: i64) {
        self.deliveries.push_back(Unacknowledged {
            tag,
            acker,
            since_ms,
            settled: false,
        });
    }

    /// The least time of all deliveries that are not settled. The first one is not always
    /// the oldest: a retried message is older than messages before it.
    fn oldest_ms(&self) -> Option<i64> {
        let unsettled = self.deliveries.iter().filter(|d| !d.settled);
        unsettled.map(|d| d.since_ms).min()
    }

    /// Marks `tags` as settled. Returns the acknowledgements to send. One with `multiple`
    /// (`true`) covers all deliveries before the first that is not settled. Settled
    /// deliveries behind that one are acknowledged one by one (`false`), but only if there
    /// are more than `behind_max`: without that the prefetch would fill up.
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
        if self.behind > self.behind_max {
            acks.extend(self.each_settled());
        }
        acks
    }

    /// An acknowledgement for each settled delivery alone.
    fn each_settled(&mut self) -> Vec<(A, bool)> {
        self.behind = 0;
        let all = std::mem::take(&mut self.deliveries).into_iter();
        let (settled, unsettled): (VecDeque<_>, VecDeque<_>) = all.partition(|d| d.settled);
        self.deliveries = unsettled;
        settled.into_iter().map(|d| (d.acker, false)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outstanding(behind_max: usize, tags: std::ops::RangeInclusive<u64>) -> Outstanding<u64> {
        let mut outstanding = Outstanding::new(behind_max);
        tags.for_each(|tag| outstanding.add(tag, tag, 1_000));
        outstanding
    }

    #[test]
    fn the_oldest_delivery_is_the_oldest_that_is_not_settled() {
        let mut outstanding = Outstanding::new(10);
        assert_eq!(outstanding.oldest_ms(), None);
        for (tag, since_ms) in [(1, 300), (2, 100), (3, 200)] {
            outstanding.add(tag, tag, since_ms);
        }
        assert_eq!(outstanding.oldest_ms(), Some(100));
        assert_eq!(outstanding.settle(&[2]), []);
        assert_eq!(outstanding.oldest_ms(), Some(200));
        assert_eq!(outstanding.settle(&[1, 3]), [(3, true)]);
        assert_eq!(outstanding.oldest_ms(), None);
    }

    #[test]
    fn deliveries_settled_without_a_gap_are_acknowledged_at_once() {
        let mut outstanding = outstanding(10, 1..=5);
        assert_eq!(outstanding.settle(&[1, 2, 3]), [(3, true)]);
        assert_eq!(outstanding.settle(&[4, 5]), [(5, true)]);
        assert!(outstanding.deliveries.is_empty());
    }

    #[test]
    fn settled_deliveries_behind_a_gap_wait_for_it() {
        let mut outstanding = outstanding(10, 1..=5);
        assert_eq!(outstanding.settle(&[5, 3, 2]), []);
        assert_eq!(outstanding.settle(&[1]), [(3, true)]);
        assert_eq!(outstanding.settle(&[4]), [(5, true)]);
        assert!(outstanding.deliveries.is_empty() && outstanding.behind == 0);
    }

    #[test]
    fn a_gap_makes_a_limited_number_of_deliveries_wait() {
        let mut outstanding = outstanding(2, 1..=6);
        assert_eq!(outstanding.settle(&[2, 3]), []);
        assert_eq!(outstanding.settle(&[5]), [(2, false), (3, false), (5, false)]);
        // A delivery that was acknowledged alone is never acknowledged again.
        assert_eq!(outstanding.settle(&[1, 5]), [(1, true)]);
        assert_eq!(outstanding.settle(&[4, 6]), [(6, true)]);
        assert!(outstanding.deliveries.is_empty() && outstanding.behind == 0);
    }

    #[test]
    fn at_the_end_every_settled_delivery_is_acknowledged() {
        let mut outstanding = outstanding(10, 1..=5);
        assert_eq!(outstanding.settle(&[2, 4]), []);
        assert_eq!(outstanding.each_settled(), [(2, false), (4, false)]);
        assert_eq!(outstanding.each_settled(), []);
        assert_eq!(outstanding.settle(&[1, 3]), [(3, true)]);
    }
}
