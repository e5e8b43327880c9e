//! The limit of a period: what was sold in it, weighted by time.
//!
//! Example: a month of 30 days has 5M for 27 days and 15M for 3 days. Its limit is
//! (5M * 27 + 15M * 3) / 30 = 6M, from the change on. So an upgrade in the last hour
//! buys an hour's difference, not a month's.

use super::waterfall::UnitLimit;
use crate::domain::fact::{BillingInterval, IntervalUnit, Period, Seconds};
use time::{Date, Month, OffsetDateTime};

/// A change within this part of a period, its first hundredth, counts from its
/// beginning, so that corrections leave round numbers.
const CHANGES_FROM_BEGINNING: Seconds = 100;

/// A part of a period, and the limit in force in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitPart {
    /// Units per period; `None` is unlimited.
    pub limit: UnitLimit,
    /// The length of the part.
    pub seconds: Seconds,
}

/// The limit of one meter in one period, as known at a moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PeriodLimit {
    /// The units that may be used; `None` is unlimited.
    pub limit: UnitLimit,
    /// The units of which the unused ones roll over. They equal `limit` in a period
    /// that was paid, unless the meter is not prorated.
    pub allowance: UnitLimit,
    /// The parts from which the allowance comes about, in order of time.
    pub parts: Vec<LimitPart>,
    /// The seconds that the parts are weighted by.
    pub seconds: Seconds,
}

/// The limit weighted by time, rounded down: Σ limit × seconds ÷ `seconds`. It is
/// unlimited if any part is.
#[must_use]
pub fn weighted(parts: &[LimitPart], seconds: Seconds) -> UnitLimit {
    let mut sum: i128 = 0;
    for part in parts.iter().filter(|p| p.seconds > 0) {
        sum += i128::from(part.limit?) * i128::from(part.seconds);
    }
    let units = sum / i128::from(seconds.max(1));
    Some(i64::try_from(units).unwrap_or(i64::MAX))
}

/// When a change within a period counts: at its own time, or from the beginning of
/// the period if it lies in the first hundredth.
#[must_use]
pub fn counts_from(at: Seconds, period: Period) -> Seconds {
    let length = i128::from(period.end) - i128::from(period.start);
    let after = i128::from(at) - i128::from(period.start);
    if after * i128::from(CHANGES_FROM_BEGINNING) <= length {
        period.start
    } else {
        at
    }
}

/// The seconds of a period by which limits are weighted: its own length. A first period may be
/// shorter than its price's interval, because a fixed day of billing ends it. If it is
/// shorter by more than a tenth, the interval's length counts.
#[must_use]
pub fn seconds_of(period: Period, interval: Option<BillingInterval>, is_first: bool) -> Seconds {
    let own = period.end - period.start;
    let sold = interval.filter(|_| is_first).and_then(|i| begin_of(i, period.end));
    match sold.map(|begin| period.end - begin) {
        Some(sold) if i128::from(own) * 10 < i128::from(sold) * 9 => sold,
        _ => own,
    }
}

/// When an interval begins that ends at `end`, by the calendar in UTC. The day of the
/// month stays, or is the month's last one.
fn begin_of(interval: BillingInterval, end: Seconds) -> Option<Seconds> {
    let count = interval.count;
    let day = |days: i64| end.checked_sub(count.checked_mul(days * 86_400)?);
    match interval.unit {
        IntervalUnit::Day => day(1),
        IntervalUnit::Week => day(7),
        IntervalUnit::Month => months_before(end, count),
        IntervalUnit::Year => months_before(end, count.checked_mul(12)?),
    }
}

fn months_before(end: Seconds, months: i64) -> Option<Seconds> {
    let end = OffsetDateTime::from_unix_timestamp(end).ok()?;
    let month = i64::from(end.year()) * 12 + i64::from(u8::from(end.month())) - 1;
    let month = month.checked_sub(months)?;
    let year = i32::try_from(month.div_euclid(12)).ok()?;
    let month = Month::try_from(u8::try_from(month.rem_euclid(12) + 1).ok()?).ok()?;
    let day = end.day().min(month.length(year));
    let begin = Date::from_calendar_date(year, month, day).ok()?;
    Some(begin.with_time(end.time()).assume_utc().unix_timestamp())
}

#[cfg(test)]
#[path = "period_limit_tests.rs"]
mod tests;
