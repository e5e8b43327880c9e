//! Reads fields of JSON objects. An error names the field. Absent and null are the same. An
//! event with a field of a wrong type is malformed; we never guess.

use super::tree::{self, Json, JsonFields, field};
use crate::{
    domain::{fact::Seconds, ids::UserId},
    failure::Refusal,
};
use sha2::{Digest, Sha256};
use shared::message::NAME_BYTES_MAX;

/// The greatest time in seconds since 1970, the end of the year 9999. RFC 3339 cannot write a
/// later one.
const SECONDS_MAX: i64 = 253_402_300_799;

/// A JSON object, with its name for errors.
#[derive(Debug, Clone, Copy)]
pub(super) struct JsonObject<'a> {
    fields: &'a JsonFields<'a>,
    /// The fields with other values before a change; see [`JsonObject::before`].
    previous: Option<&'a JsonFields<'a>>,
    name: &'static str,
}

/// The value of a field. If it is an object: also its fields before a change.
#[derive(Debug, Clone, Copy)]
struct FieldValue<'a> {
    json: &'a Json<'a>,
    previous: Option<&'a JsonFields<'a>>,
}

impl<'a> JsonObject<'a> {
    pub(super) fn of(json: &'a Json<'a>, name: &'static str) -> Result<Self, Refusal> {
        Self::of_value(FieldValue { json, previous: None }, name)
    }

    fn of_value(value: FieldValue<'a>, name: &'static str) -> Result<Self, Refusal> {
        match value.json {
            Json::Object(fields) => Ok(Self {
                fields,
                previous: value.previous,
                name,
            }),
            _ => Err(Refusal::malformed(format!("{name} is not an object"))),
        }
    }

    /// The object before a change, given `previous_attributes` (API reference, "The Event
    /// object"): objects are merged, arrays are replaced, and null means absent. Nothing is
    /// copied.
    pub(super) fn before(self, previous: JsonObject<'a>) -> Self {
        Self {
            previous: Some(previous.fields),
            ..self
        }
    }

    /// A digest of the whole object: the first 8 bytes of a SHA-256. The order of the fields
    /// does not count; an absent field and null are the same.
    pub(super) fn digest(self) -> i64 {
        let mut hasher = Sha256::new();
        self.feed(&mut hasher);
        let digest = hasher.finalize();
        let mut start = [0; 8];
        start.copy_from_slice(&digest[..8]);
        i64::from_be_bytes(start)
    }

    fn feed(self, hasher: &mut Sha256) {
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
            tree::feed_text(key, hasher);
            match Self::of_value(value, self.name) {
                Ok(object) => {
                    hasher.update(b"{");
                    object.feed(hasher);
                    hasher.update(b"}");
                }
                Err(_) => value.json.feed(hasher),
            }
        }
    }

    fn get(self, key: &str) -> Option<FieldValue<'a>> {
        let now = field(self.fields, key);
        let old = self.previous.and_then(|p| field(p, key));
        let value = match (now, old) {
            (Some(json @ Json::Object(_)), Some(Json::Object(previous))) => FieldValue {
                json,
                previous: Some(previous),
            },
            (_, Some(json)) | (Some(json), None) => FieldValue { json, previous: None },
            (None, None) => return None,
        };
        if *value.json == Json::Null {
            return None;
        }
        Some(value)
    }

    fn wrong(self, key: &str, problem: &str) -> Refusal {
        Refusal::malformed(format!("{}.{key} {problem}", self.name))
    }

    fn too_long(self, key: &str) -> Refusal {
        self.wrong(key, &format!("is longer than {NAME_BYTES_MAX} bytes"))
    }

    pub(super) fn text(self, key: &str) -> Result<Option<&'a str>, Refusal> {
        match self.get(key).map(|v| v.json) {
            None => Ok(None),
            // PostgreSQL's type text cannot store a NUL, and no field of Stripe's has one.
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
            Some(at) if !(0..=SECONDS_MAX).contains(&at) => Err(self.wrong(key, "is not a time in seconds since 1970")),
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
        Ok(self.page(key, name)?.0)
    }

    /// The same, and whether Stripe has more than these (`has_more`): an event shows at most
    /// the first ten (Stripe's page "Pagination").
    pub(super) fn page(self, key: &str, name: &'static str) -> Result<(Vec<Self>, bool), Refusal> {
        let (items, has_more) = match self.get(key) {
            None => return Ok((Vec::new(), false)),
            Some(value) => match value.json {
                Json::Object(_) => {
                    let list = Self::of_value(value, name)?;
                    (list.get("data").map(|v| v.json), list.flag("has_more")?)
                }
                plain => (Some(plain), false),
            },
        };
        match items {
            Some(Json::List(items)) => {
                let items: Result<_, _> = items.iter().map(|item| Self::of(item, name)).collect();
                Ok((items?, has_more))
            }
            _ => Err(self.wrong(key, "is not a list")),
        }
    }

    /// The object's own id.
    pub(super) fn own_id(self) -> Result<&'a str, Refusal> {
        self.id("id")?
            .filter(|id| !id.is_empty())
            .ok_or_else(|| self.wrong("id", "is missing"))
    }

    /// The id of another object: the text, or the id in the expanded object.
    pub(super) fn id(self, key: &str) -> Result<Option<&'a str>, Refusal> {
        match self.get(key) {
            Some(value) if matches!(value.json, Json::Object(_)) => match Self::of_value(value, self.name)?.id("id") {
                Ok(Some(id)) => Ok(Some(id)),
                _ => Err(self.wrong(key, "is an object without an id")),
            },
            _ => match self.text(key)? {
                // A longer one is no id, and too long for a key in PostgreSQL.
                Some(id) if id.len() > NAME_BYTES_MAX => Err(self.too_long(key)),
                id => Ok(id),
            },
        }
    }

    /// The application's id of a user: not empty, at most [`NAME_BYTES_MAX`] bytes.
    pub(super) fn user(self, key: &str) -> Result<Option<UserId>, Refusal> {
        match self.text(key)? {
            None | Some("") => Ok(None),
            Some(id) if id.len() > NAME_BYTES_MAX => Err(self.too_long(key)),
            Some(id) => Ok(Some(UserId::new(id))),
        }
    }

    /// The object's `metadata`. An empty list is none: some programs that write JSON again
    /// write an empty object so.
    pub(super) fn metadata(self, name: &'static str) -> Result<Option<Self>, Refusal> {
        match self.get("metadata") {
            Some(value) if matches!(value.json, Json::List(items) if items.is_empty()) => Ok(None),
            _ => self.object("metadata", name),
        }
    }

    /// The user in `metadata.user_id`.
    pub(super) fn metadata_user(self) -> Result<Option<UserId>, Refusal> {
        self.metadata("data.object.metadata")?
            .map_or(Ok(None), |m| m.user("user_id"))
    }
}
