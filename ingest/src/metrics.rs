//! The metrics of ingest. Metrics about the broker are in
//! [`mod@shared::metrics`].

use crate::error::RequestRefusal;
use prometheus::{Histogram, IntCounter, IntCounterVec};
use shared::metrics::{Label, SECONDS};

/// Every status that this process answers with.
const STATUSES: &[&str] = &["200", "202", "400", "401", "404", "405", "408", "413", "415", "503"];
const VERIFY_BUCKETS: &[f64] = &[
    0.000_005, 0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.0025, 0.005, 0.01,
];
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

shared::metrics! {
    pub static METRICS;

    REQUESTS: IntCounterVec = "tollbridge_ingest_requests_total",
        "Answers on the public listener, by status.",
        labels: &[Label::of("status", STATUSES)];

    REFUSALS: IntCounterVec = "tollbridge_ingest_refusals_total",
        "Requests that were not accepted, by reason.",
        labels: &[Label::of("reason", &RequestRefusal::REASONS)];

    SECRET_USED: IntCounterVec = "tollbridge_ingest_secret_used_total",
        "Requests with a valid signature, by the position in STRIPE_WEBHOOK_SECRET, from 1, of the first secret that matches. While a secret is rolled, Stripe signs with both. With the new secret first, a later position counts requests that still need the old one.",
        labels: &[Label::open("position")];

    VERIFY_SECONDS: Histogram = "tollbridge_ingest_verify_seconds",
        "Seconds to verify a signature, good or bad.",
        buckets: VERIFY_BUCKETS;

    HANDLE_SECONDS: Histogram = "tollbridge_ingest_handle_seconds",
        "Seconds from a webhook's headers to its answer.",
        buckets: SECONDS;

    USAGE_EVENTS: IntCounter = "tollbridge_ingest_usage_events_total",
        "Usage reports that were accepted: events, not requests.";

    USAGE_HANDLE_SECONDS: Histogram = "tollbridge_ingest_usage_handle_seconds",
        "Seconds from the headers of a request with usage reports to its answer.",
        buckets: SECONDS;

    BODY_BYTES: Histogram = "tollbridge_ingest_body_bytes",
        "Bytes of the bodies that were read whole.",
        buckets: BYTES;
}

/// Shows every metric as 0 from the start. `secrets` is the number of secrets in
/// `STRIPE_WEBHOOK_SECRET`.
pub fn init(secrets: usize) {
    shared::metrics::init(env!("CARGO_PKG_VERSION"), &["publish"], &[METRICS]);
    for position in 1..=secrets {
        SECRET_USED.with_label_values(&[position.to_string()]);
    }
}
