//! Reads the body of `POST /v1/usage`: one usage report or a batch of them, as JSON
//! (CloudEvents 1.0, "JSON Event Format" and its "JSON Batch Format"). Pure.

use axum::http::{HeaderMap, header};
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use shared::{
    settings::format_duration,
    usage::{UsageError, UsageEvent},
};
use std::{fmt, time::Duration};

/// Most events in one batch. Each is a message, and the broker must confirm all of them within
/// the timeout of one publish.
pub const BATCH_EVENTS_MAX: usize = 1_000;

/// How far the time of a report may lie ahead of our clock, in seconds. Clocks differ a little.
const AHEAD_S_MAX: i64 = 5 * 60;

/// The times that reports may name, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsageTimes {
    /// When the request was received.
    pub now: i64,
    /// How far back a report may lie.
    pub age_max: Duration,
}

impl UsageTimes {
    /// Checks the time of a report. A report without one counts for now.
    fn check(&self, time: Option<i64>) -> Result<(), UsageError> {
        let Some(time) = time else { return Ok(()) };
        let age_s_max = i64::try_from(self.age_max.as_secs()).unwrap_or(i64::MAX);
        if time > self.now.saturating_add(AHEAD_S_MAX) {
            return Err(UsageError::new(
                "time",
                "must not lie more than 5 minutes ahead; check the clock",
            ));
        }
        if time < self.now.saturating_sub(age_s_max) {
            let problem = format!(
                "must not lie further back than {} (USAGE_MAX_AGE)",
                format_duration(self.age_max)
            );
            return Err(UsageError::new("time", problem));
        }
        Ok(())
    }
}

/// Why a body is not a list of usage reports.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UsageRefusal {
    /// The content type is neither that of a CloudEvents event nor that of a batch.
    #[error("the content type must be application/cloudevents+json or application/cloudevents-batch+json")]
    MediaType,
    /// The batch has more than [`BATCH_EVENTS_MAX`] events.
    #[error("the batch has more than {BATCH_EVENTS_MAX} events; send it in parts")]
    BatchTooLong,
    /// The body or one of its events is not a usage report.
    #[error(transparent)]
    Event(#[from] UsageError),
}

/// The format of a body, which its content type names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageFormat {
    /// `application/cloudevents+json`: one event.
    Single,
    /// `application/cloudevents-batch+json`: an array of events, possibly empty.
    Batch,
}

impl UsageFormat {
    /// Reads the `Content-Type` header. Its parameters are ignored.
    ///
    /// # Errors
    /// If there is not exactly one such header with one of the two types.
    pub fn of(headers: &HeaderMap) -> Result<Self, UsageRefusal> {
        let mut given = headers.get_all(header::CONTENT_TYPE).iter();
        let (Some(value), None) = (given.next(), given.next()) else {
            return Err(UsageRefusal::MediaType);
        };
        let media_type = value.as_bytes().split(|b| *b == b';').next().unwrap_or_default();
        let is = |name: &str| media_type.trim_ascii().eq_ignore_ascii_case(name.as_bytes());
        if is("application/cloudevents+json") {
            Ok(Self::Single)
        } else if is("application/cloudevents-batch+json") {
            Ok(Self::Batch)
        } else {
            Err(UsageRefusal::MediaType)
        }
    }
}

/// A usage report that the worker can read.
#[derive(Debug, PartialEq, Eq)]
pub struct UsageReport<'a> {
    /// [`UsageEvent::key`].
    pub key: String,
    /// The event's text, byte for byte as received.
    pub body: &'a [u8],
}

impl<'a> UsageReport<'a> {
    fn read(body: &'a [u8], times: UsageTimes) -> Result<Self, UsageError> {
        let event = UsageEvent::read(body)?;
        times.check(event.time)?;
        let key = event.key();
        Ok(Self { key, body })
    }
}

/// Reads all reports of `body`.
///
/// # Errors
/// If the body is not in `format`, has too many events, or one event is wrong. The error names
/// the first wrong event by its index.
pub fn read(format: UsageFormat, body: &[u8], times: UsageTimes) -> Result<Vec<UsageReport<'_>>, UsageRefusal> {
    match format {
        UsageFormat::Single => Ok(vec![UsageReport::read(body, times)?]),
        UsageFormat::Batch => batch(body, times),
    }
}

fn batch(body: &[u8], times: UsageTimes) -> Result<Vec<UsageReport<'_>>, UsageRefusal> {
    let text = std::str::from_utf8(body).map_err(|_| UsageError::new("", "the batch is not UTF-8"))?;
    let unreadable = |error| UsageError::unreadable("the batch", "a JSON array of events", &error);
    let BatchElements { first, more } = serde_json::from_str(text).map_err(unreadable)?;
    if more {
        return Err(UsageRefusal::BatchTooLong);
    }
    let events = first.into_iter().map(|event| event.get().as_bytes()).enumerate();
    let reports = events.map(|(index, event)| UsageReport::read(event, times).map_err(|error| error.at(index)));
    Ok(reports.collect::<Result<_, _>>()?)
}

/// The first [`BATCH_EVENTS_MAX`] elements of a JSON array. The others are skipped and not kept.
struct BatchElements<'a> {
    first: Vec<&'a RawValue>,
    more: bool,
}

impl<'de: 'a, 'a> Deserialize<'de> for BatchElements<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(BatchVisitor)
    }
}

struct BatchVisitor;

impl<'de> Visitor<'de> for BatchVisitor {
    type Value = BatchElements<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<BatchElements<'de>, S::Error> {
        let mut first = Vec::new();
        while first.len() < BATCH_EVENTS_MAX {
            match seq.next_element()? {
                Some(element) => first.push(element),
                None => return Ok(BatchElements { first, more: false }),
            }
        }
        let mut more = false;
        while seq.next_element::<IgnoredAny>()?.is_some() {
            more = true;
        }
        Ok(BatchElements { first, more })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-01-31T00:00:00Z
    const NOW: i64 = 1_769_817_600;

    fn read(format: UsageFormat, body: &[u8]) -> Result<Vec<UsageReport<'_>>, UsageRefusal> {
        let age_max = Duration::from_hours(35 * 24);
        super::read(format, body, UsageTimes { now: NOW, age_max })
    }

    const EVENT: &str = r#"{"specversion":"1.0", "type":"usage","source":"/chat","id":"1","subject":"user_1","data":{"meter":"tokens","amount":1200}}"#;

    #[test]
    fn the_content_type_names_the_format() {
        let format = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::CONTENT_TYPE, value.parse().expect("a header"));
            }
            UsageFormat::of(&headers)
        };
        for (value, expected) in [
            ("application/cloudevents+json", UsageFormat::Single),
            ("Application/CloudEvents+JSON ; charset=utf-8", UsageFormat::Single),
            ("application/cloudevents-batch+json", UsageFormat::Batch),
            ("application/cloudevents-batch+json;charset=UTF-8", UsageFormat::Batch),
        ] {
            assert_eq!(format(&[value]), Ok(expected), "{value}");
        }
        for value in [
            "",
            "application/json",
            "application/cloudevents",
            "application/cloudevents+xml",
        ] {
            assert_eq!(format(&[value]), Err(UsageRefusal::MediaType), "{value}");
        }
        assert_eq!(format(&[]), Err(UsageRefusal::MediaType));
        let two = ["application/cloudevents+json", "application/cloudevents-batch+json"];
        assert_eq!(format(&two), Err(UsageRefusal::MediaType));
    }

    #[test]
    fn every_event_keeps_its_own_text() {
        let one = UsageReport {
            key: "/chat 1".to_owned(),
            body: EVENT.as_bytes(),
        };
        assert_eq!(read(UsageFormat::Single, EVENT.as_bytes()), Ok(vec![one]));
        let other = EVENT.replace(r#""id":"1""#, r#""id" : "2", "x":"\u00e9""#);
        let both = format!(" [ {EVENT} ,\n{other}] ");
        let reports = read(UsageFormat::Batch, both.as_bytes()).expect("a batch");
        let bodies: Vec<&[u8]> = reports.iter().map(|report| report.body).collect();
        assert_eq!(bodies, [EVENT.as_bytes(), other.as_bytes()]);
        assert_eq!(reports[1].key, "/chat 2");
        assert_eq!(read(UsageFormat::Batch, b"[]"), Ok(vec![]));
    }

    #[test]
    fn a_time_far_ahead_or_far_back_is_refused() {
        let at = |time: &str| EVENT.replace(r#""id""#, &format!(r#""time":"{time}","id""#));
        for time in [
            "2026-01-31T00:05:00Z",
            "2026-01-31T00:00:00Z",
            "2026-01-01T00:00:00Z",
            // 35 days back.
            "2025-12-27T00:00:00Z",
        ] {
            let event = at(time);
            assert_eq!(
                read(UsageFormat::Single, event.as_bytes()).map(|r| r.len()),
                Ok(1),
                "{time}"
            );
        }
        for (time, problem) in [
            ("2026-01-31T00:05:01Z", "time: must not lie more than 5 minutes ahead"),
            ("2027-03-07T00:00:00Z", "time: must not lie more than 5 minutes ahead"),
            ("2025-12-26T23:59:59Z", "time: must not lie further back than 35d"),
            ("0001-01-01T00:00:00Z", "time: must not lie further back than 35d"),
        ] {
            let refusal = read(UsageFormat::Single, at(time).as_bytes()).expect_err(time);
            assert!(refusal.to_string().starts_with(problem), "{time}: {refusal}");
        }
        let batch = format!("[{EVENT},{}]", at("2027-03-07T00:00:00Z"));
        let refusal = read(UsageFormat::Batch, batch.as_bytes()).expect_err("a batch");
        assert!(refusal.to_string().starts_with("[1].time: must not"), "{refusal}");
    }

    #[test]
    fn an_error_in_a_batch_names_the_index_of_the_event() {
        let bad = EVENT.replace("1200", "-1");
        for (body, expected) in [
            (format!("[{EVENT},{bad}]"), "[1].data.amount: must be"),
            (format!("[{EVENT},[]]"), "[1]: the event must be a JSON object"),
            ("[null]".to_owned(), "[0]: the event must be a JSON object"),
            (EVENT.to_owned(), "the batch must be a JSON array of events"),
            (format!("[{EVENT},]"), "the batch is not JSON"),
            (format!("[{EVENT}][]"), "the batch is not JSON"),
            (String::new(), "the batch is not JSON"),
        ] {
            let refusal = read(UsageFormat::Batch, body.as_bytes()).expect_err(&body);
            assert!(refusal.to_string().starts_with(expected), "{body}: {refusal}");
            assert!(matches!(refusal, UsageRefusal::Event(_)));
        }
        assert!(read(UsageFormat::Batch, b"[\"\xff\"]").is_err());
        assert!(read(UsageFormat::Single, format!("[{EVENT}]").as_bytes()).is_err());
    }

    #[test]
    fn a_batch_has_a_thousand_events_at_most() {
        let batch = |count| format!("[{}]", vec![EVENT; count].join(","));
        let full = batch(BATCH_EVENTS_MAX);
        assert_eq!(
            read(UsageFormat::Batch, full.as_bytes()).map(|reports| reports.len()),
            Ok(BATCH_EVENTS_MAX)
        );
        let over = batch(BATCH_EVENTS_MAX + 1);
        assert_eq!(
            read(UsageFormat::Batch, over.as_bytes()),
            Err(UsageRefusal::BatchTooLong)
        );
    }
}
