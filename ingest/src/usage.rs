//! What `POST /v1/usage` takes: one report of use, or a batch of them, in the
//! JSON formats of CloudEvents 1.0. Pure.

use crate::error::Refusal;
use axum::http::{HeaderMap, header};
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use shared::usage::{UsageError, UsageEvent};
use std::fmt;

/// Events in one batch; each is a message, and all must be confirmed in the
/// time of one.
pub const EVENTS_MOST: usize = 1_000;

/// What a body is, by its content type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `application/cloudevents+json`: an event.
    One,
    /// `application/cloudevents-batch+json`: an array of events, or of none.
    Batch,
}

impl Form {
    /// Reads `Content-Type`; its parameters may be any.
    pub fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let mut given = headers.get_all(header::CONTENT_TYPE).iter();
        let (Some(value), None) = (given.next(), given.next()) else {
            return Err(Refusal::MediaType);
        };
        let media_type = value.as_bytes().split(|b| *b == b';').next().unwrap_or_default();
        let is = |name: &str| media_type.trim_ascii().eq_ignore_ascii_case(name.as_bytes());
        if is("application/cloudevents+json") {
            Ok(Self::One)
        } else if is("application/cloudevents-batch+json") {
            Ok(Self::Batch)
        } else {
            Err(Refusal::MediaType)
        }
    }
}

/// A report that the worker can read.
#[derive(Debug, PartialEq, Eq)]
pub struct Report<'a> {
    /// [`UsageEvent::key`].
    pub key: String,
    /// The event's own text, as it was received.
    pub body: &'a [u8],
}

impl<'a> Report<'a> {
    fn read(body: &'a [u8]) -> Result<Self, UsageError> {
        let key = UsageEvent::read(body)?.key();
        Ok(Self { key, body })
    }
}

/// Reads all reports of `body`, or none: the first that is wrong is named with
/// its place.
pub fn read(form: Form, body: &[u8]) -> Result<Vec<Report<'_>>, Refusal> {
    match form {
        Form::One => Ok(vec![Report::read(body)?]),
        Form::Batch => batch(body),
    }
}

fn batch(body: &[u8]) -> Result<Vec<Report<'_>>, Refusal> {
    let text = std::str::from_utf8(body).map_err(|_| UsageError::new("", "the batch is not UTF-8"))?;
    let unreadable = |error| UsageError::unreadable("the batch", "a JSON array of events", &error);
    let Elements { first, more } = serde_json::from_str(text).map_err(unreadable)?;
    if more {
        return Err(Refusal::BatchTooLong);
    }
    let events = first.into_iter().map(|event| event.get().as_bytes()).enumerate();
    let reports = events.map(|(index, event)| Report::read(event).map_err(|error| error.at(index)));
    Ok(reports.collect::<Result<_, _>>()?)
}

/// A JSON array, of which no more is held than a batch may have.
struct Elements<'a> {
    first: Vec<&'a RawValue>,
    more: bool,
}

impl<'de: 'a, 'a> Deserialize<'de> for Elements<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ElementsVisitor)
    }
}

struct ElementsVisitor;

impl<'de> Visitor<'de> for ElementsVisitor {
    type Value = Elements<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<Elements<'de>, S::Error> {
        let mut first = Vec::new();
        while first.len() < EVENTS_MOST {
            match seq.next_element()? {
                Some(element) => first.push(element),
                None => return Ok(Elements { first, more: false }),
            }
        }
        let mut more = false;
        while seq.next_element::<IgnoredAny>()?.is_some() {
            more = true;
        }
        Ok(Elements { first, more })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = r#"{"specversion":"1.0", "type":"usage","source":"/chat","id":"1","subject":"user_1","data":{"meter":"tokens","amount":1200}}"#;

    #[test]
    fn the_content_type_says_what_a_body_is() {
        let form = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::CONTENT_TYPE, value.parse().expect("a header"));
            }
            Form::of(&headers)
        };
        for (value, expected) in [
            ("application/cloudevents+json", Form::One),
            ("Application/CloudEvents+JSON ; charset=utf-8", Form::One),
            ("application/cloudevents-batch+json", Form::Batch),
            ("application/cloudevents-batch+json;charset=UTF-8", Form::Batch),
        ] {
            assert_eq!(form(&[value]), Ok(expected), "{value}");
        }
        for value in [
            "",
            "application/json",
            "application/cloudevents",
            "application/cloudevents+xml",
        ] {
            assert_eq!(form(&[value]), Err(Refusal::MediaType), "{value}");
        }
        assert_eq!(form(&[]), Err(Refusal::MediaType));
        let two = ["application/cloudevents+json", "application/cloudevents-batch+json"];
        assert_eq!(form(&two), Err(Refusal::MediaType));
    }

    #[test]
    fn every_event_keeps_its_own_text() {
        let one = Report {
            key: "/chat 1".to_owned(),
            body: EVENT.as_bytes(),
        };
        assert_eq!(read(Form::One, EVENT.as_bytes()), Ok(vec![one]));
        let other = EVENT.replace(r#""id":"1""#, r#""id" : "2", "x":"\u00e9""#);
        let both = format!(" [ {EVENT} ,\n{other}] ");
        let reports = read(Form::Batch, both.as_bytes()).expect("a batch");
        let bodies: Vec<&[u8]> = reports.iter().map(|report| report.body).collect();
        assert_eq!(bodies, [EVENT.as_bytes(), other.as_bytes()]);
        assert_eq!(reports[1].key, "/chat 2");
        assert_eq!(read(Form::Batch, b"[]"), Ok(vec![]));
    }

    #[test]
    fn what_is_wrong_in_a_batch_is_named_with_its_place() {
        let bad = EVENT.replace("1200", "-1");
        for (body, said) in [
            (format!("[{EVENT},{bad}]"), "[1].data.amount: must be"),
            (format!("[{EVENT},[]]"), "[1]: the event must be a JSON object"),
            ("[null]".to_owned(), "[0]: the event must be a JSON object"),
            (EVENT.to_owned(), "the batch must be a JSON array of events"),
            (format!("[{EVENT},]"), "the batch is not JSON"),
            (format!("[{EVENT}][]"), "the batch is not JSON"),
            (String::new(), "the batch is not JSON"),
        ] {
            let refusal = read(Form::Batch, body.as_bytes()).expect_err(&body);
            assert!(refusal.to_string().starts_with(said), "{body}: {refusal}");
            assert!(matches!(refusal, Refusal::Usage(_)));
        }
        assert!(read(Form::Batch, b"[\"\xff\"]").is_err());
        assert!(read(Form::One, format!("[{EVENT}]").as_bytes()).is_err());
    }

    #[test]
    fn a_batch_has_a_thousand_events_at_most() {
        let batch = |count| format!("[{}]", vec![EVENT; count].join(","));
        let most = batch(EVENTS_MOST);
        assert_eq!(
            read(Form::Batch, most.as_bytes()).map(|reports| reports.len()),
            Ok(EVENTS_MOST)
        );
        let over = batch(EVENTS_MOST + 1);
        assert_eq!(read(Form::Batch, over.as_bytes()), Err(Refusal::BatchTooLong));
    }
}
