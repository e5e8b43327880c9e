//! A JSON value that borrows from the event's bytes. An event has hundreds of
//! fields of which we read twenty: to copy them all would cost more than the
//! rest of the work on it.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use sha2::{Digest, Sha256};
use std::{borrow::Cow, fmt};

/// The fields of an object, in their order; the last of equal keys counts.
pub(super) type Fields<'a> = Vec<(Cow<'a, str>, Json<'a>)>;

/// A JSON value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Json<'a> {
    Null,
    Bool(bool),
    /// A whole number that fits.
    Number(i64),
    /// Any other number: we read none.
    OtherNumber,
    Text(Cow<'a, str>),
    List(Vec<Json<'a>>),
    Object(Fields<'a>),
}

/// The field of an object.
pub(super) fn field<'t, 'a>(fields: &'t Fields<'a>, key: &str) -> Option<&'t Json<'a>> {
    fields
        .iter()
        .rev()
        .find(|(name, _)| name == key)
        .map(|(_, value)| value)
}

impl Json<'_> {
    /// Feeds the value to a digest, told apart from every other value.
    pub(super) fn digest(&self, hasher: &mut Sha256) {
        match self {
            Self::Null => hasher.update(b"n"),
            Self::Bool(flag) => hasher.update(if *flag { b"t" } else { b"f" }),
            Self::Number(number) => {
                hasher.update(b"i");
                hasher.update(number.to_be_bytes());
            }
            Self::OtherNumber => hasher.update(b"o"),
            Self::Text(text) => digest_text(text, hasher),
            Self::List(items) => {
                hasher.update(b"[");
                for item in items {
                    item.digest(hasher);
                }
                hasher.update(b"]");
            }
            Self::Object(fields) => {
                let mut fields: Vec<_> = fields.iter().filter(|(_, value)| *value != Self::Null).collect();
                fields.sort_by(|a, b| a.0.cmp(&b.0));
                hasher.update(b"{");
                for (key, value) in fields {
                    digest_text(key, hasher);
                    value.digest(hasher);
                }
                hasher.update(b"}");
            }
        }
    }
}

/// Feeds a text to a digest, its length first, so that it ends where it ends.
pub(super) fn digest_text(text: &str, hasher: &mut Sha256) {
    hasher.update(b"s");
    hasher.update((text.len() as u64).to_be_bytes());
    hasher.update(text);
}

impl<'de: 'a, 'a> Deserialize<'de> for Json<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Tree)
    }
}

/// A key, borrowed where it holds no escapes.
struct Key<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Key<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserializer.deserialize_str(Tree)? {
            Json::Text(text) => Ok(Self(text)),
            _ => Err(serde::de::Error::custom("a key is not a text")),
        }
    }
}

struct Tree;

impl<'de> Visitor<'de> for Tree {
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
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::with_capacity(16);
        while let Some((Key(key), value)) = entries.next_entry()? {
            fields.push((key, value));
        }
        Ok(Json::Object(fields))
    }
}
