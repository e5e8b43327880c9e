//! Events of a wrong shape. They are refused with the name of the field, and without its
//! value.

use super::*;

/// Values that must never be in a detail.
const TEXT: &str = "PERSONAL";
const NUMBER: i64 = 77_777_777;

/// The type of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Must {
    Text,
    Id,
    Number,
    Time,
    Flag,
    Object,
    List,
}

impl Must {
    /// Values of every other type than this.
    fn refuse(self) -> Vec<Value> {
        let (text, list) = (json!(TEXT), json!([TEXT]));
        let numbers = [json!(NUMBER), json!(0.5), json!(u64::MAX), json!(1e300)];
        let [number, fraction, over, far] = numbers;
        let object = json!({TEXT: TEXT});
        let mut wrong = vec![fraction, over, far];
        if !matches!(self, Self::Text | Self::Id) {
            wrong.push(text);
        }
        if !matches!(self, Self::Number | Self::Time) {
            wrong.push(number);
        }
        if self == Self::Time {
            wrong.extend([json!(-1), json!(253_402_300_800_i64)]);
        }
        if self != Self::Flag {
            wrong.push(json!(true));
        }
        if self != Self::Object {
            wrong.push(object);
        }
        if matches!(self, Self::Text | Self::Id) {
            wrong.push(json!(format!("{TEXT}\u{0}")));
        }
        wrong.push(list);
        wrong
    }
}

/// Refused as malformed, naming this field and no value.
#[track_caller]
fn check(event: &Value, field: &str) {
    let (reason, detail) = refusal(event);
    assert_eq!(reason, Permanent::Malformed, "{event:#}");
    assert!(detail.contains(field), "'{detail}' does not name {field} of {event:#}");
    assert!(
        !detail.contains(TEXT) && !detail.contains(&NUMBER.to_string()),
        "'{detail}' tells a value"
    );
}

/// Each field of `event`, given a value of another type, is refused by name.
#[track_caller]
fn check_types(event: &Value, fields: &[(&str, Must)]) {
    assert!(meaning(event).is_ok(), "{event:#}");
    for (pointer, must) in fields {
        let name = pointer
            .rsplit('/')
            .find(|key| key.parse::<usize>().is_err())
            .expect("a name");
        for wrong in must.refuse() {
            check(&with(event, pointer, wrong), name);
        }
    }
}

pub(super) fn subscription() -> Value {
    let price = json!({"id": "price_1", "lookup_key": "plus_monthly", "product": "p", "metadata": {}, "recurring": {}});
    let object = json!({
        "id": "sub_1", "customer": "cus_1", "status": "active", "metadata": {},
        "items": {"data": [{"price": price}]},
    });
    event("customer.subscription.updated", &object)
}

#[test]
fn every_field_of_an_event_has_its_type() {
    use Must::{Flag, Object, Text};
    let fields = [
        ("/id", Text),
        ("/type", Text),
        ("/livemode", Flag),
        ("/data", Object),
        ("/data/object", Object),
    ];
    check_types(&subscription(), &fields);
    for created in [
        json!(TEXT),
        json!(-1),
        json!(0.5),
        json!(true),
        json!([TEXT]),
        json!({TEXT: 1}),
        json!(u64::MAX),
    ] {
        check(&with(&subscription(), "/created", created), "created");
    }
}

#[test]
fn every_field_of_a_subscription_has_its_type() {
    use Must::{Flag, Id, List, Number, Object, Text, Time};
    let fields = [
        ("/data/previous_attributes", Object),
        ("/request/id", Text),
        ("/data/object/id", Text),
        ("/data/object/customer", Id),
        ("/data/object/status", Text),
        ("/data/object/metadata", Object),
        ("/data/object/metadata/user_id", Text),
        ("/data/object/created", Time),
        ("/data/object/current_period_start", Time),
        ("/data/object/current_period_end", Time),
        ("/data/object/cancel_at_period_end", Flag),
        ("/data/object/cancel_at", Time),
        ("/data/object/canceled_at", Time),
        ("/data/object/trial_end", Time),
        ("/data/object/latest_invoice", Id),
        ("/data/object/pause_collection", Object),
        ("/data/object/items", List),
        ("/data/object/items/data/0", Object),
        ("/data/object/items/has_more", Flag),
        ("/data/object/items/data/0/id", Text),
        ("/data/object/items/data/0/created", Time),
        ("/data/object/items/data/0/quantity", Number),
        ("/data/object/items/data/0/current_period_start", Time),
        ("/data/object/items/data/0/current_period_end", Time),
        ("/data/object/items/data/0/price", Object),
        ("/data/object/items/data/0/price/id", Text),
        ("/data/object/items/data/0/price/lookup_key", Text),
        ("/data/object/items/data/0/price/product", Id),
        ("/data/object/items/data/0/price/metadata", Object),
        ("/data/object/items/data/0/price/metadata/tier", Text),
        ("/data/object/items/data/0/price/recurring", Object),
        ("/data/object/items/data/0/price/recurring/interval", Text),
        ("/data/object/items/data/0/price/recurring/interval_count", Number),
        ("/data/object/items/data/0/price/recurring/usage_type", Text),
    ];
    check_types(&subscription(), &fields);
}

#[test]
fn every_field_of_a_session_has_its_type() {
    use Must::{Id, Number, Object, Text};
    let object = json!({"id": "cs_1", "mode": "payment", "payment_status": "paid", "metadata": {"pack": "tokens_5m"}});
    let fields = [
        ("/data/object/id", Text),
        ("/data/object/mode", Text),
        ("/data/object/payment_status", Text),
        ("/data/object/customer", Id),
        ("/data/object/subscription", Id),
        ("/data/object/client_reference_id", Text),
        ("/data/object/payment_intent", Id),
        ("/data/object/metadata", Object),
        ("/data/object/metadata/user_id", Text),
        ("/data/object/metadata/pack", Text),
        ("/data/object/metadata/quantity", Text),
        ("/data/object/currency", Text),
        ("/data/object/amount_subtotal", Number),
        ("/data/object/amount_total", Number),
        ("/data/object/invoice", Id),
    ];
    let paid = event("checkout.session.async_payment_succeeded", &object);
    check_types(&paid, &fields);
}

#[test]
fn every_field_of_an_invoice_has_its_type() {
    use Must::{Flag, Id, List, Number, Object, Text, Time};
    let fields = [
        ("/data/object/id", Text),
        ("/data/object/customer", Id),
        ("/data/object/subscription", Id),
        ("/data/object/parent", Object),
        ("/data/object/parent/subscription_details", Object),
        ("/data/object/parent/subscription_details/subscription", Id),
        ("/data/object/billing_reason", Text),
        ("/data/object/total", Number),
        ("/data/object/period_start", Time),
        ("/data/object/period_end", Time),
        ("/data/object/issuer", Object),
        ("/data/object/issuer/type", Text),
        ("/data/object/lines", List),
        ("/data/object/lines/data/0", Object),
        ("/data/object/lines/has_more", Flag),
        ("/data/object/payment_intent", Id),
        ("/data/object/charge", Id),
        ("/data/object/payments", List),
        ("/data/object/lines/data/0/amount", Number),
        ("/data/object/lines/data/0/subscription_item", Id),
        ("/data/object/lines/data/0/price", Object),
        ("/data/object/lines/data/0/plan", Object),
        ("/data/object/lines/data/0/pricing", Object),
        ("/data/object/lines/data/0/pricing/price_details", Object),
        ("/data/object/lines/data/0/pricing/price_details/product", Id),
        ("/data/object/lines/data/0/proration", Flag),
        ("/data/object/lines/data/0/period", Object),
        ("/data/object/lines/data/0/period/start", Time),
        ("/data/object/lines/data/0/period/end", Time),
        ("/data/object/lines/data/0/parent", Object),
        ("/data/object/lines/data/0/parent/invoice_item_details/proration", Flag),
        (
            "/data/object/lines/data/0/parent/subscription_item_details/proration",
            Flag,
        ),
    ];
    let object = json!({"id": "in_1", "customer": "cus_1", "lines": {"data": [{}]}});
    check_types(&event("invoice.payment_failed", &object), &fields);
    let fields = [
        ("/data/object/id", Text),
        ("/data/object/subscription", Id),
        ("/data/object/parent", Object),
        ("/data/object/amount", Number),
        ("/data/object/proration", Flag),
    ];
    check_types(&event("invoiceitem.created", &object), &fields);
}

#[test]
fn every_field_of_a_refund_or_dispute_has_its_type() {
    use Must::{Id, Number, Text};
    let object = json!({"id": "x_1", "amount": 2, "amount_refunded": 1});
    let shared = [
        ("/data/object/id", Text),
        ("/data/object/customer", Id),
        ("/data/object/payment_intent", Id),
        ("/data/object/amount", Number),
    ];
    check_types(&event("charge.refunded", &object), &shared);
    check_types(
        &event("charge.refunded", &object),
        &[("/data/object/amount_refunded", Number)],
    );
    for kind in [
        "refund.failed",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.funds_reinstated",
    ] {
        check_types(&event(kind, &object), &shared);
        check_types(&event(kind, &object), &[("/data/object/charge", Id)]);
    }
}

#[test]
fn a_missing_field_is_refused_by_name() {
    let of = |kind: &str| {
        event(
            kind,
            &json!({"id": "x_1", "mode": "setup", "amount": 2, "amount_refunded": 1}),
        )
    };
    for (event, pointer) in [
        (subscription(), "/id"),
        (subscription(), "/type"),
        (subscription(), "/created"),
        (subscription(), "/data"),
        (subscription(), "/data/object"),
        (subscription(), "/data/object/id"),
        (subscription(), "/data/object/customer"),
        (subscription(), "/data/object/status"),
        (subscription(), "/data/object/items/data/0/price/id"),
        (of("checkout.session.expired"), "/data/object/id"),
        (of("checkout.session.expired"), "/data/object/mode"),
        (of("invoice.paid"), "/data/object/id"),
        (of("invoiceitem.created"), "/data/object/id"),
        (of("charge.refunded"), "/data/object/id"),
        (of("charge.refunded"), "/data/object/amount"),
        (of("charge.refunded"), "/data/object/amount_refunded"),
        (of("refund.failed"), "/data/object/amount"),
        (of("charge.dispute.funds_withdrawn"), "/data/object/amount"),
    ] {
        let name = pointer.rsplit('/').next().expect("a name");
        check(&with(&event, pointer, json!(null)), name);
        let mut absent = event.clone();
        let parent = pointer
            .strip_suffix(name)
            .and_then(|p| p.strip_suffix('/'))
            .expect("a path");
        let fields = absent
            .pointer_mut(parent)
            .and_then(Value::as_object_mut)
            .expect("an object");
        fields.remove(name);
        check(&absent, name);
    }
}

#[test]
fn a_body_that_is_no_event_is_refused_and_never_quoted() {
    let whole = subscription().to_string();
    let half = &whole.as_bytes()[..whole.len() / 2];
    let deep = "[".repeat(100_000);
    let bodies: [&[u8]; 16] = [
        b"",
        b" \n",
        b"\0",
        b"\x80\xff\xfe PERSONAL",
        b"PERSONAL",
        b"{\"PERSONAL\"",
        b"{'id': 'PERSONAL'}",
        b"null",
        b"7",
        b"\"PERSONAL\"",
        b"[]",
        b"[{\"id\":\"evt_1\"}]",
        b"{}",
        b"{\"id\":\"evt_1\"}{\"id\":\"evt_2\"}",
        half,
        deep.as_bytes(),
    ];
    for body in bodies {
        let (envelope, meaning) = read_bytes(body);
        let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        let refusal = meaning.expect_err(&shown);
        assert_eq!(refusal.reason, Permanent::Malformed, "{shown}");
        assert!(!refusal.detail.contains(TEXT), "{}", refusal.detail);
        assert!(envelope.id.as_str().starts_with("sha256:"), "{shown}");
    }
}

#[test]
fn a_number_that_is_not_whole_or_too_large_is_refused() {
    let body = |total: &str| {
        format!(
            "{}{total}{}",
            "{\"id\":\"evt_1\",\"type\":\"invoice.paid\",\"created\":1,\"data\":{\"object\":{\"id\":\"in_1\",\"total\":",
            "}}}"
        )
    };
    for (total, expected) in [
        ("9223372036854775807", Some(i64::MAX)),
        ("-9223372036854775808", Some(i64::MIN)),
        ("9223372036854775808", None),
        ("-9223372036854775809", None),
        ("1e3", None),
        ("1.0", None),
        ("1e999", None),
        ("\"\\ud800\"", None),
        ("01", None),
        ("\"1\"", None),
    ] {
        let read = match read_bytes(body(total).as_bytes()).1 {
            Ok(Meaning::Fact(fact)) => match fact.body {
                FactBody::Invoice(invoice) => Some(invoice.total),
                other => panic!("{other:?}"),
            },
            _ => None,
        };
        assert_eq!(read, expected, "{total}");
    }
}
