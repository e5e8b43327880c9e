//! How fast this worker works: its counters, looked at every few seconds.

use super::Console;
use crate::metrics;
use prometheus::{
    IntGauge, IntGaugeVec,
    core::Collector,
    proto::{Metric as Sample, MetricFamily},
};
use shared::{metrics::Metric, shutdown::CancellationToken};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

const EVERY: Duration = Duration::from_secs(5);
/// A minute, and its first look.
const LOOKS_MAX: usize = 13;

/// Counters of the last minute.
#[derive(Debug, Default)]
pub(super) struct Rates(Mutex<VecDeque<(Instant, u64)>>);

impl Rates {
    /// Deliveries settled per minute, over a minute at the most; none before there were two looks.
    pub(super) fn per_minute(&self) -> Option<i64> {
        let looks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ((first, before), (last, after)) = (looks.front()?, looks.back()?);
        let millis = last.duration_since(*first).as_millis();
        let settled = u128::from(after.saturating_sub(*before)) * 60_000;
        settled.checked_div(millis).and_then(|rate| i64::try_from(rate).ok())
    }

    fn look(&self) {
        let mut looks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if looks.len() == LOOKS_MAX {
            looks.pop_front();
        }
        looks.push_back((Instant::now(), settled()));
    }
}

/// Keeps looking until `stop`.
pub(super) async fn measure(console: Arc<Console>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(EVERY);
    loop {
        tokio::select! {
            _ = ticks.tick() => console.rates.look(),
            () = stop.cancelled() => return,
        }
    }
}

fn settled() -> u64 {
    outcomes().iter().map(|(_, _, count)| count).sum()
}

/// What became of deliveries since this worker started: by type and outcome.
pub(super) fn outcomes() -> Vec<(String, String, u64)> {
    let families = metrics::OUTCOMES.collect();
    let samples = families.iter().flat_map(MetricFamily::get_metric);
    samples
        .map(|sample| {
            let count = whole(sample.get_counter().get_value());
            (label(sample, "type"), label(sample, "outcome"), count)
        })
        .collect()
}

fn label(sample: &Sample, name: &str) -> String {
    let mut labels = sample.get_label().iter();
    let label = labels.find(|label| label.name() == name);
    label.map(|label| label.value().to_owned()).unwrap_or_default()
}

/// The value of a gauge; none while it is not known.
pub(super) fn gauge(gauge: &Metric<IntGauge>) -> Option<i64> {
    gauge.used().map(IntGauge::get)
}

/// The samples of a gauge by the value of its one label; empty while none is known.
pub(super) fn by_label(gauge: &Metric<IntGaugeVec>) -> Vec<(String, i64)> {
    let families = gauge.used().map(Collector::collect).unwrap_or_default();
    let samples = families.iter().flat_map(MetricFamily::get_metric);
    samples
        .map(|sample| {
            let label = sample.get_label().first().map(|l| l.value().to_owned());
            let value = i64::try_from(whole(sample.get_gauge().get_value())).unwrap_or(i64::MAX);
            (label.unwrap_or_default(), value)
        })
        .collect()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count, which prometheus keeps as a float; it saturates"
)]
fn whole(value: f64) -> u64 {
    value as u64
}
