//! The three fields of an event that ingest reads. All else is the worker's
//! business: any API version, any type, also thin events.

use serde::{Deserialize, Deserializer, de};
use std::{borrow::Cow, fmt};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// `message_id` of AMQP is a short string.
const ID_BYTES_MOST: usize = 255;

/// An event's head, borrowed from its body where it can be.
#[derive(Debug, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// Its id: not empty, at most 255 bytes, no control characters.
    pub id: Cow<'a, str>,
    /// Its type: not empty.
    pub kind: Cow<'a, str>,
}

/// Why a body is not an event. Says nothing of its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAnEvent {
    /// Not UTF-8, not JSON, or more than one value.
    #[error("the body is not JSON")]
    NotJson,
    /// JSON, but not an object with the fields of an event.
    #[error("the body is not an event: an object with id, type and created")]
    Fields,
    /// An id that is empty, too long, or holds control characters.
    #[error("the event's id is not usable")]
    Id,
    /// An empty type.
    #[error("the event's type is empty")]
    Type,
}

impl<'a> Envelope<'a> {
    /// Reads the head of `body`.
    pub fn read(body: &'a [u8]) -> Result<Self, NotAnEvent> {
        #[derive(Deserialize)]
        struct Fields<'a> {
            #[serde(borrow)]
            id: Cow<'a, str>,
            #[serde(borrow, rename = "type")]
            kind: Cow<'a, str>,
            #[serde(rename = "created")]
            _created: Created,
        }
        // The whole body: serde_json does not look at the bytes of strings that it skips.
        let text = std::str::from_utf8(body).map_err(|_| NotAnEvent::NotJson)?;
        // A struct would also be read from an array of its fields.
        if !text.trim_ascii_start().starts_with('{') {
            let json = serde_json::from_str::<de::IgnoredAny>(text).is_ok();
            return Err(if json { NotAnEvent::Fields } else { NotAnEvent::NotJson });
        }
        let Fields { id, kind, .. } = serde_json::from_str(text).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => NotAnEvent::Fields,
            _ => NotAnEvent::NotJson,
        })?;
        if id.is_empty() || id.len() > ID_BYTES_MOST || id.contains(char::is_control) {
            return Err(NotAnEvent::Id);
        }
        if kind.is_empty() {
            return Err(NotAnEvent::Type);
        }
        Ok(Self { id, kind })
    }
}

/// When the event was made: Unix time, or RFC 3339 in thin events. Only checked.
struct Created;

impl<'de> Deserialize<'de> for Created {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CreatedVisitor)
    }
}

struct CreatedVisitor;

impl de::Visitor<'_> for CreatedVisitor {
    type Value = Created;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unix time in seconds or an RFC 3339 time")
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Created, E> {
        Ok(Created)
    }

    fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Created, E> {
        i64::try_from(seconds).map_err(E::custom)?;
        Ok(Created)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Created, E> {
        OffsetDateTime::parse(text, &Rfc3339).map_err(E::custom)?;
        Ok(Created)
    }
}
