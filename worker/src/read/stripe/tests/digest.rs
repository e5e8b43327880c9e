//! Digests of whole objects. They show which event continues which.

use super::{
    subscription::{since_basil, subscription, updated},
    *,
};
use crate::domain::{
    fact::{Digests, Phase},
    subscription::account::Account,
};
use crate::read::stripe::{json::JsonObject, tree::Json};

/// The digest of an object.
#[track_caller]
fn digest(text: &str) -> i64 {
    let json: Json<'_> = serde_json::from_str(text).expect("JSON");
    JsonObject::of(&json, "the object").expect("an object").digest()
}

/// The digest of an object before a change.
#[track_caller]
fn digest_before(now: &str, previous: &str) -> i64 {
    let (now, previous): (Json<'_>, Json<'_>) = (
        serde_json::from_str(now).expect("JSON"),
        serde_json::from_str(previous).expect("JSON"),
    );
    let previous = JsonObject::of(&previous, "the previous attributes").expect("an object");
    JsonObject::of(&now, "the object")
        .expect("an object")
        .before(previous)
        .digest()
}

#[test]
fn the_order_of_fields_and_null_fields_do_not_change_the_digest() {
    let plain = r#"{"a": 1, "b": {"c": "x", "d": [1, {"e": true, "f": 2}]}}"#;
    for same in [
        r#"{"b": {"d": [1, {"f": 2, "e": true}], "c": "x"}, "a": 1}"#,
        r#"{"a": 1, "z": null, "b": {"c": "x", "y": null, "d": [1, {"e": true, "f": 2, "x": null}]}}"#,
        r#"{"a":1,"b":{"c":"\u0078","d":[1,{"e":true,"f":2}]}}"#,
        // The last of equal keys counts.
        r#"{"a": 7, "a": 1, "b": {"c": "x", "d": [1, {"e": true, "f": 2}]}}"#,
    ] {
        assert_eq!(digest(same), digest(plain), "{same}");
    }
}

#[test]
fn every_other_difference_changes_the_digest() {
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
            assert_ne!(digest(one), digest(other), "{one} {other}");
        }
    }
}

#[test]
fn the_digest_before_a_change_is_that_of_the_old_object() {
    for (old, now, previous) in [
        (r#"{"a": 1, "b": 2}"#, r#"{"a": 3, "b": 2}"#, r#"{"a": 1}"#),
        (r#"{"b": 2}"#, r#"{"a": 3, "b": 2}"#, r#"{"a": null}"#),
        (r#"{"a": 1, "b": 2}"#, r#"{"b": 2}"#, r#"{"a": 1}"#),
        (r#"{"a": 1, "b": 2}"#, r#"{"a": null, "b": 2}"#, r#"{"a": 1}"#),
        (r#"{"a": 1}"#, r#"{"a": 1}"#, "{}"),
        // Objects are merged at every depth.
        (
            r#"{"a": {"b": 1, "c": {"d": 2, "e": 3}}}"#,
            r#"{"a": {"b": 1, "c": {"d": 9, "e": 3, "f": 4}}}"#,
            r#"{"a": {"c": {"d": 2, "f": null}}}"#,
        ),
        (r#"{"a": {"k": "v"}}"#, r#"{"a": {}}"#, r#"{"a": {"k": "v"}}"#),
        (r#"{"a": {}}"#, r#"{"a": {"k": "v"}}"#, r#"{"a": {"k": null}}"#),
        // An object that is new, gone, or had another type.
        ("{}", r#"{"a": {"b": 1}}"#, r#"{"a": null}"#),
        (r#"{"a": {"b": 1}}"#, r#"{"a": null}"#, r#"{"a": {"b": 1}}"#),
        (r#"{"a": "in_1"}"#, r#"{"a": {"id": "in_1"}}"#, r#"{"a": "in_1"}"#),
        // Arrays are replaced, with the objects in them.
        (r#"{"a": [1, 2]}"#, r#"{"a": [3]}"#, r#"{"a": [1, 2]}"#),
        (
            r#"{"a": {"data": [{"x": 1}], "more": false}}"#,
            r#"{"a": {"data": [{"x": 2, "y": 3}], "more": false}}"#,
            r#"{"a": {"data": [{"x": 1}]}}"#,
        ),
    ] {
        assert_eq!(digest_before(now, previous), digest(old), "{now} before {previous}");
    }
}

#[test]
fn an_event_has_digests_of_the_whole_object_before_and_after() {
    let old = with(
        &with(&since_basil(), "/default_payment_method", json!("pm_1")),
        "/metadata/team",
        json!("a"),
    );
    let mut now = with(&old, "/default_payment_method", json!("pm_2"));
    now = with(&now, "/metadata/team", json!("b"));
    now = with(&now, "/items/data/0/tax_rates", json!(["txr_1"]));
    let previous = json!({
        "default_payment_method": "pm_1", "metadata": {"team": "a"}, "items": {"data": old["items"]["data"]},
    });
    let event = with(&updated(&now), "/data/previous_attributes", previous);
    let fact = subscription(&event);
    let expected = Digests {
        before: Some(digest(&old.to_string())),
        now: digest(&now.to_string()),
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
fn a_former_state_with_an_unknown_price_has_a_digest_too() {
    let old = with(&since_basil(), "/items/data/0/price/lookup_key", json!("unheard_of"));
    let previous = json!({"items": {"data": old["items"]["data"]}});
    let fact = subscription(&with(&updated(&since_basil()), "/data/previous_attributes", previous));
    assert_eq!(fact.before, None);
    assert_eq!(fact.digests.and_then(|p| p.before), Some(digest(&old.to_string())));
}

#[test]
fn a_deleted_subscription_of_an_unknown_price_ends_whatever_its_status() {
    let unknown = with(&since_basil(), "/items/data/0/price/lookup_key", json!("unheard_of"));
    for status in ["active", "trialing", "past_due", "canceled", "unpaid"] {
        let object = with(&unknown, "/status", json!(status));
        let known = fact(&with(&updated(&since_basil()), "/id", json!("evt_0")));
        let mut last = fact(&event("customer.subscription.deleted", &object));
        last.created += 1;
        let FactBody::Subscription(subscription) = &last.body else {
            panic!("it is about a subscription")
        };
        assert_eq!(
            (subscription.phase, subscription.now.plan.as_ref()),
            (Phase::Deleted, None),
            "{status}"
        );
        for order in [vec![&known, &last], vec![&last, &known]] {
            let folded = &Account::fold(&order).subscriptions[0];
            assert!(folded.ended && !folded.entitled(), "{status}");
            let tier = folded.plan.as_ref().map(|p| p.tier.as_str());
            assert_eq!(tier, Some("plus"), "it keeps its last value");
        }
        let folded = &Account::fold(&[&last]).subscriptions[0];
        assert!(folded.ended && !folded.entitled() && folded.plan.is_none(), "{status}");
    }
}
