//! Metrics of the requests to Stripe.

use prometheus::{HistogramVec, IntCounterVec};
use shared::metrics::{SECONDS, counter, histogram};
use std::{sync::LazyLock, time::Instant};

/// Questions to Stripe's API.
pub static STRIPE_REQUESTS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter(
        "tollbridge_stripe_requests_total",
        "Requests to Stripe's API by outcome: ok, not_found, denied, status, unavailable, timeout.",
        &["outcome"],
    )
});
/// How long Stripe takes.
pub static STRIPE_SECONDS: LazyLock<HistogramVec> = LazyLock::new(|| {
    histogram(
        "tollbridge_stripe_request_seconds",
        "Seconds from a request to Stripe's API to its end, answered or not.",
        SECONDS,
        &[],
    )
});
/// What becomes of a request to Stripe.
const STRIPE_OUTCOMES: [&str; 6] = ["ok", "not_found", "denied", "status", "unavailable", "timeout"];

/// A request to Stripe under way. It is counted when it is dropped, because the
/// caller may stop waiting at any time.
#[derive(Debug)]
#[must_use]
pub struct StripeRequest {
    began: Instant,
    /// What became of it; `timeout` until an answer is there.
    pub outcome: &'static str,
}

impl StripeRequest {
    /// It is sent now.
    pub fn begin() -> Self {
        Self {
            began: Instant::now(),
            outcome: "timeout",
        }
    }
}

impl Drop for StripeRequest {
    fn drop(&mut self) {
        STRIPE_REQUESTS.with_label_values(&[self.outcome]).inc();
        let took = self.began.elapsed().as_secs_f64();
        STRIPE_SECONDS.with_label_values::<&str>(&[]).observe(took);
    }
}

/// Shows each series from the start: one that appears with its first failure has
/// no increase to alert on.
pub fn init() {
    for outcome in STRIPE_OUTCOMES {
        STRIPE_REQUESTS.with_label_values(&[outcome]);
    }
    STRIPE_SECONDS.with_label_values::<&str>(&[]);
}
