//! `customer.subscription.*` in the shapes of several API versions.

use super::*;
use crate::domain::fact::{Period, Phase, Plan, Snapshot, SubscriptionFact};
use crate::domain::ids::UserId;

const START: i64 = CREATED;
const END: i64 = CREATED + 2_592_000;

/// API version 2020-08-27: the period and a plan on the subscription.
pub(super) fn before_basil() -> Value {
    json!({
        "id": "sub_1", "object": "subscription", "customer": "cus_1", "status": "active", "created": START,
        "current_period_start": START, "current_period_end": END,
        "cancel_at_period_end": false, "cancel_at": null, "canceled_at": null, "trial_end": null,
        "latest_invoice": "in_1", "pause_collection": null, "metadata": {"user_id": "u1"},
        "plan": plan(),
        "items": {"object": "list", "data": [{"id": "si_1", "plan": plan(), "price": price("plus_monthly")}]},
    })
}

/// Since API version 2025-03-31: the period on the items.
pub(super) fn since_basil() -> Value {
    json!({
        "id": "sub_1", "object": "subscription", "customer": "cus_1", "status": "active", "created": START,
        "billing_mode": {"type": "flexible"}, "cancel_at_period_end": false,
        "latest_invoice": "in_1", "metadata": {"user_id": "u1"},
        "items": {"object": "list", "data": [
            {"id": "si_1", "current_period_start": START, "current_period_end": END, "price": price("plus_monthly")},
        ]},
    })
}

fn price(lookup_key: &str) -> Value {
    json!({
        "id": "price_1", "object": "price", "lookup_key": lookup_key, "product": "prod_of_nobody", "metadata": {},
        "recurring": {"interval": "month", "interval_count": 1},
    })
}

/// A plan, from before there were prices. It has no lookup key.
fn plan() -> Value {
    json!({"id": "plan_1", "object": "plan", "product": "prod_basic", "interval": "month", "metadata": {}})
}

pub(super) fn updated(object: &Value) -> Value {
    event("customer.subscription.updated", object)
}

#[track_caller]
pub(super) fn subscription(event: &Value) -> SubscriptionFact {
    match body_of(event) {
        FactBody::Subscription(fact) => *fact,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
pub(super) fn now(object: &Value) -> Snapshot {
    subscription(&updated(object)).now
}

/// The tier of a snapshot, and its tokens.
fn bought(snapshot: &Snapshot) -> Option<(&str, Option<i64>)> {
    let plan: &Plan = snapshot.plan.as_ref()?;
    Some((plan.tier.as_str(), plan.limits["tokens"]))
}

#[test]
fn both_shapes_are_read_alike() {
    let mut snapshot = now(&since_basil());
    assert_eq!(snapshot.items[0].period, snapshot.period);
    snapshot.items[0].period = None;
    assert_eq!(snapshot, now(&before_basil()), "but for the item's own period");
    assert_eq!(bought(&snapshot), Some(("plus", Some(10_000_000))));
    let expected = Snapshot {
        customer: Some("cus_1".to_owned()),
        user: Some(UserId::new("u1")),
        status: "active".to_owned(),
        plan: snapshot.plan.clone(),
        items: snapshot.items.clone(),
        period: Some(Period { start: START, end: END }),
        cancel_at_period_end: false,
        cancel_at: None,
        canceled_at: None,
        trial_end: None,
        latest_invoice: Some("in_1".to_owned()),
        subscribed_at: START,
        collection_paused: false,
    };
    assert_eq!(snapshot, expected);
}

#[test]
fn each_event_type_has_its_phase() {
    for (kind, phase) in [
        ("created", Phase::Created),
        ("updated", Phase::Changed),
        ("paused", Phase::Changed),
        ("resumed", Phase::Changed),
        ("pending_update_applied", Phase::Changed),
        ("pending_update_expired", Phase::Changed),
        ("deleted", Phase::Deleted),
    ] {
        let fact = fact(&event(&format!("customer.subscription.{kind}"), &since_basil()));
        assert_eq!((fact.account.as_str(), fact.created), ("cus_1", CREATED));
        let FactBody::Subscription(subscription) = fact.body else {
            panic!("{kind} is about a subscription")
        };
        assert_eq!(
            (
                subscription.phase,
                subscription.subscription.as_str(),
                subscription.before
            ),
            (phase, "sub_1", None)
        );
    }
}

#[test]
fn every_field_is_read() {
    type Of = fn(&Snapshot) -> String;
    let cases: [(&str, Value, Of, &str); 12] = [
        ("/status", json!("a_new_word"), |s| s.status.clone(), "a_new_word"),
        (
            "/cancel_at_period_end",
            json!(true),
            |s| s.cancel_at_period_end.to_string(),
            "true",
        ),
        ("/cancel_at", json!(11), |s| format!("{:?}", s.cancel_at), "Some(11)"),
        (
            "/canceled_at",
            json!(12),
            |s| format!("{:?}", s.canceled_at),
            "Some(12)",
        ),
        ("/trial_end", json!(13), |s| format!("{:?}", s.trial_end), "Some(13)"),
        ("/created", json!(14), |s| s.subscribed_at.to_string(), "14"),
        (
            "/latest_invoice",
            json!({"id": "in_2"}),
            |s| format!("{:?}", s.latest_invoice),
            "Some(\"in_2\")",
        ),
        (
            "/customer",
            json!({"id": "cus_2", "deleted": true}),
            |s| format!("{:?}", s.customer),
            "Some(\"cus_2\")",
        ),
        (
            "/pause_collection",
            json!({"behavior": "void"}),
            |s| s.collection_paused.to_string(),
            "true",
        ),
        (
            "/metadata/user_id",
            json!("u2"),
            |s| format!("{:?}", s.user),
            "Some(UserId(\"u2\"))",
        ),
        ("/metadata/user_id", json!(""), |s| format!("{:?}", s.user), "None"),
        ("/metadata", json!(null), |s| format!("{:?}", s.user), "None"),
    ];
    for object in [before_basil(), since_basil()] {
        for (pointer, value, read, expected) in &cases {
            assert_eq!(
                read(&now(&with(&object, pointer, value.clone()))),
                *expected,
                "{pointer}"
            );
        }
    }
}

#[test]
fn the_first_clue_that_the_catalog_knows_names_the_tier() {
    let object = since_basil();
    let tier = |clues: Value| {
        let snapshot = now(&with(&object, "/items/data/0/price", clues));
        bought(&snapshot).map(|(tier, tokens)| (tier.to_owned(), tokens))
    };
    let all = json!({
        "id": "price_1", "lookup_key": "max_yearly", "metadata": {"tier": "plus"}, "product": "prod_basic",
        "recurring": {"interval": "year"},
    });
    assert_eq!(tier(all.clone()), Some(("max".into(), Some(180_000_000))));
    let by_metadata = with(&all, "/lookup_key", json!("sold_no_more"));
    assert_eq!(tier(by_metadata.clone()), Some(("plus".into(), Some(120_000_000))));
    assert_eq!(
        tier(with(&all, "/lookup_key", json!(null))),
        Some(("plus".into(), Some(120_000_000)))
    );
    let by_product = with(&by_metadata, "/metadata/tier", json!("gold"));
    assert_eq!(tier(by_product.clone()), Some(("basic".into(), Some(60_000_000))));
    assert_eq!(
        tier(with(&by_product, "/recurring/interval", json!("month"))),
        Some(("basic".into(), Some(5_000_000)))
    );
    assert_eq!(
        tier(with(&by_product, "/product", json!({"id": "prod_max"}))),
        Some(("max".into(), Some(180_000_000)))
    );
}

#[test]
fn a_plan_is_read_where_there_is_no_price() {
    let by_item = with(&before_basil(), "/items/data/0", json!({"id": "si_1", "plan": plan()}));
    assert_eq!(bought(&now(&by_item)), Some(("basic", Some(5_000_000))));
    let by_itself = with(&before_basil(), "/items", json!(null));
    assert_eq!(bought(&now(&by_itself)), Some(("basic", Some(5_000_000))));
}

#[test]
fn an_unknown_price_is_refused_only_if_it_would_give_access() {
    for object in [before_basil(), since_basil()] {
        for items in [json!([{"price": price("unheard_of")}]), json!([])] {
            let unknown = with(&with(&object, "/items/data", items), "/plan", json!(null));
            for status in ["trialing", "active", "past_due"] {
                let (reason, detail) = refusal(&updated(&with(&unknown, "/status", json!(status))));
                assert_eq!(reason, Permanent::UnknownPrice);
                assert!(detail.contains("price") && detail.contains("CATALOG_FILE"), "{detail}");
            }
            for status in [
                "canceled",
                "unpaid",
                "paused",
                "incomplete",
                "incomplete_expired",
                "new_word",
            ] {
                let snapshot = now(&with(&unknown, "/status", json!(status)));
                assert_eq!((snapshot.plan.as_ref(), snapshot.entitled()), (None, false), "{status}");
            }
        }
    }
    let (_, detail) = refusal(&updated(&with(
        &since_basil(),
        "/items/data/0/price",
        price("unheard_of"),
    )));
    assert!(
        detail.contains("price_1") && detail.contains("unheard_of"),
        "it names the price: {detail}"
    );
}

#[test]
fn the_request_is_read_in_each_shape() {
    for (request, expected) in [
        (json!({"id": "req_1", "idempotency_key": "k"}), Some("req_1")),
        (json!({"id": null}), None),
        (json!("req_1"), Some("req_1")),
        (json!(null), None),
    ] {
        let event = with(&updated(&since_basil()), "/request", request);
        assert_eq!(subscription(&event).request.as_deref(), expected);
    }
}

/// The state before a change: the object merged with `previous_attributes`.
#[track_caller]
fn before(object: &Value, previous: Value) -> Option<Snapshot> {
    subscription(&with(&updated(object), "/data/previous_attributes", previous)).before
}

#[test]
fn a_field_that_did_not_change_is_the_same_before() {
    for object in [before_basil(), since_basil()] {
        for previous in [
            json!({}),
            json!({"schedule": "sub_sched_1", "default_payment_method": null}),
        ] {
            assert_eq!(before(&object, previous), Some(now(&object)));
        }
        assert_eq!(before(&object, json!(null)), None);
    }
}

#[test]
fn objects_are_merged_arrays_are_replaced_and_null_means_absent() {
    let object = with(&since_basil(), "/metadata/plan_of", json!("a team"));
    let was = |previous| before(&object, previous).expect("the event says what changed");
    let at_now = now(&object);

    let status = was(json!({"status": "incomplete", "latest_invoice": null, "cancel_at": 9}));
    let expected = Snapshot {
        status: "incomplete".to_owned(),
        latest_invoice: None,
        cancel_at: Some(9),
        ..at_now.clone()
    };
    assert_eq!(status, expected);

    assert_eq!(was(json!({"metadata": {"plan_of": null}})), at_now, "a part of a hash");
    assert_eq!(
        was(json!({"metadata": {"user_id": "u0"}})).user,
        Some(UserId::new("u0"))
    );
    assert_eq!(was(json!({"metadata": {"user_id": null}})).user, None);
    assert!(was(json!({"pause_collection": {"behavior": "void", "resumes_at": null}})).collection_paused);

    let item = json!({"current_period_start": 1, "current_period_end": 2, "price": price("max_monthly")});
    let items = was(json!({"items": {"data": [item]}}));
    assert_eq!(bought(&items), Some(("max", Some(15_000_000))));
    assert_eq!(
        items.period,
        Some(Period { start: 1, end: 2 }),
        "the array is the whole of it"
    );
}

#[test]
fn a_period_that_was_on_the_subscription_is_merged_there() {
    let was = before(
        &before_basil(),
        json!({"current_period_start": 1, "current_period_end": START}),
    );
    assert_eq!(was.and_then(|s| s.period), Some(Period { start: 1, end: START }));
}

#[test]
fn a_former_state_that_cannot_be_read_is_no_reason_to_refuse_the_present_one() {
    let unknown = json!({"items": {"data": [{"price": price("unheard_of")}]}});
    for object in [before_basil(), since_basil()] {
        assert_eq!(before(&with(&object, "/plan", json!(null)), unknown.clone()), None);
        assert_eq!(before(&object, json!({"status": 7})), None);
    }
}
