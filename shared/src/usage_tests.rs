//! Tables of usage reports, good and bad.

use super::*;
use serde_json::{Value, json};

fn event() -> Value {
    json!({
        "specversion": "1.0",
        "type": "usage",
        "source": "/chat",
        "id": "req 1",
        "subject": "user_1",
        "data": { "meter": "tokens", "amount": 1200 },
    })
}

/// The event with the member at `path` set to `value`; null is as good as absent.
fn with(path: &str, value: Value) -> String {
    let mut event = event();
    match path.split_once('.') {
        Some((outer, inner)) => event[outer][inner] = value,
        None => event[path] = value,
    }
    event.to_string()
}

fn read(body: &str) -> UsageEvent {
    UsageEvent::read(body.as_bytes()).unwrap_or_else(|error| panic!("{body}: {error}"))
}

/// Checks that `body` is refused because of `field`, and returns its text.
#[track_caller]
fn refused(body: impl AsRef<[u8]>, field: &str) -> String {
    let body = body.as_ref();
    let error = UsageEvent::read(body).expect_err(&String::from_utf8_lossy(body));
    assert_eq!(error.field, field, "{}: {error}", String::from_utf8_lossy(body));
    let text = error.to_string();
    assert!(text.starts_with(field) && !text.contains("hush"), "{text}");
    assert!(text.len() < 150, "{text}");
    text
}

#[test]
fn an_event_is_read_whole() {
    assert_eq!(
        read(&event().to_string()),
        UsageEvent {
            source: "/chat".to_owned(),
            id: "req 1".to_owned(),
            subject: "user_1".to_owned(),
            time: None,
            meter: "tokens".to_owned(),
            what: Amount::Units(1200),
        }
    );
    let kinds = read(&with(
        "data",
        json!({"meter": "tokens", "quantities": {"output": 0, "input": 600}}),
    ));
    let expected = BTreeMap::from([("input".to_owned(), 600), ("output".to_owned(), 0)]);
    assert_eq!(kinds.what, Amount::Quantities(expected));
}

#[test]
fn two_pairs_of_source_and_id_never_have_the_same_key() {
    assert_eq!(read(&event().to_string()).key(), "/chat req 1");
    let (one, other) = (read(&with("id", json!("1 2"))), read(&with("id", json!("1  2"))));
    assert_ne!(one.key(), other.key());
}

#[test]
fn attributes_that_cloudevents_allows_pass() {
    for (path, value) in [
        ("id", json!("é".repeat(127) + "x")),
        ("subject", json!("auth0|a b")),
        ("source", json!("https://example.com/a?b#c")),
        ("time", Value::Null),
        ("datacontenttype", json!("application/json; charset=utf-8")),
        ("datacontenttype", json!("Application/Vnd.Use+JSON")),
        ("datacontenttype", Value::Null),
        ("dataschema", json!("urn:x")),
        ("traceparent", json!({"any": [1, 2.5, {"thing": null}]})),
        ("data.amount", json!(0)),
        ("data.amount", json!(AMOUNT_MAX)),
        ("data.quantities", Value::Null),
        ("data.note", json!("hush")),
    ] {
        read(&with(path, value));
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    read(&event().to_string().replacen('{', &format!("{{\"deep\":{deep},"), 1));
    let spelled = event().to_string().replace("\"id\"", "\"\\u0069d\"");
    assert_eq!(read(&format!(" \n{spelled}\t")).id, "req 1");
}

#[test]
fn a_time_is_kept_in_whole_seconds_rounded_down() {
    for (text, seconds) in [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:01.999999999Z", 1),
        ("1969-12-31T23:59:59.5Z", -1),
        ("2026-01-31T23:59:59+01:00", 1_769_900_399),
    ] {
        assert_eq!(read(&with("time", json!(text))).time, Some(seconds), "{text}");
    }
    for wrong in [
        json!("hush"),
        json!("2026-01-31"),
        json!("2026-01-31T23:59:59"),
        json!("2026-02-30T00:00:00Z"),
        json!(1_769_900_399),
        json!(""),
    ] {
        refused(with("time", wrong), "time");
    }
}

#[test]
fn a_bad_attribute_is_named() {
    let long = "x".repeat(256);
    for (field, value) in [
        ("specversion", json!("0.3")),
        ("specversion", json!(1.0)),
        ("specversion", Value::Null),
        ("type", json!("Usage")),
        ("type", json!("invoice.paid")),
        ("type", Value::Null),
        ("id", json!("")),
        ("id", json!(7)),
        ("id", json!(long)),
        ("id", json!("a\r\nhush")),
        ("id", Value::Null),
        ("source", json!("")),
        ("source", json!("a b")),
        ("source", json!("a\u{a0}b")),
        ("source", json!("a\u{0}b")),
        ("source", json!(long)),
        ("source", Value::Null),
        ("subject", json!("")),
        ("subject", json!(["hush"])),
        ("subject", json!("hush\u{7f}")),
        ("subject", json!(long)),
        ("subject", Value::Null),
        ("datacontenttype", json!("text/xml")),
        ("datacontenttype", json!(7)),
        ("data_base64", json!("aHVzaA==")),
        ("data", Value::Null),
        ("data", json!("hush")),
        ("data", json!([1])),
        ("data.meter", json!("")),
        ("data.meter", json!({"hush": 1})),
        ("data.meter", json!("to\u{0}kens")),
        ("data.meter", json!(long)),
        ("data.meter", Value::Null),
        ("data.amount", json!(1200.0)),
        ("data.amount", json!("1200")),
        ("data.amount", json!(-1)),
        ("data.amount", json!(9_223_372_036_854_775_808_u64)),
        ("data.amount", json!(AMOUNT_MAX + 1)),
        ("data.amount", json!(1e3)),
        ("data.amount", json!([1200])),
        ("data.amount", json!(true)),
    ] {
        refused(with(field, value), field);
    }
}

#[test]
fn an_amount_is_either_units_or_quantities() {
    refused(with("data.amount", Value::Null), "data");
    assert!(refused(with("data.quantities", json!({"input": 1})), "data").contains("not both"));
    let many: BTreeMap<String, i64> = (0..33).map(|kind| (kind.to_string(), 1)).collect();
    for (quantities, field) in [
        (json!({}), "data.quantities"),
        (json!([1]), "data.quantities"),
        (json!(5), "data.quantities"),
        (json!(many), "data.quantities"),
        (json!({"": 1}), "data.quantities"),
        (json!({"in\u{0}put": 1}), "data.quantities"),
        (json!({"x".repeat(256): 1}), "data.quantities"),
        (json!({"input": 1.5}), "data.quantities.input"),
        (json!({"input": null}), "data.quantities.input"),
        (json!({"a": 1, "output": -1}), "data.quantities.output"),
        (json!({"hush hush": "hush"}), "data.quantities"),
    ] {
        refused(
            with("data", json!({"meter": "tokens", "quantities": quantities})),
            field,
        );
    }
    let mut fit = many;
    fit.remove("0");
    read(&with("data", json!({"meter": "tokens", "quantities": fit})));
}

#[test]
fn a_field_that_is_there_twice_is_refused() {
    let body = event().to_string();
    refused(body.replacen('{', "{\"id\":\"hush\",", 1), "id");
    refused(body.replacen('{', "{\"id\":null,", 1), "id");
    refused(
        body.replace("\"amount\":1200", "\"amount\":1200,\"amount\":1"),
        "data.amount",
    );
    let kinds = "\"quantities\":{\"input\":1,\"input\":2}";
    refused(body.replace("\"amount\":1200", kinds), "data.quantities");
}

#[test]
fn a_body_that_is_not_a_json_object_is_no_event() {
    let body = event().to_string();
    for wrong in ["", "hush", "{", &body[..body.len() - 1], &format!("{body}{body}")] {
        assert!(refused(wrong, "").contains("not JSON"), "{wrong}");
    }
    for wrong in ["[]", "null", "7", "\"hush\"", &format!("[{body}]")] {
        assert_eq!(refused(wrong, ""), "the event must be a JSON object");
    }
    assert_eq!(refused(b"{\"id\": \"\xff\"}", ""), "the event is not UTF-8");
}

#[test]
fn an_error_in_a_batch_has_the_index_of_the_event() {
    let error = UsageError::new("data.amount", "is missing").at(3);
    assert_eq!(error.to_string(), "[3].data.amount: is missing");
    let error = UsageError::new("", "the event must be a JSON object").at(0);
    assert_eq!(error.to_string(), "[0]: the event must be a JSON object");
}
