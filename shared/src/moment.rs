//! Times as people write them on a command line.

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Reads a time, in RFC 3339 or in seconds since 1970. Returns seconds since 1970.
///
/// # Errors
/// If the text is neither; the error says what to write.
pub fn moment(text: &str) -> Result<i64, String> {
    let seconds = text.parse::<i64>().ok();
    let time = seconds.map_or_else(
        || OffsetDateTime::parse(text, &Rfc3339).ok(),
        |s| OffsetDateTime::from_unix_timestamp(s).ok(),
    );
    time.map(OffsetDateTime::unix_timestamp)
        .ok_or_else(|| "write RFC 3339, such as 2026-11-23T15:00:00Z, or seconds since 1970".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_rfc_3339_or_seconds() {
        for (text, expected) in [
            ("2026-11-23T15:00:00Z", Some(1_795_446_000)),
            ("2026-11-23T16:00:00.9+01:00", Some(1_795_446_000)),
            ("1795446000", Some(1_795_446_000)),
            ("-1", Some(-1)),
            ("2026-11-23", None),
            ("now", None),
            ("", None),
            ("9999999999999999999", None),
            ("999999999999999", None),
        ] {
            assert_eq!(moment(text).ok(), expected, "{text}");
        }
    }
}
