//! Kinds of failure. Permanent: the event becomes a dead letter at once. Retryable: the event
//! is tried again later. Database outage: no event is the cause.

use std::time::Duration;

/// Why a message becomes a dead letter. A closed list. The reason is in `billing.events`,
/// and in a header of the dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permanent {
    /// It is not an event, or does not have the shape of Stripe's events.
    Malformed,
    /// The catalog does not have its price.
    UnknownPrice,
    /// The catalog does not have its pack.
    UnknownPack,
    /// The catalog does not have its meter.
    UnknownMeter,
    /// Every retry failed.
    RetriesExhausted,
    /// The broker moved it from the work queue to the over-limit queue.
    DeliveryLimit,
}

impl Permanent {
    /// All reasons.
    pub const ALL: [Self; 6] = [
        Self::Malformed,
        Self::UnknownPrice,
        Self::UnknownPack,
        Self::UnknownMeter,
        Self::RetriesExhausted,
        Self::DeliveryLimit,
    ];

    /// Its word in the database, headers, metrics and logs.
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

/// Why an event is refused. Such an event becomes a dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The reason.
    pub reason: Permanent,
    /// What is wrong, where, and what to do. Never the payload.
    pub detail: String,
}

impl Refusal {
    /// A refusal. `detail` must say how an operator can fix it.
    pub fn new(reason: Permanent, detail: impl Into<String>) -> Self {
        Self {
            reason,
            detail: detail.into(),
        }
    }

    /// A refusal of a payload with a wrong shape.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(Permanent::Malformed, detail)
    }

    /// The same refusal with a detail of 1,000 characters at most, so that it fits into a
    /// header and a log line. A detail may have ids from the event, of any length.
    #[must_use]
    pub fn brief(mut self) -> Self {
        const DETAIL_CHARS_MAX: usize = 1_000;
        if let Some((end, _)) = self.detail.char_indices().nth(DETAIL_CHARS_MAX) {
            self.detail.truncate(end);
            self.detail.push('…');
        }
        self
    }
}

/// The cause of a failed transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatabaseFault {
    /// The database is not reachable, full, read-only or not migrated. Wait for it. No event
    /// is the cause, and no attempt is counted.
    Outage,
    /// Two transactions conflict. Repeat this one at once.
    Conflict,
    /// Any other error; one event may be the cause. Split the batch. A single event is
    /// retried later, a limited number of times.
    Unclassified,
}

impl DatabaseFault {
    /// Finds the cause of an error (PostgreSQL's manual, appendix A, "PostgreSQL Error Codes").
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
            // The server shuts down, crashed or starts; a session or a transaction was idle or ran
            // for too long, so its connection was closed; a standby accepts no writes.
            "57P01" | "57P02" | "57P03" | "57P05" | "25P03" | "25P04" | "25006" => Self::Outage,
            _ => match code.get(..2) {
                // Errors of connection, authorization, database name, schema name, resources and
                // system; and missing tables or rights, because the schema is not migrated.
                Some("08" | "28" | "3D" | "3F" | "53" | "58" | "42") => Self::Outage,
                _ => Self::Unclassified,
            },
        }
    }
}

/// The next step for an event that failed once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Wait for this long in a retry queue.
    After(Duration),
    /// No retry is left.
    Exhausted,
}

/// The retry policy: each of `delays` once, in order.
#[must_use]
pub fn retry(failed_attempts_before: i64, delays: &[Duration]) -> Retry {
    let next = usize::try_from(failed_attempts_before).ok().and_then(|i| delays.get(i));
    next.map_or(Retry::Exhausted, |delay| Retry::After(*delay))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_never_the_fault_of_an_event() {
        for code in [
            "08006", "57P01", "57P03", "25P03", "25P04", "53300", "53100", "25006", "42P01", "42501", "28P01", "3D000",
            "58030",
        ] {
            assert_eq!(DatabaseFault::of_code(code), DatabaseFault::Outage, "{code}");
        }
        for code in ["40001", "40P01"] {
            assert_eq!(DatabaseFault::of_code(code), DatabaseFault::Conflict, "{code}");
        }
        for code in ["22003", "22P05", "23505", "23514", "55P03", "57014", "XX000", ""] {
            assert_eq!(DatabaseFault::of_code(code), DatabaseFault::Unclassified, "{code}");
        }
        assert_eq!(DatabaseFault::of(&sqlx::Error::PoolTimedOut), DatabaseFault::Outage);
        assert_eq!(
            DatabaseFault::of(&sqlx::Error::RowNotFound),
            DatabaseFault::Unclassified
        );
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
