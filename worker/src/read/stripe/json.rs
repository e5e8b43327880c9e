//! Reading JSON with errors that name the field. Absent and null are the same;
//! a field of another type than Stripe's is a malformed event, never a guess.

use super::tree::{self, Fields, Json, field};
use crate::{
    domain::{fact::Seconds, ids::UserId},
    failure::Refusal,
};
use sha2::{Digest, Sha256};

/// The last second that both PostgreSQL and RFC 3339 can write: the end of 9999.
const SECONDS_MOST: i64 = 253_402_300_799;
/// The longest id, of Stripe's or a user's.
const ID_BYTES_MOST: usize = 255;

/// A JSON object, and what to call it in an error.
#[derive(Debug, Clone, Copy)]
pub(super) struct Object<'a> {
    fields: &'a Fields<'a>,
    /// What the fields held before a change: see [`Object::before`].
    previous: Option<&'a Fields<'a>>,
    name: &'static str,
}

/// A field's value, and what it held before a change where it is an object.
#[derive(Debug, Clone, Copy)]
struct Value<'a> {
    json: &'a Json<'a>,
    previous: Option<&'a Fields<'a>>,
}

impl<'a> Object<'a> {
    pub(super) fn of(json: &'a Json<'a>, name: &'static str) -> Result<Self, Refusal> {
        Self::of_value(Value { json, previous: None }, name)
    }

    fn of_value(value: Value<'a>, name: &'static str) -> Result<Self, Refusal> {
        match value.json {
            Json::Object(fields) => Ok(Self {
                fields,
                previous: value.previous,
                name,
            }),
            _ => Err(Refusal::malformed(format!("{name} is not an object"))),
        }
    }

    /// The object as it was before a change, given `previous_attributes`:
    /// hashes are merged, arrays are whole, null means absent (Stripe's API
    /// reference, "The Event object"). Nothing is copied.
    pub(super) fn before(self, previous: Object<'a>) -> Self {
        Self {
            previous: Some(previous.fields),
            ..self
        }
    }

    /// A digest of the whole object, whatever the order of its fields; an absent
    /// field and null are the same.
    pub(super) fn print(self) -> i64 {
        let mut hasher = Sha256::new();
        self.digest(&mut hasher);
        let digest = hasher.finalize();
        let mut start = [0; 8];
        start.copy_from_slice(&digest[..8]);
        i64::from_be_bytes(start)
    }

    fn digest(self, hasher: &mut Sha256) {
        let previous = self.previous.into_iter().flatten();
        let mut keys: Vec<&str> = self
            .fields
            .iter()
            .chain(previous)
            .map(|(key, _)| key.as_ref())
            .collect();
        keys.sort_unstable();
        keys.dedup();
        for key in keys {
            let Some(value) = self.get(key) else { continue };
            tree::digest_text(key, hasher);
            match Self::of_value(value, self.name) {
                Ok(object) => {
                    hasher.update(b"{");
                    object.digest(hasher);
                    hasher.update(b"}");
                }
                Err(_) => value.json.digest(hasher),
            }
        }
    }

    fn get(self, key: &str) -> Option<Value<'a>> {
        let now = field(self.fields, key);
        let old = self.previous.and_then(|p| field(p, key));
        let value = match (now, old) {
            (Some(json @ Json::Object(_)), Some(Json::Object(previous))) => Value {
                json,
                previous: Some(previous),
            },
            (_, Some(json)) | (Some(json), None) => Value { json, previous: None },
            (None, None) => return None,
        };
        Some(value).filter(|v| *v.json != Json::Null)
    }

    fn wrong(self, key: &str, problem: &str) -> Refusal {
        Refusal::malformed(format!("{}.{key} {problem}", self.name))
    }

    pub(super) fn text(self, key: &str) -> Result<Option<&'a str>, Refusal> {
        match self.get(key).map(|v| v.json) {
            None => Ok(None),
            // PostgreSQL's text cannot hold it, and no field of Stripe's does.
            Some(Json::Text(s)) if s.contains('\0') => Err(self.wrong(key, "holds a NUL character")),
            Some(Json::Text(s)) => Ok(Some(s)),
            Some(_) => Err(self.wrong(key, "is not a text")),
        }
    }

    pub(super) fn required_text(self, key: &str) -> Result<&'a str, Refusal> {
        self.text(key)?
            .filter(|s| !s.is_empty())
            .ok_or_else(|| self.wrong(key, "is missing"))
    }

    pub(super) fn number(self, key: &str) -> Result<Option<i64>, Refusal> {
        match self.get(key).map(|v| v.json) {
            None => Ok(None),
            Some(Json::Number(number)) => Ok(Some(*number)),
            Some(_) => Err(self.wrong(key, "is not a whole number")),
        }
    }

    pub(super) fn required_number(self, key: &str) -> Result<i64, Refusal> {
        self.number(key)?.ok_or_else(|| self.wrong(key, "is missing"))
    }

    /// A time in seconds since 1970.
    pub(super) fn seconds(self, key: &str) -> Result<Option<Seconds>, Refusal> {
        match self.number(key)? {
            Some(at) if !(0..=SECONDS_MOST).contains(&at) => {
                Err(self.wrong(key, "is not a time in seconds since 1970"))
            }
            at => Ok(at),
        }
    }

    /// False when absent.
    pub(super) fn flag(self, key: &str) -> Result<bool, Refusal> {
        match self.get(key).map(|v| v.json) {
            None => Ok(false),
            Some(Json::Bool(flag)) => Ok(*flag),
            Some(_) => Err(self.wrong(key, "is not true or false")),
        }
    }

    pub(super) fn object(self, key: &str, name: &'static str) -> Result<Option<Self>, Refusal> {
        self.get(key).map(|value| Self::of_value(value, name)).transpose()
    }

    pub(super) fn required_object(self, key: &str, name: &'static str) -> Result<Self, Refusal> {
        self.object(key, name)?.ok_or_else(|| self.wrong(key, "is missing"))
    }

    /// The `data` of a list object, or a plain array; empty when absent.
    pub(super) fn list(self, key: &str, name: &'static str) -> Result<Vec<Self>, Refusal> {
        let items = match self.get(key) {
            None => return Ok(Vec::new()),
            Some(value) => match value.json {
                Json::Object(_) => Self::of_value(value, name)?.get("data").map(|v| v.json),
                plain => Some(plain),
            },
        };
        match items {
            Some(Json::List(items)) => items.iter().map(|item| Self::of(item, name)).collect(),
            _ => Err(self.wrong(key, "is not a list")),
        }
    }

    /// The object's own id.
    pub(super) fn own_id(self) -> Result<&'a str, Refusal> {
        self.id("id")?
            .filter(|id| !id.is_empty())
            .ok_or_else(|| self.wrong("id", "is missing"))
    }

    /// The id of another object: as such, or of the object where it is expanded.
    pub(super) fn id(self, key: &str) -> Result<Option<&'a str>, Refusal> {
        match self.get(key) {
            Some(value) if matches!(value.json, Json::Object(_)) => match Self::of_value(value, self.name)?.id("id") {
                Ok(Some(id)) => Ok(Some(id)),
                _ => Err(self.wrong(key, "is an object without an id")),
            },
            _ => match self.text(key)? {
                // Longer ones are no ids, and too long for the keys they become.
                Some(id) if id.len() > ID_BYTES_MOST => Err(self.wrong(key, "is longer than 255 bytes")),
                id => Ok(id),
            },
        }
    }

    /// The application's id of a user: not empty, at most 255 bytes.
    pub(super) fn user(self, key: &str) -> Result<Option<UserId>, Refusal> {
        match self.text(key)? {
            None | Some("") => Ok(None),
            Some(id) if id.len() > ID_BYTES_MOST => Err(self.wrong(key, "is longer than 255 bytes")),
            Some(id) => Ok(Some(UserId::new(id))),
        }
    }

    /// A `metadata` object's user id.
    pub(super) fn metadata_user(self) -> Result<Option<UserId>, Refusal> {
        self.object("metadata", "data.object.metadata")?
            .map_or(Ok(None), |m| m.user("user_id"))
    }
}
