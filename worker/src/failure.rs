//! The taxonomy of failures: what is the event's fault, what may pass, and what
//! is nobody's.

use std::time::Duration;

/// Reasons that no retry can mend: the message is dead at once. A closed list,
/// in `billing.events` and on every dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permanent {
    /// Not an event, or not of Stripe's shape.
    Malformed,
    /// A price that the catalog does not know.
    UnknownPrice,
    /// A pack that the catalog does not know.
    UnknownPack,
    /// A meter that the catalog does not know.
    UnknownMeter,
    /// Every retry failed.
    RetriesExhausted,
    /// The broker took it out of the work queue.
    DeliveryLimit,
}

impl Permanent {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Malformed,
        Self::UnknownPrice,
        Self::UnknownPack,
        Self::UnknownMeter,
        Self::RetriesExhausted,
        Self::DeliveryLimit,
    ];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::UnknownPrice => "unknown_price",
            Self::UnknownPack => "unknown_pack",
            Self::UnknownMeter => "unknown_meter",
            Self::RetriesExhausted => "retries_exhausted",
            Self::DeliveryLimit => "delivery_limit",
        }
    }
}

/// Why an event was refused for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The word for it.
    pub reason: Permanent,
    /// What, where, and what to do; never the payload.
    pub detail: String,
}

impl Refusal {
    /// A refusal that nothing but what `detail` says can mend.
    pub fn new(reason: Permanent, detail: impl Into<String>) -> Self {
        Self {
            reason,
            detail: detail.into(),
        }
    }

    /// A payload that is not of the shape it should be.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(Permanent::Malformed, detail)
    }

    /// The same, with a detail that fits into a header and into a line: it may
    /// name ids from the event, and those may be of any length.
    #[must_use]
    pub fn brief(mut self) -> Self {
        const CHARS_MOST: usize = 1_000;
        if let Some((end, _)) = self.detail.char_indices().nth(CHARS_MOST) {
            self.detail.truncate(end);
            self.detail.push('…');
        }
        self
    }
}

/// What a failed transaction says about its cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The database is away, full, read-only or not set up: wait for it; no
    /// event is to blame, and none loses an attempt.
    Outage,
    /// Two transactions got into each other's way: do it again at once.
    Conflict,
    /// Anything else: perhaps one event's fault. Split the batch; a single one
    /// is retried later, a bounded number of times.
    Unclassified,
}

impl Fault {
    /// Sorts an error. The codes are PostgreSQL's (appendix A of its manual).
    #[must_use]
    pub fn of(error: &sqlx::Error) -> Self {
        let Some(database) = error.as_database_error() else {
            return match error {
                sqlx::Error::Io(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::Protocol(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::WorkerCrashed => Self::Outage,
                _ => Self::Unclassified,
            };
        };
        Self::of_code(database.code().as_deref().unwrap_or_default())
    }

    fn of_code(code: &str) -> Self {
        match code {
            // Serialization failure, deadlock.
            "40001" | "40P01" => Self::Conflict,
            // Shutdown, crash, starting up; a session or transaction that idled or ran
            // too long, whose connection is ended; a standby that takes no writes.
            "57P01" | "57P02" | "57P03" | "57P05" | "25P03" | "25P04" | "25006" => Self::Outage,
            _ => match code.get(..2) {
                // Connection, authorization, no such database, resources, system
                // errors; and missing tables or rights: a schema not migrated.
                Some("08" | "28" | "3D" | "3F" | "53" | "58" | "42") => Self::Outage,
                _ => Self::Unclassified,
            },
        }
    }
}

/// What to do with an event that failed once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Wait this long in a retry queue.
    After(Duration),
    /// No more retries.
    Exhausted,
}

/// The retry policy: the declared delays, one after the other.
#[must_use]
pub fn retry(failed_attempts_before: i64, delays: &[Duration]) -> Retry {
    let next = usize::try_from(failed_attempts_before).ok().and_then(|i| delays.get(i));
    next.map_or(Retry::Exhausted, |delay| Retry::After(*delay))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_never_the_events_fault() {
        for code in [
            "08006", "57P01", "57P03", "25P03", "25P04", "53300", "53100", "25006", "42P01", "42501", "28P01", "3D000",
            "58030",
        ] {
            assert_eq!(Fault::of_code(code), Fault::Outage, "{code}");
        }
        for code in ["40001", "40P01"] {
            assert_eq!(Fault::of_code(code), Fault::Conflict, "{code}");
        }
        for code in ["22003", "22P05", "23505", "23514", "55P03", "57014", "XX000", ""] {
            assert_eq!(Fault::of_code(code), Fault::Unclassified, "{code}");
        }
        assert_eq!(Fault::of(&sqlx::Error::PoolTimedOut), Fault::Outage);
        assert_eq!(Fault::of(&sqlx::Error::RowNotFound), Fault::Unclassified);
    }

    #[test]
    fn a_detail_of_any_length_fits_into_a_header() {
        let detail = |length: usize| {
            let refusal = Refusal::new(Permanent::UnknownPrice, "ü".repeat(length));
            refusal.brief().detail.chars().count()
        };
        assert_eq!((detail(0), detail(1_000), detail(300_000)), (0, 1_000, 1_001));
    }

    #[test]
    fn each_failure_waits_for_the_next_delay_until_none_is_left() {
        let delays = [Duration::from_secs(2), Duration::from_secs(10)];
        assert_eq!(retry(0, &delays), Retry::After(delays[0]));
        assert_eq!(retry(1, &delays), Retry::After(delays[1]));
        assert_eq!(retry(2, &delays), Retry::Exhausted);
        assert_eq!(retry(0, &[]), Retry::Exhausted);
        assert_eq!(retry(i64::MAX, &delays), Retry::Exhausted);
    }
}
