//! Faults that a test injects, and the requests that they hit.

use crate::random::SeededRandom;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// What goes wrong with a request.
#[derive(Debug, Clone)]
pub enum Fault {
    /// Answers 429 without running the request or keeping the answer.
    TooMany {
        /// The header `Retry-After` in seconds; `None`: no header.
        retry_after: Option<u64>,
    },
    /// Answers a status such as 500 or 503 without running the request. Stripe keeps a 500 under its
    /// idempotency key.
    FailsBefore(u16),
    /// Runs the request, but answers 500. Stripe keeps it under its idempotency key.
    FailsAfter,
    /// Drops the connection without running the request.
    DropsBefore,
    /// Runs the request, then drops the connection.
    DropsAfter,
    /// Answers a proxy's 502, which is not JSON, without running the request.
    BadGateway,
    /// Runs the request, and delays the answer.
    Slow(Duration),
    /// Runs the request, and delays the answer until the notification.
    Waits(Arc<Notify>),
}

/// The requests that a fault hits: all, unless the methods below limit them.
#[derive(Debug, Clone, Default)]
pub struct When {
    method: Option<&'static str>,
    path: String,
    skip: usize,
    times: Option<usize>,
    chance: Option<(i64, SeededRandom)>,
}

impl When {
    /// Any request.
    #[must_use]
    pub fn any() -> Self {
        Self::default()
    }

    /// Requests with `method`, such as `POST`, whose path begins with `path`.
    #[must_use]
    pub fn to(method: &'static str, path: &str) -> Self {
        Self {
            method: Some(method),
            ..Self::below(path)
        }
    }

    /// Requests whose path begins with `path`.
    #[must_use]
    pub fn below(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            ..Self::default()
        }
    }

    /// All but the first `skip` of them.
    #[must_use]
    pub fn after(self, skip: usize) -> Self {
        Self { skip, ..self }
    }

    /// At most `times` of them.
    #[must_use]
    pub fn times(self, times: usize) -> Self {
        Self {
            times: Some(times),
            ..self
        }
    }

    /// A random `percent` of them. The same `seed` selects the same requests; a test prints it.
    #[must_use]
    pub fn percent(self, percent: i64, seed: u64) -> Self {
        Self {
            chance: Some((percent, SeededRandom::new(seed, 0))),
            ..self
        }
    }

    /// Whether the fault hits this request; counts the request.
    fn hits(&mut self, method: &str, path: &str) -> bool {
        if self.method.is_some_and(|only| only != method) || !path.starts_with(&self.path) {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        if self.times == Some(0)
            || !self
                .chance
                .as_mut()
                .is_none_or(|(percent, random)| random.chance(*percent))
        {
            return false;
        }
        self.times = self.times.map(|times| times - 1);
        true
    }
}

/// All injected faults. The first that hits a request counts.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<(Fault, When)>);

impl Faults {
    pub(super) fn add(&mut self, fault: Fault, when: When) {
        self.0.push((fault, when));
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn hit(&mut self, method: &str, path: &str) -> Option<Fault> {
        let fault = self
            .0
            .iter_mut()
            .find_map(|(fault, when)| when.hits(method, path).then(|| fault.clone()));
        self.0.retain(|(_, when)| when.times != Some(0));
        fault
    }
}
