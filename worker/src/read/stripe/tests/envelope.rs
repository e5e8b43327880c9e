//! The fields that every event has, and the events that are ignored.

use super::*;
use crate::domain::ids::EventId;

#[test]
fn a_type_that_is_not_handled_is_ignored_whatever_its_fields() {
    for kind in [
        "customer.subscription.trial_will_end",
        "customer.subscription.updated.soon",
        "Customer.Subscription.Updated",
        "invoice.created",
        "invoice.upcoming",
        "payment_intent.succeeded",
        "charge.dispute.created",
        "a.type.of.next.year",
    ] {
        for data in [
            json!(null),
            json!([1]),
            json!({"object": 7}),
            json!({"object": {"id": "x"}}),
        ] {
            let event = json!({"id": "evt_1", "type": kind, "created": CREATED, "data": data});
            assert_eq!(meaning(&event), Ok(Meaning::Ignored("not_handled")), "{event}");
        }
    }
}

#[test]
fn a_thin_event_is_recorded_with_its_time_and_ignored() {
    let thin = json!({
        "id": "evt_test_65R9Ijk8dKEYZcXeRWn16R9A7j1FSQ3w3TGDPLLGSM4CW0",
        "object": "v2.core.event",
        "type": "v1.billing.meter.error_report_triggered",
        "livemode": false,
        "created": "2023-11-14T22:13:20.123Z",
        "related_object": {"id": "mtr_1", "type": "billing.meter", "url": "/v1/billing/meters/mtr_1"},
    });
    let (envelope, meaning) = read_bytes(thin.to_string().as_bytes());
    assert_eq!(meaning, Ok(Meaning::Ignored("not_handled")));
    assert_eq!(envelope.created, Some(CREATED));
    assert_eq!(envelope.kind, "v1.billing.meter.error_report_triggered");
    for (written, created) in [
        ("2023-11-15T00:13:20+02:00", Some(CREATED)),
        ("1970-01-01T00:00:00Z", Some(0)),
        ("yesterday", None),
        ("", None),
    ] {
        let (envelope, meaning) = read_bytes(with(&thin, "/created", json!(written)).to_string().as_bytes());
        assert_eq!(
            (envelope.created, meaning.is_ok()),
            (created, created.is_some()),
            "{written}"
        );
    }
}

#[test]
fn an_event_of_the_other_mode_is_ignored() {
    let event = |live: Value| with(&event("charge.refunded", &charge()), "/livemode", live).to_string();
    for (mode, live, taken) in [
        (Mode::Any, json!(true), true),
        (Mode::Any, json!(false), true),
        (Mode::Live, json!(true), true),
        (Mode::Live, json!(false), false),
        (Mode::Test, json!(true), false),
        (Mode::Test, json!(false), true),
        // An absent field means false.
        (Mode::Live, json!(null), false),
        (Mode::Test, json!(null), true),
    ] {
        let scope = EventScope { mode, account: None };
        let meaning = read(event(live.clone()).as_bytes(), Source::Webhook, &catalog(), &scope).1;
        match meaning {
            Ok(Meaning::Fact(_)) => assert!(taken, "{mode:?} {live}"),
            other => assert_eq!(
                (other, taken),
                (Ok(Meaning::Ignored("other_mode")), false),
                "{mode:?} {live}"
            ),
        }
    }
    for (word, mode) in [
        ("any", Ok(Mode::Any)),
        ("live", Ok(Mode::Live)),
        ("test", Ok(Mode::Test)),
    ] {
        assert_eq!(word.parse(), mode);
    }
    assert!("LIVE".parse::<Mode>().is_err());
}

#[test]
fn an_id_that_cannot_be_a_key_is_replaced_by_the_hash_of_the_body() {
    let event = event("charge.refunded", &charge());
    let long = "e".repeat(256);
    for id in [
        json!(null),
        json!(""),
        json!(7),
        json!({"id": "evt_1"}),
        json!(long),
        json!("a\u{0}b"),
        json!("a\nb"),
    ] {
        let body = with(&event, "/id", id.clone()).to_string();
        let (envelope, meaning) = read_bytes(body.as_bytes());
        assert!(meaning.is_err(), "{id}");
        assert!(
            envelope.id.as_str().starts_with("sha256:") && envelope.id.as_str().len() == 71,
            "{id}"
        );
        assert_eq!(
            envelope.id,
            read_bytes(body.as_bytes()).0.id,
            "the same body, the same id"
        );
    }
    let longest = "e".repeat(255);
    let (envelope, meaning) = read_bytes(with(&event, "/id", json!(longest)).to_string().as_bytes());
    assert!(meaning.is_ok());
    assert_eq!(envelope.id, EventId::new(longest));
}

#[test]
fn a_refused_event_still_has_an_envelope() {
    let refused = event("customer.subscription.updated", &json!({"id": "sub_1", "status": 7}));
    let (envelope, meaning) = read_bytes(refused.to_string().as_bytes());
    assert!(meaning.is_err());
    assert_eq!(envelope.id, EventId::new("evt_1"));
    assert_eq!(
        (envelope.kind.as_str(), envelope.created),
        ("customer.subscription.updated", Some(CREATED))
    );
}

#[test]
fn a_refund_or_dispute_names_its_charge_or_payment_intent() {
    use crate::domain::fact::{ChargeRefundedFact, DisputeFact, RefundFailedFact};
    let refunded = fact(&event("charge.refunded", &charge()));
    assert_eq!(refunded.account.as_str(), "cus_1");
    let expected = ChargeRefundedFact {
        charge: "ch_1".to_owned(),
        payment_intent: Some("pi_1".to_owned()),
        amount: 1_000,
        amount_refunded: 250,
        currency: None,
        invoice: None,
    };
    assert_eq!(refunded.body, FactBody::ChargeRefunded(expected));

    let failed = json!({"id": "re_1", "amount": 250, "charge": {"id": "ch_1"}, "payment_intent": "pi_1"});
    let failed = fact(&event("refund.failed", &failed));
    assert_eq!(failed.account.as_str(), "re_1", "no customer: an account of its own");
    let expected = RefundFailedFact {
        refund: "re_1".to_owned(),
        charge: Some("ch_1".to_owned()),
        payment_intent: Some("pi_1".to_owned()),
        amount: 250,
    };
    assert_eq!(failed.body, FactBody::RefundFailed(expected));

    for (kind, withdrawn) in [
        ("charge.dispute.funds_withdrawn", true),
        ("charge.dispute.funds_reinstated", false),
    ] {
        let dispute = json!({"id": "dp_1", "amount": 1_000, "charge": "ch_1", "payment_intent": {"id": "pi_1"}});
        let expected = DisputeFact {
            dispute: "dp_1".to_owned(),
            charge: Some("ch_1".to_owned()),
            payment_intent: Some("pi_1".to_owned()),
            amount: 1_000,
            currency: None,
            withdrawn,
        };
        assert_eq!(body_of(&event(kind, &dispute)), FactBody::Dispute(expected));
    }
}

fn charge() -> Value {
    json!({"id": "ch_1", "customer": {"id": "cus_1"}, "payment_intent": "pi_1", "amount": 1_000, "amount_refunded": 250})
}
