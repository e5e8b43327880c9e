//! Time in facts.

use serde::{Deserialize, Serialize};

/// Seconds since 1970-01-01 in UTC: Stripe's unit of time.
pub type Seconds = i64;

/// A span of time: `start` belongs to it, `end` does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Period {
    /// The first second.
    pub start: Seconds,
    /// The first second after the span.
    pub end: Seconds,
}
