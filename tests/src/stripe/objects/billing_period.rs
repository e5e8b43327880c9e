//! The length of a billing period.

use crate::fixtures::DAY;
use serde_json::Value;
use time::{Date, Duration, Month, OffsetDateTime};

/// The end of the period of `price` that starts at `start` (both Unix time).
pub(crate) fn period_end(price: &Value, start: i64) -> i64 {
    let count = price["recurring"]["interval_count"].as_i64().unwrap_or(1);
    let months = match price["recurring"]["interval"].as_str() {
        Some("day") => return start + count * DAY,
        Some("week") => return start + count * 7 * DAY,
        Some("year") => count * 12,
        _ => count,
    };
    let Ok(start) = OffsetDateTime::from_unix_timestamp(start) else {
        return start;
    };
    let month = i64::from(start.year()) * 12 + i64::from(u8::from(start.month())) - 1 + months;
    let (year, month) = (i32::try_from(month / 12), u8::try_from(month % 12 + 1));
    let first = year.ok().zip(month.ok().and_then(|month| Month::try_from(month).ok()));
    // A shorter month has no such day: its last day counts.
    let date = first.and_then(|(year, month)| {
        let day = start.day().min(month.length(year));
        Date::from_calendar_date(year, month, day).ok()
    });
    let end = date.map_or(start + Duration::days(30 * months), |date| start.replace_date(date));
    end.unix_timestamp()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_period_ends_on_the_same_day_or_the_last_of_a_shorter_month() {
        // 2026-01-31, 2026-02-28, 2027-01-31, 2026-02-01, 2026-02-07, at noon in UTC.
        let start = 1_769_860_800;
        for (interval, count, end) in [
            ("month", 1, 1_772_280_000),
            ("year", 1, 1_801_396_800),
            ("day", 1, 1_769_947_200),
            ("week", 1, 1_770_465_600),
        ] {
            let price = json!({"recurring": {"interval": interval, "interval_count": count}});
            assert_eq!(period_end(&price, start), end, "{interval}");
        }
    }
}
