//! The message that travels from ingest to worker. Its body is the raw event. Its
//! headers say where and when it came, and how often it failed.

use crate::trace::{MessageHeaders, MessageHeadersMut, TraceContext};
use lapin::{
    BasicProperties,
    types::{AMQPValue, FieldTable, LongString},
};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Most bytes of an id, a type or another name from outside. A message's properties are short
/// strings of at most so many bytes (AMQP 0-9-1, "shortstr"), and each of these becomes one.
pub const NAME_BYTES_MAX: usize = 255;
/// Header: where the message came from, as [`Source::as_str`] writes it.
pub const SOURCE: &str = "tollbridge-source";
/// Header: when ingest received it, in milliseconds since 1970.
pub const RECEIVED_AT_MS: &str = "tollbridge-received-at-ms";
/// Header: the number of tries that have failed.
pub const ATTEMPTS: &str = "tollbridge-attempts";
/// Header: when the first try failed, in milliseconds since 1970.
pub const FIRST_FAILED_AT_MS: &str = "tollbridge-first-failed-at-ms";
/// Header: the message was a dead letter, and an operator put it back on the work queue.
pub const REPLAYED: &str = "tollbridge-replayed";
/// Header of a dead letter: the reason, one word of a closed list.
pub const REASON: &str = "tollbridge-reason";
/// Header of a dead letter: what is wrong, and what an operator can do.
pub const DETAIL: &str = "tollbridge-detail";
/// Header of a dead letter: when the first try failed, RFC 3339.
pub const FIRST_FAILED: &str = "tollbridge-first-failed";
/// Header of a dead letter: when the last try failed, RFC 3339.
pub const LAST_FAILED: &str = "tollbridge-last-failed";
/// Header of a dead letter: the event's id, or a hash of the body.
pub const EVENT_ID: &str = "tollbridge-event-id";
/// Header of a dead letter: the event's type, if it has one.
pub const EVENT_TYPE: &str = "tollbridge-event-type";

/// The last millisecond of the year 9999.
const TIME_MS_MAX: i64 = 253_402_300_799_999;

/// Where a message came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A webhook whose signature ingest has verified.
    Webhook,
    /// A usage report from an application that has ingest's token.
    Usage,
    /// An event that a worker or `provision` fetched from Stripe's API.
    Backfill,
    /// The state of a subscription that a worker read from Stripe's API. It is no event.
    Snapshot,
    /// Another program with access to the work queue, such as RabbitMQ's own tools.
    Direct,
}

impl Source {
    const ALL: [Self; 5] = [Self::Webhook, Self::Usage, Self::Backfill, Self::Snapshot, Self::Direct];

    /// The name in the header.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Usage => "usage",
            Self::Backfill => "backfill",
            Self::Snapshot => "snapshot",
            Self::Direct => "direct",
        }
    }

    /// The source with this name.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|source| source.as_str() == word)
    }
}

/// The headers of a message. A message that was published by hand has none of them, and
/// is processed like any other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta {
    /// Where it came from.
    pub source: Source,
    /// When ingest received it, in milliseconds since 1970, if known.
    pub received_at_ms: Option<i64>,
    /// The number of tries that have failed.
    pub attempts: i64,
    /// When the first try failed, in milliseconds since 1970.
    pub first_failed_at_ms: Option<i64>,
    /// It was a dead letter, and an operator put it back. Its attempts start at 0 again.
    /// If it is refused again, it returns to the dead-letter queue.
    pub replayed: bool,
    /// Its place in a trace.
    pub trace: Option<TraceContext>,
}

impl Meta {
    /// A webhook that ingest has just verified.
    #[must_use]
    pub fn received(received_at_ms: i64) -> Self {
        Self::new(Source::Webhook, received_at_ms)
    }

    /// A usage report that ingest has just read.
    #[must_use]
    pub fn usage(received_at_ms: i64) -> Self {
        Self::new(Source::Usage, received_at_ms)
    }

    /// A message of this source that was received at this time and not tried yet.
    #[must_use]
    pub fn new(source: Source, received_at_ms: i64) -> Self {
        Self {
            source,
            received_at_ms: Some(received_at_ms),
            attempts: 0,
            first_failed_at_ms: None,
            replayed: false,
            trace: None,
        }
    }

    /// Reads the headers. A header of another AMQP type counts as absent. So does a time
    /// that PostgreSQL or RFC 3339 cannot write.
    #[must_use]
    pub fn read(properties: &BasicProperties) -> Self {
        let headers = properties.headers().as_ref();
        let number = |name: &str| headers.and_then(|h| h.inner().get(name)).and_then(whole_number);
        let time = |name: &str| number(name).filter(|ms| (0..=TIME_MS_MAX).contains(ms));
        let word = |name: &str| match headers.and_then(|h| h.inner().get(name)) {
            Some(AMQPValue::LongString(word)) => std::str::from_utf8(word.as_bytes()).ok(),
            _ => None,
        };
        let source = word(SOURCE).and_then(Source::named);
        let has = |name: &str| headers.is_some_and(|h| h.inner().contains_key(name));
        // A dead letter that was put back on the work queue by hand.
        let is_dead_letter = has(REASON);
        let (attempts, first_failed_at_ms) = if is_dead_letter {
            (0, None)
        } else {
            (number(ATTEMPTS).unwrap_or(0).max(0), time(FIRST_FAILED_AT_MS))
        };
        Self {
            source: source.unwrap_or(Source::Direct),
            received_at_ms: time(RECEIVED_AT_MS),
            attempts,
            first_failed_at_ms,
            replayed: is_dead_letter || has(REPLAYED),
            trace: headers.and_then(|headers| TraceContext::extract(&MessageHeaders(headers))),
        }
    }

    /// The same message at this place of a trace.
    #[must_use]
    pub fn traced(self, trace: TraceContext) -> Self {
        Self {
            trace: Some(trace),
            ..self
        }
    }

    /// The same message after one more failed try.
    #[must_use]
    pub fn failed_at(self, now_ms: i64) -> Self {
        Self {
            attempts: self.attempts.saturating_add(1),
            first_failed_at_ms: self.first_failed_at_ms.or(Some(now_ms)),
            ..self
        }
    }

    /// Writes the headers.
    #[must_use]
    pub fn headers(self) -> FieldTable {
        let mut headers = FieldTable::default();
        headers.insert(SOURCE.into(), text(self.source.as_str()));
        headers.insert(ATTEMPTS.into(), AMQPValue::LongLongInt(self.attempts));
        if let Some(ms) = self.received_at_ms {
            headers.insert(RECEIVED_AT_MS.into(), AMQPValue::LongLongInt(ms));
        }
        if self.replayed {
            headers.insert(REPLAYED.into(), AMQPValue::Boolean(true));
        }
        if let Some(trace) = self.trace {
            trace.inject(&mut MessageHeadersMut(&mut headers));
        }
        if let Some(ms) = self.first_failed_at_ms {
            headers.insert(FIRST_FAILED_AT_MS.into(), AMQPValue::LongLongInt(ms));
        }
        headers
    }
}

/// Properties of a persistent message about the event `id` of type `kind`. Properties
/// are short strings of at most [`NAME_BYTES_MAX`] bytes. A longer value is
/// left out, because the body has it.
#[must_use]
pub fn properties(id: &str, kind: &str, headers: FieldTable) -> BasicProperties {
    const PERSISTENT: u8 = 2;
    let mut properties = BasicProperties::default()
        .with_delivery_mode(PERSISTENT)
        .with_content_type("application/json".into())
        .with_headers(headers);
    if id.len() <= NAME_BYTES_MAX {
        properties = properties.with_message_id(id.into());
    }
    if kind.len() <= NAME_BYTES_MAX {
        properties = properties.with_type(kind.into());
    }
    properties
}

/// A text as the value of a header.
#[must_use]
pub fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(LongString::from(value.to_owned()))
}

/// Milliseconds since 1970 as an RFC 3339 time; the number itself if that cannot be written.
#[must_use]
pub fn rfc3339(ms: i64) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000)
        .ok()
        .and_then(|t| t.format(&Rfc3339).ok())
        .unwrap_or_else(|| ms.to_string())
}

/// Now, in milliseconds since 1970.
#[must_use]
pub fn now_ms() -> i64 {
    i64::try_from(OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)
}

fn whole_number(value: &AMQPValue) -> Option<i64> {
    match value {
        AMQPValue::ShortShortInt(n) => Some(i64::from(*n)),
        AMQPValue::ShortShortUInt(n) => Some(i64::from(*n)),
        AMQPValue::ShortInt(n) => Some(i64::from(*n)),
        AMQPValue::ShortUInt(n) => Some(i64::from(*n)),
        AMQPValue::LongInt(n) => Some(i64::from(*n)),
        AMQPValue::LongUInt(n) => Some(i64::from(*n)),
        AMQPValue::LongLongInt(n) => Some(*n),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_back_as_they_were_written() {
        let meta = Meta::received(1_700_000_000_123)
            .failed_at(1_700_000_001_000)
            .failed_at(1_700_000_009_000);
        let read = Meta::read(&properties("evt_1", "invoice.paid", meta.headers()));
        assert_eq!(read, meta);
        assert_eq!((read.attempts, read.first_failed_at_ms), (2, Some(1_700_000_001_000)));
    }

    #[test]
    fn a_message_names_its_source_and_an_unknown_name_counts_as_direct() {
        for meta in [Meta::received(1), Meta::usage(1)] {
            assert_eq!(Meta::read(&properties("evt_1", "t", meta.headers())), meta);
        }
        let mut headers = Meta::usage(1).headers();
        for odd in [text("Usage"), text(""), AMQPValue::Boolean(true)] {
            headers.insert(SOURCE.into(), odd);
            let read = Meta::read(&properties("evt_1", "t", headers.clone()));
            assert_eq!(read.source, Source::Direct);
        }
    }

    #[test]
    fn a_dead_letter_that_is_put_back_has_no_attempts_and_is_marked_as_replayed() {
        let mut headers = Meta::received(1_700_000_000_123).failed_at(1_700_000_001_000).headers();
        headers.insert(REASON.into(), text("malformed"));
        let back = Meta::read(&properties("evt_1", "t", headers));
        assert_eq!((back.attempts, back.first_failed_at_ms, back.replayed), (0, None, true));
        let retried = Meta::read(&properties("evt_1", "t", back.failed_at(1_700_000_009_000).headers()));
        assert_eq!((retried.attempts, retried.replayed), (1, true));
    }

    #[test]
    fn a_message_published_by_hand_has_no_history() {
        let meta = Meta::read(&BasicProperties::default());
        assert_eq!(
            meta,
            Meta {
                source: Source::Direct,
                received_at_ms: None,
                attempts: 0,
                first_failed_at_ms: None,
                replayed: false,
                trace: None,
            }
        );
    }

    #[test]
    fn a_time_that_cannot_be_written_counts_as_absent() {
        for (ms, read) in [
            (-1, None),
            (0, Some(0)),
            (TIME_MS_MAX, Some(TIME_MS_MAX)),
            (i64::MAX, None),
        ] {
            let meta = Meta::read(&properties("evt_1", "t", Meta::received(ms).headers()));
            assert_eq!(meta.received_at_ms, read, "{ms}");
        }
    }

    #[test]
    fn a_value_too_long_for_a_property_is_left_out() {
        let long = "x".repeat(256);
        let properties = properties(&long, "t", FieldTable::default());
        assert_eq!(
            (
                properties.message_id(),
                properties.kind().as_ref().map(ToString::to_string)
            ),
            (&None, Some("t".to_owned()))
        );
    }
}
