//! Waits for a condition.

use anyhow::{Result, anyhow};
use std::time::{Duration, Instant};

/// The pause between two probes.
const PAUSE: Duration = Duration::from_millis(2);

/// Calls `probe` until it returns `Ok`, at most for `deadline`.
///
/// # Errors
/// When the time is over; the message has `what` and the last error of `probe`.
pub async fn wait_for<T, P>(deadline: Duration, what: &str, mut probe: P) -> Result<T>
where
    P: AsyncFnMut() -> Result<T>,
{
    let start = Instant::now();
    loop {
        let seen = match tokio::time::timeout(deadline, probe()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(seen)) => seen,
            Err(_) => anyhow!("the last look did not end"),
        };
        if start.elapsed() >= deadline {
            return Err(seen.context(format!("after {deadline:?} still waiting until {what}")));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// As [`wait_for`], for tests.
///
/// # Panics
/// When the time is over.
pub async fn eventually<T, P>(deadline: Duration, what: &str, probe: P) -> T
where
    P: AsyncFnMut() -> Result<T>,
{
    match wait_for(deadline, what, probe).await {
        Ok(value) => value,
        Err(error) => panic!("{error:#}"),
    }
}
