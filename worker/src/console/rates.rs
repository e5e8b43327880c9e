//! How fast this worker settles deliveries: its counters, sampled every few seconds.

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

const SAMPLE_EVERY: Duration = Duration::from_secs(5);
/// A minute of samples, and the one at its beginning.
const SAMPLES_MAX: usize = 13;

/// The samples of the last minute: when, and how many deliveries were settled by then.
#[derive(Debug, Default)]
pub(super) struct Rates(Mutex<VecDeque<(Instant, u64)>>);

impl Rates {
    /// Deliveries settled per minute, over the last minute at most. None before the second sample.
    pub(super) fn per_minute(&self) -> Option<i64> {
        let samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ((first, before), (last, after)) = (samples.front()?, samples.back()?);
        let millis = last.duration_since(*first).as_millis();
        let settled = u128::from(after.saturating_sub(*before)) * 60_000;
        settled.checked_div(millis).and_then(|rate| i64::try_from(rate).ok())
    }

    fn sample(&self) {
        let mut samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if samples.len() == SAMPLES_MAX {
            samples.pop_front();
        }
        samples.push_back((Instant::now(), settled()));
    }
}

/// Samples the counters until `stop`.
pub(super) async fn sample_until(rates: Arc<Rates>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(SAMPLE_EVERY);
    loop {
        tokio::select! {
            _ = ticks.tick() => rates.sample(),
            () = stop.cancelled() => return,
        }
    }
}

fn settled() -> u64 {
    outcomes().iter().map(|(_, _, count)| count).sum()
}

/// The deliveries settled since this worker started, as (type, outcome, count).
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

/// The value of a gauge. None while it is unknown.
pub(super) fn gauge(gauge: &Metric<IntGauge>) -> Option<i64> {
    gauge.used().map(IntGauge::get)
}

/// The values of a gauge by its only label. Empty while they are unknown.
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
    reason = "prometheus keeps counts as floats; the cast saturates"
)]
fn whole(value: f64) -> u64 {
    value as u64
}
