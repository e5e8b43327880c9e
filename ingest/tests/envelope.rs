//! A table of bodies that are events, and of bodies that are not.

use ingest::envelope::{EventHead, NotAnEvent};

#[track_caller]
fn check(body: impl AsRef<[u8]>, expected: Result<(&str, &str), NotAnEvent>) {
    let body = body.as_ref();
    let read = EventHead::read(body);
    let read = read.as_ref().map(|e| (&*e.id, &*e.kind)).map_err(|e| *e);
    assert_eq!(read, expected, "{}", String::from_utf8_lossy(body));
}

#[test]
fn any_object_with_id_type_and_created_is_an_event() {
    let expected = Ok(("evt_1", "invoice.paid"));
    for body in [
        r#"{"id":"evt_1","type":"invoice.paid","created":1700000000}"#,
        r#" {"created":0,"data":{"id":"in_1","type":7},"type":"invoice.paid","id":"evt_1"} "#,
        r#"{"id":"evt_1","type":"invoice.paid","created":-1,"api_version":"2099-01-01.yew","new":[[],{}]}"#,
        r#"{"id":"\u0065vt_1","type":"invoice\u002epaid","created":1700000000}"#,
        r#"{"id":"evt_1","type":"invoice.paid","created":"2025-10-04T15:13:32.232083866Z"}"#,
        r#"{"id":"evt_1","type":"invoice.paid","created":"2022-02-15T00:27:45.330+01:00"}"#,
    ] {
        check(body, expected);
    }
    let deep = format!(
        r#"{{"id":"evt_1","type":"invoice.paid","created":1,"deep":{}{}}}"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    check(deep, expected);
    // Of equal keys the last one counts, also for the worker.
    check(
        r#"{"id":7,"type":[{}],"created":{},"id":"evt_0","type":"x","created":1,"id":"evt_1","type":"invoice.paid","created":2}"#,
        expected,
    );
    // What Rust cannot hold is no matter where it is not read.
    for odd in [r#""\ud800""#, "1e400", r#"{"\udc00":"\ud83d"}"#] {
        check(
            format!(r#"{{"id":"evt_1","type":"invoice.paid","created":1,"\ud800":{odd},"data":{{"a":{odd}}}}}"#),
            expected,
        );
    }
    let longest = "é".repeat(127) + "x";
    check(
        format!(r#"{{"id":"{longest}","type":"ünknown","created":1}}"#),
        Ok((&longest, "ünknown")),
    );
}

#[test]
fn a_body_that_is_not_json_is_not_an_event() {
    let bodies: [&[u8]; 8] = [
        b"",
        b" ",
        b"not JSON",
        b"\xff\xfe\x00",
        b"{\"id\":\"evt_1\",\"type\":\"x\",\"created\":1,\"name\":\"\xff\"}",
        br#"{"id":"evt_1","type":"x","created":1"#,
        br#"{"id":"evt_1","type":"x","created":1}{}"#,
        b"\xef\xbb\xbf{}",
    ];
    for body in bodies {
        check(body, Err(NotAnEvent::NotJson));
    }
}

#[test]
fn a_missing_or_mistyped_field_is_not_an_event() {
    for body in [
        "null",
        "1",
        r#""evt_1""#,
        "[]",
        r#"["evt_1","x",1]"#,
        "{}",
        r#"{"type":"x","created":1}"#,
        r#"{"id":"evt_1","created":1}"#,
        r#"{"id":"evt_1","type":"x"}"#,
        r#"{"id":1,"type":"x","created":1}"#,
        r#"{"id":null,"type":"x","created":1}"#,
        r#"{"id":"evt_1","type":{},"created":1}"#,
        r#"{"id":"evt_1","type":"x","created":null}"#,
        r#"{"id":"evt_1","type":"x","created":"yesterday"}"#,
        r#"{"id":"evt_1","type":"x","created":true}"#,
        r#"{"id":"evt_1","type":"x","created":18446744073709551615}"#,
        r#"{"id":"evt_1","id":null,"type":"x","created":1}"#,
        r#"{"id":"evt_1","type":"x","created":{"a":[1]}}"#,
        r#"{"id":["evt_1"],"type":"x","created":1.5}"#,
    ] {
        check(body, Err(NotAnEvent::Fields));
    }
}

#[test]
fn an_id_must_fit_a_message_and_a_log_line() {
    let long = "x".repeat(256);
    for id in ["", &long, r"a\r\nb", r"a\u0000", r"\u007f"] {
        check(
            format!(r#"{{"id":"{id}","type":"x","created":1}}"#),
            Err(NotAnEvent::Id),
        );
    }
    check(r#"{"id":"evt_1","type":"","created":1}"#, Err(NotAnEvent::Type));
}
