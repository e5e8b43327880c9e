//! Metrics of both processes: how they are made, written out, and those that
//! are about the broker. Names end in their unit; `_total` counts up for ever.

use prometheus::{Encoder, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, TextEncoder};
use std::sync::LazyLock;

/// Buckets in seconds for work between 100 µs and 10 s.
pub const SECONDS: &[f64] = &[
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
/// Buckets in seconds for how old an event is: from milliseconds to Stripe's three days of retries.
pub const AGE_SECONDS: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 1_800.0, 7_200.0, 86_400.0, 259_200.0,
];

/// What becomes of a publish.
const PUBLISH_OUTCOMES: [&str; 8] = [
    "confirmed",
    "returned",
    "nacked",
    "timeout",
    "blocked",
    "unavailable",
    "overloaded",
    "error",
];

/// 1 while a role's connection does its work.
pub static BROKER_UP: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    gauges(
        "tollbridge_broker_up",
        "1 while the connection to RabbitMQ of that role can be used, 0 while there is none.",
        &["role"],
    )
});
/// How often a connection had to be built, per role; one per role is a normal start.
pub static BROKER_CONNECTIONS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter(
        "tollbridge_broker_connections_total",
        "Connections made to RabbitMQ.",
        &["role"],
    )
});
/// How often a connection ended or could not be made, per role.
pub static BROKER_FAILURES: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter(
        "tollbridge_broker_failures_total",
        "Connections to RabbitMQ that ended or could not be made.",
        &["role"],
    )
});
/// Publishes by what became of them.
pub static PUBLISHES: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter(
        "tollbridge_publishes_total",
        "Publishes by outcome: confirmed, returned, nacked, timeout, blocked, unavailable, overloaded, error.",
        &["outcome"],
    )
});
/// Seconds from a publish to its confirm.
pub static CONFIRM_SECONDS: LazyLock<HistogramVec> = LazyLock::new(|| {
    histogram(
        "tollbridge_confirm_seconds",
        "Seconds from a publish to the broker's confirm.",
        SECONDS,
        &[],
    )
});
/// 1 while the broker blocks our publishing connection (a memory or disk alarm).
pub static BROKER_BLOCKED: LazyLock<IntGauge> = LazyLock::new(|| {
    gauge(
        "tollbridge_broker_blocked",
        "1 while RabbitMQ blocks the publishing connection.",
    )
});

/// Makes what is watched show from the start: a series that appears with its
/// first failure has no increase to alert on. `roles` are those that this
/// process gives [`Broker::supervise`](crate::broker::Broker::supervise).
pub fn init(version: &str, roles: &[&str]) {
    gauges(
        "tollbridge_build_info",
        "1, with the version of the program as its label.",
        &["version"],
    )
    .with_label_values(&[version])
    .set(1);
    for role in roles {
        BROKER_UP.with_label_values(&[role]).set(0);
        BROKER_CONNECTIONS.with_label_values(&[role]);
        BROKER_FAILURES.with_label_values(&[role]);
    }
    for outcome in PUBLISH_OUTCOMES {
        PUBLISHES.with_label_values(&[outcome]);
    }
    CONFIRM_SECONDS.with_label_values::<&str>(&[]);
    BROKER_BLOCKED.set(0);
}

/// A registered counter.
///
/// # Panics
/// When the name is taken or not a metric's name: a mistake in the code.
#[must_use]
pub fn counter(name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    let metric = IntCounterVec::new(Opts::new(name, help), labels).expect("a counter's name and labels");
    prometheus::register(Box::new(metric.clone())).expect("a counter's name is used once");
    metric
}

/// A registered histogram with the given upper bounds.
///
/// # Panics
/// When the name is taken or not a metric's name: a mistake in the code.
#[must_use]
pub fn histogram(name: &str, help: &str, buckets: &[f64], labels: &[&str]) -> HistogramVec {
    let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
    let metric = HistogramVec::new(options, labels).expect("a histogram's name and labels");
    prometheus::register(Box::new(metric.clone())).expect("a histogram's name is used once");
    metric
}

/// A registered gauge.
///
/// # Panics
/// When the name is taken or not a metric's name: a mistake in the code.
#[must_use]
pub fn gauge(name: &str, help: &str) -> IntGauge {
    let metric = IntGauge::new(name, help).expect("a gauge's name");
    prometheus::register(Box::new(metric.clone())).expect("a gauge's name is used once");
    metric
}

/// A registered gauge with labels.
///
/// # Panics
/// When the name is taken or not a metric's name: a mistake in the code.
#[must_use]
pub fn gauges(name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    let metric = IntGaugeVec::new(Opts::new(name, help), labels).expect("a gauge's name and labels");
    prometheus::register(Box::new(metric.clone())).expect("a gauge's name is used once");
    metric
}

/// All registered metrics in Prometheus's text format.
#[must_use]
pub fn render() -> String {
    let mut text = Vec::new();
    if let Err(error) = TextEncoder::new().encode(&prometheus::gather(), &mut text) {
        tracing::error!(%error, "metrics cannot be written out");
    }
    String::from_utf8_lossy(&text).into_owned()
}
