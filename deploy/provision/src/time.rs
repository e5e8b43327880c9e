//! Times and durations in the operator's notation.

/// Formats seconds since 1970 as RFC 3339, in UTC.
#[must_use]
pub fn rfc3339(seconds: i64) -> String {
    shared::message::rfc3339(seconds.saturating_mul(1_000))
}

/// Parses a duration such as `32d`, `12h` or `90m`; returns seconds.
///
/// # Errors
/// A text that says which notation is right.
pub fn duration(text: &str) -> Result<i64, String> {
    let wrong = || "write a whole number above zero with d, h or m, such as 32d".to_owned();
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let seconds = match unit {
        "d" => 86_400,
        "h" => 3_600,
        "m" => 60,
        _ => return Err(wrong()),
    };
    let number: u32 = number.parse().map_err(|_| wrong())?;
    match i64::from(number) * seconds {
        0 => Err(wrong()),
        seconds => Ok(seconds),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_durations_are_formatted_and_parsed() {
        assert_eq!(rfc3339(1_801_439_999), "2027-01-31T23:59:59Z");
        assert_eq!(
            (duration("32d"), duration("12h"), duration("90m")),
            (Ok(2_764_800), Ok(43_200), Ok(5_400))
        );
        for bad in ["", "d", "32", "0d", "-1d", "1.5d", "32ü", "99999999999d"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
