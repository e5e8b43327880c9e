//! How fast this worker settles deliveries: its counters, sampled every few seconds.

use crate::metrics;
use prometheus::{core::Collector, proto::MetricFamily};
use shared::shutdown::CancellationToken;
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
    let samples = metrics::OUTCOMES.collect();
    let label = |metric: &prometheus::proto::Metric, name: &str| {
        let labels = metric.get_label().iter();
        labels
            .filter(|l| l.name() == name)
            .map(|l| l.value().to_owned())
            .next()
            .unwrap_or_default()
    };
    let metrics = samples.iter().flat_map(MetricFamily::get_metric);
    metrics
        .map(|m| {
            (
                label(m, "type"),
                label(m, "outcome"),
                whole(m.get_counter().get_value()),
            )
        })
        .collect()
}

/// The values of a gauge, as (value of its first label, value). The first is empty
/// for a gauge without labels. Empty if there is no such gauge.
pub(super) fn gauge(families: &[MetricFamily], name: &str) -> Vec<(String, i64)> {
    let own = families.iter().find(|family| family.name() == name);
    let metrics = own.map(MetricFamily::get_metric).unwrap_or_default();
    metrics
        .iter()
        .map(|m| {
            let label = m.get_label().first().map(|l| l.value().to_owned());
            let value = i64::try_from(whole(m.get_gauge().get_value())).unwrap_or(i64::MAX);
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
