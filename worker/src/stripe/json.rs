//! Reading JSON with errors that name the field. Absent and null are the same;
//! a field of another type than Stripe's is a malformed event, never a guess.

use crate::{domain::fact::Seconds, failure::Refusal};
use serde_json::{Map, Value};

/// The last second that both PostgreSQL and RFC 3339 can write: the end of 9999.
const SECONDS_MOST: i64 = 253_402_300_799;

/// A JSON object, and what to call it in an error.
#[derive(Debug, Clone, Copy)]
pub(super) struct Object<'a> {
    fields: &'a Map<String, Value>,
    name: &'static str,
}

impl<'a> Object<'a> {
    pub(super) fn of(value: &'a Value, name: &'static str) -> Result<Self, Refusal> {
        value
            .as_object()
            .map(|fields| Self { fields, name })
            .ok_or_else(|| Refusal::malformed(format!("{name} is not an object")))
    }

    /// The fields themselves, for what reads them all.
    pub(super) fn fields(self) -> &'a Map<String, Value> {
        self.fields
    }

    fn get(self, key: &str) -> Option<&'a Value> {
        self.fields.get(key).filter(|v| !v.is_null())
    }

    fn wrong(self, key: &str, problem: &str) -> Refusal {
        Refusal::malformed(format!("{}.{key} {problem}", self.name))
    }

    pub(super) fn text(self, key: &str) -> Result<Option<&'a str>, Refusal> {
        match self.get(key) {
            None => Ok(None),
            // PostgreSQL's text cannot hold it, and no field of Stripe's does.
            Some(Value::String(s)) if s.contains('\0') => Err(self.wrong(key, "holds a NUL character")),
            Some(Value::String(s)) => Ok(Some(s)),
            Some(_) => Err(self.wrong(key, "is not a text")),
        }
    }

    pub(super) fn required_text(self, key: &str) -> Result<&'a str, Refusal> {
        self.text(key)?
            .filter(|s| !s.is_empty())
            .ok_or_else(|| self.wrong(key, "is missing"))
    }

    pub(super) fn number(self, key: &str) -> Result<Option<i64>, Refusal> {
        match self.get(key) {
            None => Ok(None),
            Some(value) => value
                .as_i64()
                .map(Some)
                .ok_or_else(|| self.wrong(key, "is not a whole number")),
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
        match self.get(key) {
            None => Ok(false),
            Some(value) => value.as_bool().ok_or_else(|| self.wrong(key, "is not true or false")),
        }
    }

    pub(super) fn object(self, key: &str, name: &'static str) -> Result<Option<Self>, Refusal> {
        self.get(key).map(|value| Self::of(value, name)).transpose()
    }

    pub(super) fn required_object(self, key: &str, name: &'static str) -> Result<Self, Refusal> {
        self.object(key, name)?.ok_or_else(|| self.wrong(key, "is missing"))
    }

    /// The `data` of a list object, or a plain array; empty when absent.
    pub(super) fn list(self, key: &str, name: &'static str) -> Result<Vec<Self>, Refusal> {
        let items = match self.get(key) {
            None => return Ok(Vec::new()),
            Some(Value::Object(list)) => list.get("data"),
            plain => plain,
        };
        match items {
            Some(Value::Array(items)) => items.iter().map(|item| Self::of(item, name)).collect(),
            _ => Err(self.wrong(key, "is not a list")),
        }
    }

    /// The id of another object: as such, or of the object where it is expanded.
    pub(super) fn id(self, key: &str) -> Result<Option<&'a str>, Refusal> {
        match self.get(key) {
            Some(Value::Object(expanded)) => match expanded.get("id") {
                Some(Value::String(id)) if !id.contains('\0') => Ok(Some(id)),
                _ => Err(self.wrong(key, "is an object without an id")),
            },
            _ => self.text(key),
        }
    }

    /// The application's id of a user: not empty, at most 255 bytes.
    pub(super) fn user(self, key: &str) -> Result<Option<crate::domain::ids::UserId>, Refusal> {
        match self.text(key)? {
            None | Some("") => Ok(None),
            Some(id) if id.len() > 255 => Err(self.wrong(key, "is longer than 255 bytes")),
            Some(id) => Ok(Some(crate::domain::ids::UserId::new(id))),
        }
    }

    /// A `metadata` object's user id.
    pub(super) fn metadata_user(self) -> Result<Option<crate::domain::ids::UserId>, Refusal> {
        self.object("metadata", "data.object.metadata")?
            .map_or(Ok(None), |m| m.user("user_id"))
    }
}
