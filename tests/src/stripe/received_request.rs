//! A request that the stand-in received.

use serde_json::Value;

/// A request and the status of its answer.
#[derive(Debug, Clone, PartialEq)]
pub struct ReceivedRequest {
    /// The method, such as `GET`.
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// The path with names instead of ids, such as `/v1/products/{id}`; empty if Stripe has no such path.
    pub template: &'static str,
    /// The parameters of query and form, as a tree whose leaves are strings.
    pub params: Value,
    /// The key after `Bearer`.
    pub key: String,
    /// The header `Idempotency-Key`.
    pub idempotency_key: Option<String>,
    /// The header `Stripe-Version`.
    pub version: Option<String>,
    /// The status of the answer; `None` before the answer, and if the connection was dropped.
    pub status: Option<u16>,
    /// Whether the answer repeats an earlier one.
    pub is_replay: bool,
}

impl ReceivedRequest {
    /// Whether it changes something at Stripe.
    #[must_use]
    pub fn is_write(&self) -> bool {
        self.method != "GET"
    }
}
