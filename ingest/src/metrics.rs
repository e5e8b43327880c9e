//! What ingest counts and times. Metrics about the broker are in
//! [`shared::metrics`].

use crate::error::Refusal;
use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec};
use shared::metrics::{SECONDS, counter, histogram};
use std::sync::LazyLock;

/// Every status that this process answers with.
const STATUSES: [&str; 10] = ["200", "202", "400", "401", "404", "405", "408", "413", "415", "503"];
const BYTES: &[f64] = &[
    1_024.0,
    2_048.0,
    4_096.0,
    8_192.0,
    16_384.0,
    32_768.0,
    65_536.0,
    131_072.0,
    262_144.0,
    524_288.0,
    1_048_576.0,
];

/// Answers on the public listener.
pub static REQUESTS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter(
        "tollbridge_ingest_requests_total",
        "Answers on the public listener, by status.",
        &["status"],
    )
});
/// Requests that were not accepted; [`Refusal::REASONS`].
pub static REFUSALS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter(
        "tollbridge_ingest_refusals_total",
        "Requests that were not accepted, by reason.",
        &["reason"],
    )
});
/// Which secret signed, by its place in `STRIPE_WEBHOOK_SECRET`, the first that
/// matches. Stripe signs with both while one is rolled, so that with the new one
/// first the count of another place is of what the new one alone would refuse.
pub static SECRET_USED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter(
        "tollbridge_ingest_secret_used_total",
        "Requests whose signature passed, by the place in STRIPE_WEBHOOK_SECRET of the first secret that matches.",
        &["position"],
    )
});
/// Seconds to verify a signature, good or bad.
pub static VERIFY_SECONDS: LazyLock<Histogram> = LazyLock::new(|| {
    plain(&histogram(
        "tollbridge_ingest_verify_seconds",
        "Seconds to verify a signature.",
        &[
            0.000_005, 0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.0025, 0.005, 0.01,
        ],
        &[],
    ))
});
/// Seconds from a webhook's headers to its answer.
pub static HANDLE_SECONDS: LazyLock<Histogram> = LazyLock::new(|| {
    plain(&histogram(
        "tollbridge_ingest_handle_seconds",
        "Seconds from a webhook's headers to its answer.",
        SECONDS,
        &[],
    ))
});
/// Reports of use that were accepted: events, not requests.
pub static USAGE_EVENTS: LazyLock<IntCounter> = LazyLock::new(|| {
    counter(
        "tollbridge_ingest_usage_events_total",
        "Reports of use that were accepted: events, not requests.",
        &[],
    )
    .with_label_values::<&str>(&[])
});
/// Seconds from the headers of a request with reports of use to its answer.
pub static USAGE_HANDLE_SECONDS: LazyLock<Histogram> = LazyLock::new(|| {
    plain(&histogram(
        "tollbridge_ingest_usage_handle_seconds",
        "Seconds from the headers of a request with reports of use to its answer.",
        SECONDS,
        &[],
    ))
});
/// Bytes of the bodies that were read whole.
pub static BODY_BYTES: LazyLock<Histogram> = LazyLock::new(|| {
    plain(&histogram(
        "tollbridge_ingest_body_bytes",
        "Bytes of the bodies that were read whole.",
        BYTES,
        &[],
    ))
});

fn plain(metric: &HistogramVec) -> Histogram {
    metric.with_label_values::<&str>(&[])
}

/// Makes every metric show, as 0, from the start: a rate over a counter that
/// appears with its first event misses that event.
pub fn init(secrets: usize) {
    shared::metrics::init(env!("CARGO_PKG_VERSION"), &["publish"]);
    for status in STATUSES {
        REQUESTS.with_label_values(&[status]);
    }
    for reason in Refusal::REASONS {
        REFUSALS.with_label_values(&[reason]);
    }
    for position in 1..=secrets {
        SECRET_USED.with_label_values(&[position.to_string()]);
    }
    for metric in [&VERIFY_SECONDS, &HANDLE_SECONDS, &USAGE_HANDLE_SECONDS, &BODY_BYTES] {
        LazyLock::force(metric);
    }
    LazyLock::force(&USAGE_EVENTS);
}
