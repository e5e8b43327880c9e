//! `checkout.session.*`: its user, its subscription, and what it sold.

use super::*;
use crate::domain::{
    fact::{Grant, SessionFact, SessionStep},
    ids::{SubscriptionId, UserId},
};

fn of_subscription() -> Value {
    json!({
        "id": "cs_1", "object": "checkout.session", "mode": "subscription", "payment_status": "paid",
        "customer": "cus_1", "subscription": "sub_1", "client_reference_id": "u2", "metadata": {"user_id": "u1"},
    })
}

fn of_pack() -> Value {
    json!({
        "id": "cs_1", "object": "checkout.session", "mode": "payment", "payment_status": "paid", "customer": null,
        "subscription": null, "client_reference_id": "u1", "payment_intent": "pi_1", "metadata": {"pack": "tokens_5m"},
    })
}

#[track_caller]
fn session(kind: &str, object: &Value) -> SessionFact {
    match body_of(&event(&format!("checkout.session.{kind}"), object)) {
        FactBody::Session(fact) => fact,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_session_of_a_subscription_links_it_to_its_user() {
    let expected = SessionFact {
        session: "cs_1".to_owned(),
        step: SessionStep::Completed,
        mode: "subscription".to_owned(),
        payment_status: "paid".to_owned(),
        subscription: Some(SubscriptionId::new("sub_1")),
        user: Some(UserId::new("u1")),
        reference: Some(UserId::new("u2")),
        payment_intent: None,
        amount_total: None,
        currency: None,
        invoice: None,
        grants: Vec::new(),
    };
    assert_eq!(session("completed", &of_subscription()), expected);
    let expanded = with(
        &of_subscription(),
        "/subscription",
        json!({"id": "sub_1", "status": "active"}),
    );
    let expanded = with(&expanded, "/customer", json!({"id": "cus_1"}));
    assert_eq!(session("completed", &expanded), expected);
    assert_eq!(
        fact(&event("checkout.session.completed", &expanded)).account.as_str(),
        "cus_1"
    );
}

#[test]
fn a_session_without_a_customer_is_an_account_of_its_own() {
    assert_eq!(
        fact(&event("checkout.session.completed", &of_pack())).account.as_str(),
        "cs_1"
    );
}

#[test]
fn a_user_id_has_at_most_255_bytes() {
    let longest = "ü".repeat(127) + "u";
    for (pointer, key) in [
        ("/metadata/user_id", "user_id"),
        ("/client_reference_id", "client_reference_id"),
    ] {
        let fits = session("completed", &with(&of_subscription(), pointer, json!(longest)));
        assert!([fits.user, fits.reference].contains(&Some(UserId::new(longest.clone()))));
        let too_long = with(&of_subscription(), pointer, json!(longest.clone() + "u"));
        let (reason, detail) = refusal(&event("checkout.session.completed", &too_long));
        assert_eq!(reason, Permanent::Malformed);
        assert!(
            detail.contains(key) && detail.contains("255") && !detail.contains('ü'),
            "{detail}"
        );
    }
}

/// What a pack's session grants, in units.
#[track_caller]
fn check_grant(kind: &str, object: &Value, expected: Option<i64>) {
    let grant = session(kind, object).grants.pop();
    assert_eq!(grant.map(|g| g.credits), expected, "{kind} {object}");
}

#[test]
fn a_paid_pack_is_granted_and_an_unpaid_one_is_not() {
    for (kind, payment_status, expected) in [
        ("completed", json!("paid"), Some(5_000_000)),
        ("completed", json!("no_payment_required"), Some(5_000_000)),
        ("completed", json!("unpaid"), None),
        ("completed", json!("a_word_of_next_year"), None),
        ("completed", json!(null), None),
        ("async_payment_succeeded", json!("paid"), Some(5_000_000)),
        ("async_payment_succeeded", json!("unpaid"), Some(5_000_000)),
        ("async_payment_failed", json!("unpaid"), None),
        ("async_payment_failed", json!("paid"), None),
        ("expired", json!("unpaid"), None),
    ] {
        check_grant(kind, &with(&of_pack(), "/payment_status", payment_status), expected);
    }
}

#[test]
fn only_a_one_time_payment_grants_credits() {
    for mode in ["subscription", "setup", "a_mode_of_next_year"] {
        check_grant("completed", &with(&of_pack(), "/mode", json!(mode)), None);
    }
}

#[test]
fn the_quantity_multiplies_the_credits() {
    for (pack, quantity, expected) in [
        ("tokens_5m", json!(null), ("tokens", 5_000_000)),
        ("tokens_5m", json!("1"), ("tokens", 5_000_000)),
        ("tokens_5m", json!("3"), ("tokens", 15_000_000)),
        ("voice_500k", json!("2"), ("voice_chars", 1_000_000)),
    ] {
        let object = with(&of_pack(), "/metadata", json!({"pack": pack, "quantity": quantity}));
        let expected = Grant {
            pack: pack.to_owned(),
            meter: expected.0.to_owned(),
            credits: expected.1,
        };
        assert_eq!(session("completed", &object).grants, [expected]);
    }
}

#[test]
fn a_quantity_that_is_no_number_of_packs_is_malformed() {
    for quantity in [
        "",
        "0",
        "-1",
        "1.5",
        "two",
        " 2",
        "1e3",
        "9223372036854775807",
        "99999999999999999999",
    ] {
        let object = with(&of_pack(), "/metadata/quantity", json!(quantity));
        let (reason, detail) = refusal(&event("checkout.session.completed", &object));
        assert_eq!(reason, Permanent::Malformed, "{quantity}");
        assert!(detail.contains("metadata.quantity"), "{detail}");
        // A session that grants nothing is not refused for its quantity.
        check_grant("expired", &object, None);
    }
}

#[test]
fn a_pack_that_the_catalog_does_not_have_is_a_dead_letter() {
    let object = with(&of_pack(), "/metadata", json!({"pack": "gold"}));
    let (reason, detail) = refusal(&event("checkout.session.completed", &object));
    assert_eq!(reason, Permanent::UnknownPack);
    assert!(
        detail.contains("metadata.pack") && detail.contains("replay"),
        "{detail}"
    );
    check_grant("expired", &object, None);
}

#[test]
fn a_paid_session_that_names_no_pack_needs_a_lookup_and_is_dead_without_one() {
    for metadata in [json!({"pack": ""}), json!({}), json!(null)] {
        let object = with(&of_pack(), "/metadata", metadata);
        let Ok(Meaning::NeedsLookup(lookup)) = meaning(&event("checkout.session.completed", &object)) else {
            panic!("no look-up for {object:#}");
        };
        let refusal = lookup.unanswered;
        assert_eq!(refusal.reason, Permanent::UnknownPack);
        assert!(
            refusal.detail.contains("metadata.pack") && refusal.detail.contains("replay"),
            "{}",
            refusal.detail
        );
        check_grant("expired", &object, None);
        check_grant("completed", &with(&object, "/payment_status", json!("unpaid")), None);
    }
}
