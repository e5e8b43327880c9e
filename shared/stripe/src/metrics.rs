//! Metrics of the requests to Stripe.

use prometheus::{Histogram, IntCounterVec};
use shared::metrics::{Label, SECONDS};
use std::time::Instant;

shared::metrics! {
    pub static METRICS;

    STRIPE_REQUESTS: IntCounterVec = "tollbridge_stripe_requests_total",
        "Requests to Stripe's API by outcome.",
        labels: &[Label::of("outcome", &["ok", "not_found", "denied", "status", "unavailable", "timeout"])];

    STRIPE_SECONDS: Histogram = "tollbridge_stripe_request_seconds",
        "Seconds from a request to Stripe's API to its end, answered or not.",
        buckets: SECONDS;
}

/// A request to Stripe that is under way. It is counted when it is dropped, because the
/// caller may stop waiting at any time.
#[derive(Debug)]
#[must_use]
pub struct StripeRequest {
    began: Instant,
    /// A value of the label `outcome`; `timeout` if the caller stops waiting.
    pub outcome: &'static str,
}

impl StripeRequest {
    /// Begins to count a request.
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
        STRIPE_SECONDS.observe(self.began.elapsed().as_secs_f64());
    }
}
