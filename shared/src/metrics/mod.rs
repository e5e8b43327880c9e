//! Metrics: the table they are declared in, and those of every process.
//!
//! [`metrics!`](crate::metrics!) declares a table. A row has a static's name, a
//! kind, the metric's name and its meaning. It may have labels and buckets.
//! At its start a process sets its tables to 0 with [`init`].
//! `docs/metrics.md` is printed from the same tables. A metric's name ends in its
//! unit; `_total` only grows.

mod table;

pub use table::{Described, Kind, Label, Metric, Row, Start};

use prometheus::{Encoder, Histogram, IntCounterVec, IntGauge, IntGaugeVec, TextEncoder};

/// Buckets in seconds for work between 100 µs and 10 s.
pub const SECONDS: &[f64] = &[
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
/// Buckets in seconds for the age of an event: from milliseconds to Stripe's three days of retries.
pub const AGE_SECONDS: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 1_800.0, 7_200.0, 86_400.0, 259_200.0,
];

/// What becomes of a publish.
const PUBLISH_OUTCOMES: &[&str] = &[
    "confirmed",
    "returned",
    "nacked",
    "timeout",
    "blocked",
    "unavailable",
    "overloaded",
    "error",
];

crate::metrics! {
    pub static METRICS;

    BUILD_INFO: IntGaugeVec = "tollbridge_build_info",
        "Always 1; the label is the version of the program.",
        labels: &[Label::open("version")];

    BROKER_UP: IntGaugeVec = "tollbridge_broker_up",
        "1 while the role's connection to RabbitMQ does its work, 0 while there is none.",
        labels: &[Label::open("role")];

    BROKER_CONNECTIONS: IntCounterVec = "tollbridge_broker_connections_total",
        "Connections made to RabbitMQ. One for each role is a normal start.",
        labels: &[Label::open("role")];

    BROKER_FAILURES: IntCounterVec = "tollbridge_broker_failures_total",
        "Connections to RabbitMQ that ended or could not be made.",
        labels: &[Label::open("role")];

    PUBLISHES: IntCounterVec = "tollbridge_publishes_total",
        "Publishes by outcome.",
        labels: &[Label::of("outcome", PUBLISH_OUTCOMES)];

    CONFIRM_SECONDS: Histogram = "tollbridge_confirm_seconds",
        "Seconds from a publish to the broker's confirm.",
        buckets: SECONDS;

    BROKER_BLOCKED: IntGauge = "tollbridge_broker_blocked",
        "1 while RabbitMQ blocks the publishing connection, for a memory or disk alarm.";
}

/// Shows `tables` and the metrics of every process as 0: a series that appears
/// with its first failure has no increase to alert on. `roles` are those that
/// this process gives [`Broker::supervise`](crate::broker::Broker::supervise).
pub fn init(version: &str, roles: &[&str], tables: &[&[&dyn Described]]) {
    for metric in METRICS.iter().chain(tables.iter().copied().flatten()) {
        metric.start();
    }
    BUILD_INFO.with_label_values(&[version]).set(1);
    for role in roles {
        BROKER_UP.with_label_values(&[role]).set(0);
        BROKER_CONNECTIONS.with_label_values(&[role]);
        BROKER_FAILURES.with_label_values(&[role]);
    }
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
