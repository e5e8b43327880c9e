//! A JSON value that borrows from the bytes of the event. An event has hundreds of fields,
//! and we read twenty. To copy all of them would cost more than the rest of the work.

use super::lenient;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use sha2::{Digest, Sha256};
use std::{borrow::Cow, fmt};

/// The fields of an object, in order. Of equal keys the last one counts.
pub(super) type JsonFields<'a> = Vec<(Cow<'a, str>, Json<'a>)>;

/// A JSON value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Json<'a> {
    Null,
    Bool(bool),
    /// A whole number of 64 bits.
    Number(i64),
    /// Any other number. We read no such field.
    OtherNumber,
    Text(Cow<'a, str>),
    List(Vec<Json<'a>>),
    Object(JsonFields<'a>),
    /// A value that is nested too deep. We read no such field.
    TooDeep,
}

/// The deepest level that is read. Events have ten; `serde_json` refuses 128.
const DEPTH_MAX: usize = 100;

/// Reads a JSON text, and gives it to `then`. What JSON's grammar allows and Rust's types
/// cannot hold fails no event: half a surrogate pair is read as a NUL character, which no
/// field that we read may have, and a number that is too great as some number that is not
/// whole.
pub(super) fn parse<T>(bytes: &[u8], then: impl FnOnce(Result<Json<'_>, serde_json::Error>) -> T) -> T {
    match serde_json::from_slice(bytes) {
        Err(error) => match lenient::mended(bytes) {
            Some(mended) => then(serde_json::from_slice(&mended)),
            None => then(Err(error)),
        },
        json => then(json),
    }
}

/// The value of a field.
pub(super) fn field<'t, 'a>(fields: &'t JsonFields<'a>, key: &str) -> Option<&'t Json<'a>> {
    fields
        .iter()
        .rev()
        .find(|(name, _)| name == key)
        .map(|(_, value)| value)
}

impl Json<'_> {
    /// Feeds the value to a digest. Different values feed different bytes.
    pub(super) fn feed(&self, hasher: &mut Sha256) {
        match self {
            Self::Null => hasher.update(b"n"),
            Self::Bool(flag) => hasher.update(if *flag { b"t" } else { b"f" }),
            Self::Number(number) => {
                hasher.update(b"i");
                hasher.update(number.to_be_bytes());
            }
            Self::OtherNumber => hasher.update(b"o"),
            Self::TooDeep => hasher.update(b"d"),
            Self::Text(text) => feed_text(text, hasher),
            Self::List(items) => {
                hasher.update(b"[");
                for item in items {
                    item.feed(hasher);
                }
                hasher.update(b"]");
            }
            Self::Object(fields) => {
                let mut fields: Vec<_> = fields.iter().filter(|(_, value)| *value != Self::Null).collect();
                fields.sort_by(|a, b| a.0.cmp(&b.0));
                hasher.update(b"{");
                for (key, value) in fields {
                    feed_text(key, hasher);
                    value.feed(hasher);
                }
                hasher.update(b"}");
            }
        }
    }
}

/// Feeds a text to a digest. Its length goes first, to separate it from the bytes after it.
pub(super) fn feed_text(text: &str, hasher: &mut Sha256) {
    hasher.update(b"s");
    hasher.update((text.len() as u64).to_be_bytes());
    hasher.update(text);
}

impl<'de: 'a, 'a> Deserialize<'de> for Json<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor { depth: 0 })
    }
}

/// A value inside a list or an object.
#[derive(Clone, Copy)]
struct JsonAt {
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for JsonAt {
    type Value = Json<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        if self.depth >= DEPTH_MAX {
            // Without recursion, so that no depth overflows the stack.
            return IgnoredAny::deserialize(deserializer).map(|_| Json::TooDeep);
        }
        deserializer.deserialize_any(JsonVisitor { depth: self.depth })
    }
}

/// A key; borrowed if it has no escape sequences.
struct JsonKey<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for JsonKey<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserializer.deserialize_str(JsonVisitor { depth: 0 })? {
            Json::Text(text) => Ok(Self(text)),
            _ => Err(serde::de::Error::custom("a key is not a text")),
        }
    }
}

struct JsonVisitor {
    depth: usize,
}

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Json::Number(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(i64::try_from(value).map_or(Json::OtherNumber, Json::Number))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Json::OtherNumber)
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Json::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Json::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        let inside = JsonAt { depth: self.depth + 1 };
        while let Some(item) = items.next_element_seed(inside)? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::with_capacity(16);
        let inside = JsonAt { depth: self.depth + 1 };
        while let Some(JsonKey(key)) = entries.next_key()? {
            fields.push((key, entries.next_value_seed(inside)?));
        }
        Ok(Json::Object(fields))
    }
}
