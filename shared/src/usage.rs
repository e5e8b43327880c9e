//! A usage report: a CloudEvents 1.0 event of type `usage` (CloudEvents, "JSON
//! Event Format"). An application posts it to ingest, ingest publishes its text
//! unchanged, and the worker reads it from the queue.
//!
//! Ingest and worker read it by the same pure code, so the worker can read every
//! report that ingest accepts.

use crate::message::NAME_BYTES_MAX;
use serde::{
    Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::{error::Category, value::RawValue};
use std::{collections::BTreeMap, fmt};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// The `type` of these events, also in a message's properties.
pub const USAGE_TYPE: &str = "usage";
/// Kinds of quantities in one event, at most.
const QUANTITIES_MAX: usize = 32;

/// The greatest amount and the greatest quantity. Every JSON reader reads integers
/// up to it alike (RFC 7493, "The I-JSON Message Format"), and a sum of some
/// hundred of them fits into 64 bits.
pub const AMOUNT_MAX: i64 = (1 << 53) - 1;

/// A user used some of a meter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageEvent {
    /// The application that reports it; without white space.
    pub source: String,
    /// Its id, unique per source.
    pub id: String,
    /// The user's id.
    pub subject: String,
    /// When it was used, in seconds since 1970, if the report says so.
    pub time: Option<i64>,
    /// The meter's name. Only the catalog knows whether there is such a meter.
    pub meter: String,
    /// How much of it.
    pub what: Amount,
}

/// How much was used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Amount {
    /// Units of the meter, 0 to [`AMOUNT_MAX`].
    Units(i64),
    /// Quantities by kind, each 0 to [`AMOUNT_MAX`], at least one; the catalog's
    /// weights make units of them.
    Quantities(BTreeMap<String, i64>),
}

/// Why a body is not a usage report. It repeats no more of the payload than a
/// field's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}{}{problem}", if field.is_empty() { "" } else { ": " })]
pub struct UsageError {
    /// Such as `data.amount`; empty if the event as a whole is wrong.
    pub field: String,
    /// What is wrong with it, and what to write instead.
    pub problem: String,
}

impl UsageError {
    /// An error about `field`.
    #[must_use]
    pub fn new(field: &str, problem: impl Into<String>) -> Self {
        Self {
            field: field.to_owned(),
            problem: problem.into(),
        }
    }

    /// The same error in the event at the place `index`, from 0, of a batch:
    /// `data.amount` becomes `[3].data.amount`.
    #[must_use]
    pub fn at(self, index: usize) -> Self {
        let dot = if self.field.is_empty() { "" } else { "." };
        Self {
            field: format!("[{index}]{dot}{}", self.field),
            ..self
        }
    }

    /// An error about `whole` ("the event", "the batch"), which is not JSON, or not
    /// the kind of value that `must_be` says.
    #[must_use]
    pub fn unreadable(whole: &str, must_be: &str, error: &serde_json::Error) -> Self {
        let problem = match error.classify() {
            Category::Data => format!("{whole} must be {must_be}"),
            _ => format!("{whole} is not JSON (line {}, column {})", error.line(), error.column()),
        };
        Self::new("", problem)
    }
}

impl UsageEvent {
    /// Reads an event. Other attributes are extensions and may be anything. `null`
    /// is the same as absent, by CloudEvents' "JSON Event Format".
    ///
    /// # Errors
    /// With the first field that is wrong.
    pub fn read(body: &[u8]) -> Result<Self, UsageError> {
        let text = std::str::from_utf8(body).map_err(|_| UsageError::new("", "the event is not UTF-8"))?;
        let names = [
            "specversion",
            "type",
            "source",
            "id",
            "subject",
            "time",
            "datacontenttype",
            "data",
            "data_base64",
        ];
        let [specversion, kind, source, id, subject, time, content_type, data, base64] = members(text, "", names)?;
        exactly(specversion, "specversion", "1.0")?;
        exactly(kind, "type", USAGE_TYPE)?;
        let source = name(source, "source")?;
        if source.contains(char::is_whitespace) {
            return Err(UsageError::new("source", "must hold no white space"));
        }
        let (id, subject) = (name(id, "id")?, name(subject, "subject")?);
        let time = time.map(|raw| seconds(raw, "time")).transpose()?;
        if let Some(raw) = content_type {
            must_be_json(raw, "datacontenttype")?;
        }
        if base64.is_some() {
            return Err(UsageError::new(
                "data_base64",
                "is not taken; write data, a JSON object",
            ));
        }
        let data = data.ok_or_else(|| UsageError::new("data", "is missing"))?;
        let (meter, what) = measured(data)?;
        Ok(Self {
            source,
            id,
            subject,
            time,
            meter,
            what,
        })
    }

    /// Source and id in one text. Two different pairs never give the same text,
    /// since a source has no white space.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{} {}", self.source, self.id)
    }
}

/// `data`: the meter, and either units or quantities.
fn measured(data: &RawValue) -> Result<(String, Amount), UsageError> {
    let [meter, amount, quantities] = members(data.get(), "data", ["meter", "amount", "quantities"])?;
    let meter = name(meter, "data.meter")?;
    let what = match (amount, quantities) {
        (Some(raw), None) => Amount::Units(whole_number(raw, "data.amount")?),
        (None, Some(raw)) => Amount::Quantities(by_kind(raw)?),
        (None, None) => return Err(UsageError::new("data", "must hold amount or quantities")),
        (Some(_), Some(_)) => return Err(UsageError::new("data", "must hold amount or quantities, not both")),
    };
    Ok((meter, what))
}

fn by_kind(raw: &RawValue) -> Result<BTreeMap<String, i64>, UsageError> {
    const FIELD: &str = "data.quantities";
    let wrong = |problem: String| UsageError::new(FIELD, problem);
    let (mut kinds, mut twice, mut count) = (BTreeMap::new(), false, 0_usize);
    each_member(raw.get(), |kind, value| {
        count += 1;
        if count <= QUANTITIES_MAX {
            twice |= kinds.insert(kind, value).is_some();
        }
    })
    .map_err(|_| wrong("must be an object of names and whole numbers".to_owned()))?;
    if count == 0 {
        return Err(wrong("must hold at least one quantity".to_owned()));
    }
    if count > QUANTITIES_MAX {
        return Err(wrong(format!("must hold {QUANTITIES_MAX} names at most")));
    }
    if twice {
        return Err(wrong("has a name twice".to_owned()));
    }
    let mut quantities = BTreeMap::new();
    for (kind, value) in kinds {
        if !is_name(&kind) {
            return Err(wrong(format!("has a name that is not {}", name_form())));
        }
        let quantity = whole_number(value, &shown(FIELD, &kind))?;
        quantities.insert(kind, quantity);
    }
    Ok(quantities)
}

/// A quantity's field, with its name only if that is a plain word: the name may be
/// a person's text.
fn shown(field: &str, kind: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    if kind.len() <= 32 && kind.bytes().all(plain) {
        format!("{field}.{kind}")
    } else {
        field.to_owned()
    }
}

fn name_form() -> String {
    format!("1 to {NAME_BYTES_MAX} bytes of text without control characters")
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= NAME_BYTES_MAX && !text.contains(char::is_control)
}

fn name(raw: Option<&RawValue>, field: &str) -> Result<String, UsageError> {
    let raw = raw.ok_or_else(|| UsageError::new(field, "is missing"))?;
    text(raw)
        .filter(|text| is_name(text))
        .ok_or_else(|| UsageError::new(field, format!("must be {}", name_form())))
}

fn exactly(raw: Option<&RawValue>, field: &str, word: &str) -> Result<(), UsageError> {
    let raw = raw.ok_or_else(|| UsageError::new(field, "is missing"))?;
    if text(raw).is_none_or(|text| text != word) {
        return Err(UsageError::new(field, format!("must be \"{word}\"")));
    }
    Ok(())
}

/// Whole seconds since 1970, rounded down.
fn seconds(raw: &RawValue, field: &str) -> Result<i64, UsageError> {
    let time = text(raw).and_then(|text| OffsetDateTime::parse(&text, &Rfc3339).ok());
    let time = time.ok_or_else(|| UsageError::new(field, "must be an RFC 3339 time, such as 2026-01-31T23:59:59Z"))?;
    Ok(time.unix_timestamp())
}

fn must_be_json(raw: &RawValue, field: &str) -> Result<(), UsageError> {
    let json = |text: &str| {
        let media_type = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        media_type == "application/json" || media_type.ends_with("+json")
    };
    if text(raw).is_some_and(|text| json(&text)) {
        return Ok(());
    }
    Err(UsageError::new(field, "must be application/json, or absent"))
}

/// Refuses `1200.0` and `"1200"`: an application that writes those may also write
/// `1199.9999`.
fn whole_number(raw: &RawValue, field: &str) -> Result<i64, UsageError> {
    let number = serde_json::from_str(raw.get()).ok();
    let number = number.filter(|number: &i64| (0..=AMOUNT_MAX).contains(number));
    let problem = || format!("must be a whole number from 0 to {AMOUNT_MAX}, not a text or a fraction");
    number.ok_or_else(|| UsageError::new(field, problem()))
}

fn text(raw: &RawValue) -> Option<String> {
    serde_json::from_str(raw.get()).ok()
}

/// The members `names` of the object at `path`. A member that is there twice is
/// refused: readers of JSON do not agree on its value.
fn members<'a, const N: usize>(
    object: &'a str,
    path: &str,
    names: [&str; N],
) -> Result<[Option<&'a RawValue>; N], UsageError> {
    let (mut found, mut twice) = ([None; N], None);
    let read = each_member(object, |name, value| {
        if let Some(place) = names.iter().position(|known| *known == name)
            && found[place].replace(value).is_some()
        {
            twice = Some(names[place]);
        }
    });
    match (read, path) {
        (Ok(()), _) => {}
        (Err(error), "") => return Err(UsageError::unreadable("the event", "a JSON object", &error)),
        (Err(_), path) => return Err(UsageError::new(path, "must be a JSON object")),
    }
    if let Some(name) = twice {
        let dot = if path.is_empty() { "" } else { "." };
        return Err(UsageError::new(&format!("{path}{dot}{name}"), "is there twice"));
    }
    Ok(found.map(|value| value.filter(|raw: &&RawValue| raw.get() != "null")))
}

/// Calls `each` with every member of `object`, in order. Values are skipped without
/// recursion, however deep they are.
fn each_member<'a>(object: &'a str, each: impl FnMut(String, &'a RawValue)) -> serde_json::Result<()> {
    struct Each<F>(F);

    impl<'a, F: FnMut(String, &'a RawValue)> Visitor<'a> for Each<F> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<M: MapAccess<'a>>(mut self, mut map: M) -> Result<(), M::Error> {
            while let Some((name, value)) = map.next_entry()? {
                (self.0)(name, value);
            }
            Ok(())
        }
    }

    let mut json = serde_json::Deserializer::from_str(object);
    json.deserialize_map(Each(each))?;
    json.end()
}

#[cfg(test)]
#[path = "usage_tests.rs"]
mod tests;
