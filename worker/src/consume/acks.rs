//! Acknowledging what lanes settle, in as few frames as possible.

use lapin::{Acker, options::BasicAckOptions, types::DeliveryTag};
use shared::{broker::BrokerError, shutdown::CancellationToken};
use std::{
    collections::VecDeque,
    sync::{Arc, PoisonError, Weak},
};
use tokio::sync::Mutex;

/// What one channel delivered and is not acknowledged yet. The lock is held
/// while acknowledging: one that covers others must not be overtaken by them.
#[derive(Debug)]
pub(crate) struct AckTracker(Mutex<Outstanding<Acker>>);

impl AckTracker {
    /// A delivery came.
    pub(crate) async fn delivered(&self, tag: DeliveryTag, acker: Acker, since_ms: i64) {
        self.0.lock().await.delivered(tag, acker, since_ms);
    }

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
pub struct InFlight(Arc<std::sync::Mutex<Vec<Weak<AckTracker>>>>);

impl InFlight {
    /// A channel has been opened; it is forgotten when it is dropped.
    pub(crate) fn add(&self, acks: &Arc<AckTracker>) {
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
struct Unacknowledged<A> {
    tag: DeliveryTag,
    acker: A,
    /// When it was received, by ingest if that is known.
    since_ms: i64,
    settled: bool,
}

/// Deliveries in their order, settled or not.
#[derive(Debug)]
struct Outstanding<A> {
    deliveries: VecDeque<Unacknowledged<A>>,
    /// How many settled ones stand behind one that is not.
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

    fn delivered(&mut self, tag: DeliveryTag, acker: A, since_ms: i64) {
        self.deliveries.push_back(Unacknowledged {
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
        if self.behind > self.behind_max {
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

    fn outstanding(behind_max: usize, tags: std::ops::RangeInclusive<u64>) -> Outstanding<u64> {
        let mut outstanding = Outstanding::new(behind_max);
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
