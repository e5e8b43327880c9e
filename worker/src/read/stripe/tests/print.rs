//! Digests of whole objects: by them one event continues another.

use super::{
    subscription::{since_basil, subscription, updated},
    *,
};
use crate::domain::{
    fact::{Digests, Phase},
    subscription::account::Account,
};
use crate::read::stripe::{json::Object, tree::Json};

/// The digest of an object.
#[track_caller]
fn print(text: &str) -> i64 {
    let json: Json<'_> = serde_json::from_str(text).expect("JSON");
    Object::of(&json, "the object").expect("an object").print()
}

/// The digest of what an object was before a change.
#[track_caller]
fn print_before(now: &str, previous: &str) -> i64 {
    let (now, previous): (Json<'_>, Json<'_>) = (
        serde_json::from_str(now).expect("JSON"),
        serde_json::from_str(previous).expect("JSON"),
    );
    let previous = Object::of(&previous, "the previous attributes").expect("an object");
    Object::of(&now, "the object")
        .expect("an object")
        .before(previous)
        .print()
}

#[test]
fn the_order_of_fields_and_what_is_null_make_no_difference() {
    let plain = r#"{"a": 1, "b": {"c": "x", "d": [1, {"e": true, "f": 2}]}}"#;
    for same in [
        r#"{"b": {"d": [1, {"f": 2, "e": true}], "c": "x"}, "a": 1}"#,
        r#"{"a": 1, "z": null, "b": {"c": "x", "y": null, "d": [1, {"e": true, "f": 2, "x": null}]}}"#,
        r#"{"a":1,"b":{"c":"\u0078","d":[1,{"e":true,"f":2}]}}"#,
        // The last of equal keys counts.
        r#"{"a": 7, "a": 1, "b": {"c": "x", "d": [1, {"e": true, "f": 2}]}}"#,
    ] {
        assert_eq!(print(same), print(plain), "{same}");
    }
}

#[test]
fn whatever_else_is_different_makes_one() {
    let all = [
        "{}",
        r#"{"a": 1}"#,
        r#"{"a": 2}"#,
        r#"{"a": "1"}"#,
        r#"{"a": true}"#,
        r#"{"a": false}"#,
        r#"{"a": 0}"#,
        r#"{"a": ""}"#,
        r#"{"a": 1.5}"#,
        r#"{"a": {}}"#,
        r#"{"a": []}"#,
        r#"{"a": [1]}"#,
        r#"{"a": [1, 1]}"#,
        r#"{"a": [[1], 1]}"#,
        r#"{"a": [1, [1]]}"#,
        r#"{"a": [null]}"#,
        r#"{"a": {"b": 1}}"#,
        r#"{"a": {"b": {"c": 1}}}"#,
        r#"{"a": {"b": {}, "c": 1}}"#,
        r#"{"a": [{"b": 1, "c": 2}]}"#,
        r#"{"a": [{"b": 1}, {"c": 2}]}"#,
        r#"{"b": 1}"#,
        r#"{"a": 1, "b": 1}"#,
        r#"{"ab": 1}"#,
        r#"{"a": "b"}"#,
        r#"{"a": "bs"}"#,
        r#"{"a": "sb"}"#,
        r#"{"as": "b"}"#,
    ];
    for (place, one) in all.iter().enumerate() {
        for other in &all[place + 1..] {
            assert_ne!(print(one), print(other), "{one} {other}");
        }
    }
}

#[test]
fn what_it_was_before_a_change_is_what_the_old_object_was() {
    for (old, now, previous) in [
        (r#"{"a": 1, "b": 2}"#, r#"{"a": 3, "b": 2}"#, r#"{"a": 1}"#),
        (r#"{"b": 2}"#, r#"{"a": 3, "b": 2}"#, r#"{"a": null}"#),
        (r#"{"a": 1, "b": 2}"#, r#"{"b": 2}"#, r#"{"a": 1}"#),
        (r#"{"a": 1, "b": 2}"#, r#"{"a": null, "b": 2}"#, r#"{"a": 1}"#),
        (r#"{"a": 1}"#, r#"{"a": 1}"#, "{}"),
        // Hashes are merged, however deep.
        (
            r#"{"a": {"b": 1, "c": {"d": 2, "e": 3}}}"#,
            r#"{"a": {"b": 1, "c": {"d": 9, "e": 3, "f": 4}}}"#,
            r#"{"a": {"c": {"d": 2, "f": null}}}"#,
        ),
        (r#"{"a": {"k": "v"}}"#, r#"{"a": {}}"#, r#"{"a": {"k": "v"}}"#),
        (r#"{"a": {}}"#, r#"{"a": {"k": "v"}}"#, r#"{"a": {"k": null}}"#),
        // A hash that came, went, or was something else.
        ("{}", r#"{"a": {"b": 1}}"#, r#"{"a": null}"#),
        (r#"{"a": {"b": 1}}"#, r#"{"a": null}"#, r#"{"a": {"b": 1}}"#),
        (r#"{"a": "in_1"}"#, r#"{"a": {"id": "in_1"}}"#, r#"{"a": "in_1"}"#),
        // Arrays are whole, with the objects in them.
        (r#"{"a": [1, 2]}"#, r#"{"a": [3]}"#, r#"{"a": [1, 2]}"#),
        (
            r#"{"a": {"data": [{"x": 1}], "more": false}}"#,
            r#"{"a": {"data": [{"x": 2, "y": 3}], "more": false}}"#,
            r#"{"a": {"data": [{"x": 1}]}}"#,
        ),
    ] {
        assert_eq!(print_before(now, previous), print(old), "{now} before {previous}");
    }
}

#[test]
fn an_event_notes_the_whole_object_before_and_after() {
    let old = with(
        &with(&since_basil(), "/default_payment_method", json!("pm_1")),
        "/metadata/team",
        json!("a"),
    );
    let mut now = with(&old, "/default_payment_method", json!("pm_2"));
    now = with(&now, "/metadata/team", json!("b"));
    now = with(&now, "/items/data/0/quantity", json!(3));
    let previous = json!({
        "default_payment_method": "pm_1", "metadata": {"team": "a"}, "items": {"data": old["items"]["data"]},
    });
    let event = with(&updated(&now), "/data/previous_attributes", previous);
    let fact = subscription(&event);
    let expected = Digests {
        before: Some(print(&old.to_string())),
        now: print(&now.to_string()),
    };
    assert_eq!(fact.digests, Some(expected));
    assert_ne!(expected.before, Some(expected.now));
    assert_eq!(
        fact.before.as_ref(),
        Some(&fact.now),
        "nothing that we read has changed"
    );
    let repeats = subscription(&updated(&now));
    assert_eq!(
        repeats.digests,
        Some(Digests {
            before: None,
            ..expected
        })
    );
}

#[test]
fn a_past_of_an_unknown_price_still_has_its_digest() {
    let old = with(&since_basil(), "/items/data/0/price/lookup_key", json!("unheard_of"));
    let previous = json!({"items": {"data": old["items"]["data"]}});
    let fact = subscription(&with(&updated(&since_basil()), "/data/previous_attributes", previous));
    assert_eq!(fact.before, None);
    assert_eq!(fact.digests.and_then(|p| p.before), Some(print(&old.to_string())));
}

#[test]
fn a_deleted_subscription_of_an_unknown_price_ends_whatever_its_status() {
    let unknown = with(&since_basil(), "/items/data/0/price/lookup_key", json!("unheard_of"));
    for status in ["active", "trialing", "past_due", "canceled", "unpaid"] {
        let object = with(&unknown, "/status", json!(status));
        let known = fact(&with(&updated(&since_basil()), "/id", json!("evt_0")));
        let mut last = fact(&event("customer.subscription.deleted", &object));
        last.created += 1;
        let FactBody::Subscription(said) = &last.body else {
            panic!("it is about a subscription")
        };
        assert_eq!((said.phase, said.now.plan.as_ref()), (Phase::Deleted, None), "{status}");
        for told in [vec![&known, &last], vec![&last, &known]] {
            let folded = &Account::fold(&told).subscriptions[0];
            assert!(folded.ended && !folded.entitled(), "{status}");
            let tier = folded.plan.as_ref().map(|p| p.tier.as_str());
            assert_eq!(tier, Some("plus"), "it keeps its last value");
        }
        let folded = &Account::fold(&[&last]).subscriptions[0];
        assert!(folded.ended && !folded.entitled() && folded.plan.is_none(), "{status}");
    }
}
