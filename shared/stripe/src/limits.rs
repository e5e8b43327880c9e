//! Limits that all requests share.

use std::time::Duration;

/// How long one request may take, including its answer.
pub const TIME_LIMIT: Duration = Duration::from_secs(10);
