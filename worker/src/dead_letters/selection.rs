//! Which dead letters an action is about.

use super::{error::MoveError, words::rfc3339_seconds};
use crate::store::dead_letter_queries::{self, DeadLetter, DeadLetterFilter};
use sqlx::PgConnection;
use std::collections::{BTreeSet, HashMap};

/// Which dead letters an action is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// The dead letters with these ids.
    Ids(Vec<String>),
    /// All open dead letters that match the filter.
    Matching(DeadLetterFilter),
    /// The dead letters that matched the filter when an operator looked, as far as
    /// they are still open.
    Seen(DeadLetterFilter, Vec<String>),
}

impl Selection {
    /// In words, for the record.
    #[must_use]
    pub fn words(&self) -> String {
        const IDS_MAX: usize = 20;
        match self {
            Self::Ids(ids) if ids.len() > IDS_MAX => {
                format!("{} and {} more", ids[..IDS_MAX].join(" "), ids.len() - IDS_MAX)
            }
            Self::Ids(ids) => ids.join(" "),
            Self::Matching(filter) | Self::Seen(filter, _) => filter.words(),
        }
    }

    /// The ids of the selected open dead letters, oldest first.
    ///
    /// # Errors
    /// [`MoveError::NotOpen`] names each given id without an open dead letter.
    pub async fn open_ids(&self, connection: &mut PgConnection) -> Result<Vec<String>, MoveError> {
        let ids = match self {
            Self::Matching(filter) => return Ok(dead_letter_queries::ids(connection, filter).await?),
            Self::Ids(ids) | Self::Seen(_, ids) => ids,
        };
        let mut found = dead_letter_queries::by_ids(connection, ids).await?;
        if matches!(self, Self::Seen(..)) {
            found.retain(|dead_letter| dead_letter.resolved_at.is_none());
            return Ok(oldest_first(found));
        }
        let by_id: HashMap<&str, &DeadLetter> = found.iter().map(|d| (d.id.as_str(), d)).collect();
        let wanted: BTreeSet<&str> = ids.iter().map(String::as_str).collect();
        let problem = |id: &&str| match by_id.get(id) {
            None => Some(format!("{id}: no dead letter has this id")),
            Some(dead_letter) => {
                let (resolution, at) = dead_letter.resolution.as_ref().zip(dead_letter.resolved_at)?;
                let at = rfc3339_seconds(at);
                Some(format!("{id}: is no dead letter any more: {resolution} at {at}"))
            }
        };
        let problems: Vec<String> = wanted.iter().filter_map(problem).collect();
        if !problems.is_empty() {
            return Err(MoveError::NotOpen(problems));
        }
        Ok(oldest_first(found))
    }
}

fn oldest_first(mut found: Vec<DeadLetter>) -> Vec<String> {
    found.sort_by(|a, b| (a.first_failed, &a.id).cmp(&(b.first_failed, &b.id)));
    found.into_iter().map(|dead_letter| dead_letter.id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::OffsetDateTime;

    #[test]
    fn a_selection_is_on_record_in_words() {
        let ids = |n: usize| Selection::Ids((0..n).map(|i| format!("evt_{i}")).collect());
        assert_eq!(ids(2).words(), "evt_0 evt_1");
        assert!(ids(22).words().ends_with("evt_19 and 2 more"));
        assert_eq!(Selection::Matching(DeadLetterFilter::default()).words(), "all");
        let filter = DeadLetterFilter {
            reason: Some("unknown_price".to_owned()),
            before: Some(OffsetDateTime::UNIX_EPOCH),
            ..DeadLetterFilter::default()
        };
        assert_eq!(filter.words(), "reason=unknown_price before=1970-01-01T00:00:00Z");
    }
}
