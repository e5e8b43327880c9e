//! Faults that a test asks for, and when they strike.

use crate::merchant::Dice;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// What goes wrong.
#[derive(Debug, Clone)]
pub enum Fault {
    /// 429, with what `Retry-After` says, in seconds. Nothing is done or kept.
    TooMany {
        /// `None`: without the header.
        retry_after: Option<u64>,
    },
    /// A status such as 500 or 503, and nothing was done. Stripe keeps a 500 under its idempotency key.
    FailsBefore(u16),
    /// 500, though it was done. Stripe keeps it under its idempotency key.
    FailsAfter,
    /// The connection ends, and nothing was done.
    DropsBefore,
    /// The connection ends, though it was done.
    DropsAfter,
    /// A proxy's 502, which is not JSON, and nothing was done.
    BadGateway,
    /// It is done, and the answer takes this long.
    Slow(Duration),
    /// It is done, and the answer waits to be notified.
    Waits(Arc<Notify>),
}

/// Which requests a fault strikes: all, unless it says less.
#[derive(Debug, Clone, Default)]
pub struct When {
    method: Option<&'static str>,
    path: String,
    skip: usize,
    times: Option<usize>,
    chance: Option<(i64, Dice)>,
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

    /// Not the first `skip` of them.
    #[must_use]
    pub fn after(self, skip: usize) -> Self {
        Self { skip, ..self }
    }

    /// So many of them and no more.
    #[must_use]
    pub fn times(self, times: usize) -> Self {
        Self {
            times: Some(times),
            ..self
        }
    }

    /// So many of a hundred of them, by chance: a test prints the `seed` that repeats it.
    #[must_use]
    pub fn percent(self, percent: i64, seed: u64) -> Self {
        Self {
            chance: Some((percent, Dice::new(seed, 0))),
            ..self
        }
    }

    /// Whether it strikes this request, which counts as seen.
    fn strikes(&mut self, method: &str, path: &str) -> bool {
        if self.method.is_some_and(|only| only != method) || !path.starts_with(&self.path) {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        if self.times == Some(0) || !self.chance.as_mut().is_none_or(|(percent, dice)| dice.chance(*percent)) {
            return false;
        }
        self.times = self.times.map(|times| times - 1);
        true
    }
}

/// All that were asked for. The first that strikes a request is the one.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<(Fault, When)>);

impl Faults {
    pub(super) fn add(&mut self, fault: Fault, when: When) {
        self.0.push((fault, when));
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn strike(&mut self, method: &str, path: &str) -> Option<Fault> {
        let struck = self
            .0
            .iter_mut()
            .find_map(|(fault, when)| when.strikes(method, path).then(|| fault.clone()));
        self.0.retain(|(_, when)| when.times != Some(0));
        struck
    }
}
