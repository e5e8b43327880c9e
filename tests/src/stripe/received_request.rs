//! What was asked of the stand-in.

use serde_json::Value;

/// A request.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// Such as `GET`.
    pub method: String,
    /// Without the query.
    pub path: String,
    /// The path with names in the place of ids, such as `/v1/products/{id}`; empty if Stripe has no such.
    pub template: &'static str,
    /// Of query and form, as a tree whose ends are strings.
    pub params: Value,
    /// The key after `Bearer`.
    pub key: String,
    /// `Idempotency-Key`.
    pub idempotency_key: Option<String>,
    /// `Stripe-Version`.
    pub version: Option<String>,
    /// What was answered; `None` while nothing was, and if the connection was dropped.
    pub status: Option<u16>,
    /// Whether an earlier answer was given again.
    pub is_replay: bool,
}

impl Asked {
    /// Whether it asks for a change.
    #[must_use]
    pub fn is_write(&self) -> bool {
        self.method != "GET"
    }
}
