//! JSON that is odd where we do not read it fails no event.

use super::{malformed::subscription, *};

#[test]
fn a_field_that_is_not_read_may_have_any_value() {
    let mut deep = json!("deep");
    for _ in 0..90 {
        deep = json!([deep]);
    }
    for odd in [
        deep,
        json!("a\u{0}b"),
        json!(1e300),
        json!(u64::MAX),
        json!({"": {"": []}}),
        json!([null]),
    ] {
        for pointer in [
            "/note",
            "/data/note",
            "/data/object/note",
            "/data/object/items/data/0/note",
        ] {
            assert!(
                meaning(&with(&subscription(), pointer, odd.clone())).is_ok(),
                "{pointer}"
            );
        }
    }
}

/// `text` in place of the word `NOTE` of a subscription's event.
fn with_note(text: &str) -> Vec<u8> {
    let event = with(&subscription(), "/data/object/note", json!("NOTE")).to_string();
    event.replace("\"NOTE\"", text).into_bytes()
}

#[test]
fn json_that_rust_cannot_hold_fails_no_event_where_it_is_not_read() {
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    let objects = r#"{"a":"#.repeat(5_000) + "1" + &"}".repeat(5_000);
    for odd in [
        r#""\ud800""#,
        r#"{"\udc00":["x\ud83d"]}"#,
        "1e400",
        "-1E+999",
        &"9".repeat(400),
        &deep,
        &objects,
    ] {
        let (envelope, meaning) = read_bytes(&with_note(odd));
        let shown: String = odd.chars().take(20).collect();
        assert_eq!(envelope.id.as_str(), "evt_1", "{shown}");
        let plain = read_bytes(&with_note("1")).1.expect("a fact");
        let (Ok(Meaning::Fact(mut read)), Meaning::Fact(plain)) = (meaning, plain) else {
            panic!("{shown}")
        };
        // The digest alone is of the whole object.
        let (FactBody::Subscription(odd), FactBody::Subscription(same)) = (&mut read.body, &plain.body) else {
            panic!("{shown}")
        };
        odd.digests = same.digests;
        assert_eq!(read, plain, "{shown}");
    }
}

#[test]
fn json_that_rust_cannot_hold_is_refused_under_the_events_id_where_it_is_read() {
    for (pointer, field) in [
        ("/data/object/metadata/user_id", "user_id"),
        ("/data/object/status", "status"),
        ("/created", "created"),
    ] {
        for odd in [r#""\ud800""#, "1e400"] {
            let event = with(&subscription(), pointer, json!("NOTE")).to_string();
            let (envelope, meaning) = read_bytes(event.replace("\"NOTE\"", odd).as_bytes());
            let refusal = meaning.expect_err(odd);
            assert_eq!((envelope.id.as_str(), refusal.reason), ("evt_1", Permanent::Malformed));
            assert!(refusal.detail.contains(field), "{pointer}: {}", refusal.detail);
        }
    }
}

#[test]
fn of_equal_keys_the_last_one_counts() {
    let body = subscription()
        .to_string()
        .replacen('{', r#"{"id":7,"id":"evt_0","type":"x","#, 1);
    let (envelope, meaning) = read_bytes(body.as_bytes());
    assert_eq!(
        (envelope.id.as_str(), envelope.kind.as_str()),
        ("evt_1", "customer.subscription.updated")
    );
    assert!(matches!(meaning, Ok(Meaning::Fact(_))));
}

#[test]
fn metadata_that_is_null_or_an_empty_list_is_none() {
    let session = json!({"id": "cs_1", "mode": "payment", "client_reference_id": "u1", "payment_status": "unpaid"});
    let ended = with(&subscription(), "/type", json!("customer.subscription.deleted"));
    for (event, pointer) in [
        (subscription(), "/data/object/metadata"),
        (subscription(), "/data/object/items/data/0/price/metadata"),
        (ended, "/data/object/metadata"),
        (event("checkout.session.completed", &session), "/data/object/metadata"),
    ] {
        for metadata in [json!(null), json!([])] {
            let event = with(&event, pointer, metadata);
            assert!(matches!(meaning(&event), Ok(Meaning::Fact(_))), "{event:#}");
        }
    }
}
