//! A time as people read it.

use super::fact::Seconds;
use serde::{Serialize, Serializer};
use std::fmt;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// A time in seconds since 1970. It is written as RFC 3339 in UTC:
/// `Moment(1_700_000_000)` is `2023-11-14T22:13:20Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub Seconds);

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = OffsetDateTime::from_unix_timestamp(self.0).ok();
        match time.and_then(|t| t.format(&Rfc3339).ok()) {
            Some(text) => f.pad(&text),
            // RFC 3339 has no years of more than four digits.
            None => f.pad(&format!("{} s after 1970", self.0)),
        }
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
