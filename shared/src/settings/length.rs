//! Lengths of time as text: `500ms`, `20s`, `5m`, `2h`, `35d`.

use std::time::Duration;

/// The longest length of time that most settings allow: 30 days.
pub const LENGTH_MAX: Duration = Duration::from_hours(720);

/// Reads `500ms`, `20s`, `5m`, `2h`, `3d`; more than zero, at most [`LENGTH_MAX`].
///
/// # Errors
/// With what is wrong and what to write instead.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    parse_up_to(text, LENGTH_MAX)
}

pub(super) fn parse_up_to(text: &str, max: Duration) -> Result<Duration, String> {
    let wrong = || {
        format!("'{text}' is not a length of time; write a whole number and a unit, such as 500ms, 20s, 5m, 2h or 3d")
    };
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let unit_ms: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    let length = number.checked_mul(unit_ms).map(Duration::from_millis);
    match length {
        Some(length) if !length.is_zero() && length <= max => Ok(length),
        _ => Err(out_of_range(text, max)),
    }
}

fn out_of_range(text: &str, max: Duration) -> String {
    format!("'{text}' is out of range; allowed is 1ms to {}", format_duration(max))
}

/// Writes a length of time as [`parse_duration`] reads it, in its largest whole
/// unit: 90,000 ms is `90s`, 120,000 ms is `2m`.
#[must_use]
pub fn format_duration(length: Duration) -> String {
    let ms = length.as_millis();
    match ms {
        _ if ms.is_multiple_of(86_400_000) => format!("{}d", ms / 86_400_000),
        _ if ms.is_multiple_of(3_600_000) => format!("{}h", ms / 3_600_000),
        _ if ms.is_multiple_of(60_000) => format!("{}m", ms / 60_000),
        _ if ms.is_multiple_of(1_000) => format!("{}s", ms / 1_000),
        _ => format!("{ms}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_and_write_in_their_largest_unit() {
        for (text, ms, written) in [
            ("500ms", 500, "500ms"),
            ("20s", 20_000, "20s"),
            ("90s", 90_000, "90s"),
            ("120s", 120_000, "2m"),
            ("2h", 7_200_000, "2h"),
            ("36h", 129_600_000, "36h"),
            ("48h", 172_800_000, "2d"),
        ] {
            let length = parse_duration(text).expect(text);
            assert_eq!(length, Duration::from_millis(ms));
            assert_eq!(format_duration(length), written);
        }
        for bad in [
            "",
            "5",
            "s",
            "-1s",
            "1.5s",
            "0s",
            "1w",
            "721h",
            "31d",
            "99999999999999999999s",
        ] {
            assert!(parse_duration(bad).is_err(), "{bad:?} must be refused");
        }
        assert_eq!(parse_duration("30d"), Ok(LENGTH_MAX));
    }
}
