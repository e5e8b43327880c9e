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
        let fields: HeadFields<'_> = serde_json::from_str(text).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => NotAnEvent::Fields,
            _ => NotAnEvent::NotJson,
        })?;
        let (Some(HeadValue::Text(id)), Some(HeadValue::Text(kind)), Some(created)) =
            (fields.id, fields.kind, fields.created)
        else {
            return Err(NotAnEvent::Fields);
        };
        if !created.is_time() {
            return Err(NotAnEvent::Fields);
        }
        if id.is_empty() || id.len() > NAME_BYTES_MAX || id.contains(char::is_control) {
            return Err(NotAnEvent::Id);
        }
        if kind.is_empty() {
            return Err(NotAnEvent::Type);
        }
        Ok(Self { id, kind })
    }
}

/// The fields of the head. Of equal keys the last one counts, as the worker reads it.
#[derive(Default)]
struct HeadFields<'a> {
    id: Option<HeadValue<'a>>,
    kind: Option<HeadValue<'a>>,
    created: Option<HeadValue<'a>>,
}

impl<'de: 'a, 'a> Deserialize<'de> for HeadFields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(HeadVisitor)
    }
}

struct HeadVisitor;

impl<'de> de::Visitor<'de> for HeadVisitor {
    type Value = HeadFields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event")
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut head = HeadFields::default();
        while let Some(key) = entries.next_key()? {
            let field = match key {
                HeadKey::Id => &mut head.id,
                HeadKey::Kind => &mut head.kind,
                HeadKey::Created => &mut head.created,
                HeadKey::Other => {
                    entries.next_value::<de::IgnoredAny>()?;
                    continue;
                }
            };
            *field = Some(entries.next_value()?);
        }
        Ok(head)
    }
}

/// A key of the event. It is read as bytes: a key that we do not read may have half a
/// surrogate pair, which is no text in Rust.
enum HeadKey {
    Id,
    Kind,
    Created,
    Other,
}

impl<'de> Deserialize<'de> for HeadKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(KeyVisitor)
    }
}

struct KeyVisitor;

impl de::Visitor<'_> for KeyVisitor {
    type Value = HeadKey;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_bytes<E>(self, key: &[u8]) -> Result<HeadKey, E> {
        Ok(match key {
            b"id" => HeadKey::Id,
            b"type" => HeadKey::Kind,
            b"created" => HeadKey::Created,
            _ => HeadKey::Other,
        })
    }
}

/// The value of a field of the head.
enum HeadValue<'a> {
    Text(Cow<'a, str>),
    /// A whole number of 64 bits.
    Number,
    Other,
}

impl HeadValue<'_> {
    /// Whether it is a time: seconds since 1970, or RFC 3339 in thin events.
    fn is_time(&self) -> bool {
        match self {
            Self::Text(text) => OffsetDateTime::parse(text, &Rfc3339).is_ok(),
            Self::Number => true,
            Self::Other => false,
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for HeadValue<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> de::Visitor<'de> for ValueVisitor {
    type Value = HeadValue<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(HeadValue::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(HeadValue::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(HeadValue::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(HeadValue::Number)
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(i64::try_from(value).map_or(HeadValue::Other, |_| HeadValue::Number))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(HeadValue::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(HeadValue::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        while items.next_element::<de::IgnoredAny>()?.is_some() {}
        Ok(HeadValue::Other)
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        while entries.next_entry::<de::IgnoredAny, de::IgnoredAny>()?.is_some() {}
        Ok(HeadValue::Other)
    }
}
