//! Times and filters in words.

use crate::store::dead_letter_queries::DeadLetterFilter;
use shared::message::rfc3339;
use time::OffsetDateTime;

/// A time in RFC 3339, to the second.
#[must_use]
pub(super) fn rfc3339_seconds(at: OffsetDateTime) -> String {
    rfc3339(at.unix_timestamp().saturating_mul(1_000))
}

impl DeadLetterFilter {
    /// In words. `all` if it has no condition.
    #[must_use]
    pub fn words(&self) -> String {
        let time = |at: Option<OffsetDateTime>| at.map(rfc3339_seconds);
        let parts = [
            ("type", self.kind.clone()),
            ("reason", self.reason.clone()),
            ("customer", self.customer.clone()),
            ("before", time(self.before)),
            ("since", time(self.since)),
            ("limit", self.limit.map(|n| n.to_string())),
        ];
        let words: Vec<String> = parts
            .into_iter()
            .filter_map(|(name, value)| Some(format!("{name}={}", value?)))
            .collect();
        if words.is_empty() {
            "all".to_owned()
        } else {
            words.join(" ")
        }
    }
}
