//! Reads id, type and creation time of a Stripe event. It reads nothing else, so that any API
//! version and any type passes, also thin events (Stripe's page "Event destinations"). The
//! worker reads the rest.

use serde::{Deserialize, Deserializer, de};
use shared::message::NAME_BYTES_MAX;
use std::{borrow::Cow, fmt};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// The id and type of an event, borrowed from its body where possible.
#[derive(Debug, PartialEq, Eq)]
pub struct EventHead<'a> {
    /// The id, such as `evt_…`: 1 to [`NAME_BYTES_MAX`] bytes without control characters.
    pub id: Cow<'a, str>,
    /// The type, such as `invoice.paid`; not empty.
    pub kind: Cow<'a, str>,
}

/// Why a body is not an event. The texts repeat nothing of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAnEvent {
    /// It is not UTF-8, not JSON, or more than one JSON value.
    #[error("the body is not JSON")]
    NotJson,
    /// It is JSON, but not an object with the fields of an event.
    #[error("the body is not an event: an object with id, type and created")]
    Fields,
    /// The id is empty, too long, or has control characters.
    #[error("the event's id must be 1 to {NAME_BYTES_MAX} bytes without control characters")]
    Id,
    /// The type is empty.
    #[error("the event's type is empty")]
    Type,
}

impl<'a> EventHead<'a> {
    /// Reads the head of an event from its JSON text.
    ///
    /// # Errors
    /// If `body` is not an event.
    pub fn read(body: &'a [u8]) -> Result<Self, NotAnEvent> {
        #[derive(Deserialize)]
        struct HeadFields<'a> {
            #[serde(borrow)]
            id: Cow<'a, str>,
            #[serde(borrow, rename = "type")]
            kind: Cow<'a, str>,
            #[serde(rename = "created")]
            _created: Created,
        }
        // Check the whole body: serde_json does not check the bytes of strings that it skips.
        let text = std::str::from_utf8(body).map_err(|_| NotAnEvent::NotJson)?;
        // serde would also read a struct from an array of its fields.
        if !text.trim_ascii_start().starts_with('{') {
            let is_json = serde_json::from_str::<de::IgnoredAny>(text).is_ok();
            return Err(if is_json {
                NotAnEvent::Fields
            } else {
                NotAnEvent::NotJson
            });
        }
        let HeadFields { id, kind, .. } = serde_json::from_str(text).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => NotAnEvent::Fields,
            _ => NotAnEvent::NotJson,
        })?;
        if id.is_empty() || id.len() > NAME_BYTES_MAX || id.contains(char::is_control) {
            return Err(NotAnEvent::Id);
        }
        if kind.is_empty() {
            return Err(NotAnEvent::Type);
        }
        Ok(Self { id, kind })
    }
}

/// When Stripe created the event: seconds since 1970, or RFC 3339 in thin events. The value is
/// checked and dropped.
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
        f.write_str("seconds since 1970 or an RFC 3339 time")
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
