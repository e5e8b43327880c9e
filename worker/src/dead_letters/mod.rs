//! Dead letters, for operators. Looking reads the record in PostgreSQL and
//! touches no queue; only replay and discard move messages, and what they do is
//! on record before they do it.

pub mod discard;
pub mod list;
pub mod redact;
pub mod rehearse;
pub mod replay;
pub mod show;
mod take;

use crate::store::{
    self,
    action::{self, Deed, Intent, Operator},
    dead_letter_queries::{DeadLetter, DeadLetterFilter},
};
use shared::{
    broker::{Broker, BrokerError},
    message::rfc3339,
    publisher::{PublishError, Publisher},
    topology::Topology,
};
use sqlx::{PgConnection, PgPool};
use std::collections::{BTreeSet, HashMap};
use time::OffsetDateTime;

/// What dead letters are moved with.
#[derive(Debug, Clone)]
pub struct Tools {
    /// Their record.
    pub pool: PgPool,
    /// Where their queue is.
    pub broker: Broker,
    /// Its name.
    pub topology: Topology,
    /// What puts them back to work.
    pub publisher: Publisher,
}

/// Which dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// These.
    Ids(Vec<String>),
    /// All open ones that the filter lets through.
    Matching(DeadLetterFilter),
    /// Those that the filter let through when somebody looked, as far as they are open.
    Seen(DeadLetterFilter, Vec<String>),
}

/// Why dead letters were not moved, or not all of them.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// Some are not there to be moved; nothing was done.
    #[error("{}\nNothing was done; `worker dead-letters list` shows what is open", .0.join("\n"))]
    NotOpen(Vec<String>),
    /// Somebody else moves some; nothing was done.
    #[error("another replay or discard is under way; wait for its end, then do it again (nothing was done)")]
    Busy,
    /// PostgreSQL.
    #[error("the database failed: {0}; what was not moved yet is where it was, so do it again")]
    Database(#[from] sqlx::Error),
    /// RabbitMQ, while messages were taken out of their queue.
    #[error("RabbitMQ failed: {0}; what was not moved yet is where it was, so do it again")]
    Broker(#[from] BrokerError),
    /// RabbitMQ did not take a message.
    #[error("{done} of {wanted} were put back to work, then: {error}; the others are where they were, so do it again")]
    Publish {
        /// Put back to work until then.
        done: usize,
        /// Selected.
        wanted: usize,
        /// What went wrong.
        error: PublishError,
    },
}

impl From<lapin::Error> for MoveError {
    fn from(error: lapin::Error) -> Self {
        Self::Broker(error.into())
    }
}

impl Selection {
    /// In words, for the record.
    #[must_use]
    pub fn words(&self) -> String {
        const IDS_MOST: usize = 20;
        match self {
            Self::Ids(ids) if ids.len() > IDS_MOST => {
                format!("{} and {} more", ids[..IDS_MOST].join(" "), ids.len() - IDS_MOST)
            }
            Self::Ids(ids) => ids.join(" "),
            Self::Matching(filter) | Self::Seen(filter, _) => filter.words(),
        }
    }

    /// The ids of the open dead letters that are meant, oldest first.
    ///
    /// # Errors
    /// Names the given ids that no open dead letter has.
    pub async fn open(&self, connection: &mut PgConnection) -> Result<Vec<String>, MoveError> {
        let ids = match self {
            Self::Matching(filter) => return Ok(store::dead_letter_queries::ids(connection, filter).await?),
            Self::Ids(ids) | Self::Seen(_, ids) => ids,
        };
        let mut letters = store::dead_letter_queries::letters(connection, ids).await?;
        if matches!(self, Self::Seen(..)) {
            letters.retain(|l| l.resolved_at.is_none());
            return Ok(in_order(letters));
        }
        let known: HashMap<&str, &DeadLetter> = letters.iter().map(|l| (l.id.as_str(), l)).collect();
        let wanted: BTreeSet<&str> = ids.iter().map(String::as_str).collect();
        let problem = |id: &&str| match known.get(id) {
            None => Some(format!("{id}: no dead letter has this id")),
            Some(letter) => {
                let (how, at) = letter.resolution.as_ref().zip(letter.resolved_at)?;
                Some(format!("{id}: is no dead letter any more: {how} at {}", at_second(at)))
            }
        };
        let problems: Vec<String> = wanted.iter().filter_map(problem).collect();
        if !problems.is_empty() {
            return Err(MoveError::NotOpen(problems));
        }
        Ok(in_order(letters))
    }
}

fn in_order(mut letters: Vec<DeadLetter>) -> Vec<String> {
    letters.sort_by(|a, b| (a.first_failed, &a.id).cmp(&(b.first_failed, &b.id)));
    letters.into_iter().map(|l| l.id).collect()
}

impl DeadLetterFilter {
    /// In words; `all` if it lets everything through.
    #[must_use]
    pub fn words(&self) -> String {
        let time = |at: Option<OffsetDateTime>| at.map(at_second);
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

/// A time to the second, RFC 3339.
#[must_use]
pub fn at_second(at: OffsetDateTime) -> String {
    rfc3339(at.unix_timestamp().saturating_mul(1_000))
}

/// The right to move messages out of the dead-letter queue, which one has at a
/// time: a message that another one holds would look like a lost one. It ends
/// with its session, also if the process is killed.
struct Turn(PgConnection);

impl Turn {
    async fn take(tools: &Tools) -> Result<Self, MoveError> {
        // Out of the pool: the session has to end with the turn.
        let mut session = tools.pool.acquire().await?.detach();
        if !action::take_turn(&mut session).await? {
            return Err(MoveError::Busy);
        }
        action::end_cut_off(&mut session).await?;
        Ok(Self(session))
    }

    /// Puts an action on record.
    async fn begin(
        &mut self,
        operator: &Operator,
        deed: Deed,
        selection: &Selection,
        why: Option<&str>,
        letters: usize,
    ) -> Result<i64, sqlx::Error> {
        let selection = selection.words();
        let intent = Intent {
            operator,
            deed,
            selection: &selection,
            why,
            letters,
        };
        action::begin_action(&mut self.0, &intent).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
