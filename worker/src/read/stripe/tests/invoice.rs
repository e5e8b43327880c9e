//! `invoice.*` and `invoiceitem.created`, before and since API version 2025-03-31.

use super::*;
use crate::domain::{
    fact::{BillingReason, InvoiceFact, InvoiceItemFact, InvoiceLine, InvoiceStep, Period},
    ids::SubscriptionId,
};

fn before_basil() -> Value {
    json!({
        "id": "in_1", "object": "invoice", "customer": "cus_1", "subscription": "sub_1", "total": 1_250,
        "billing_reason": "subscription_cycle", "period_start": 100, "period_end": 200, "issuer": {"type": "self"},
        "lines": {"object": "list", "has_more": false, "data": [
            {"id": "il_1", "type": "invoiceitem", "amount": -750, "proration": true, "period": {"start": 150, "end": 200},
             "subscription_item": "si_1", "price": {"id": "price_1"}},
            {"id": "il_2", "type": "subscription", "amount": 2_000, "proration": false, "period": {"start": 200, "end": 300},
             "subscription_item": "si_2", "price": {"id": "price_2"}},
        ]},
    })
}

fn since_basil() -> Value {
    let details = |item: &str, proration| {
        let details = json!({"subscription": "sub_1", "subscription_item": item, "proration": proration});
        json!({"type": "subscription_item_details", "subscription_item_details": details})
    };
    json!({
        "id": "in_1", "object": "invoice", "customer": {"id": "cus_1", "email": "someone"}, "total": 1_250,
        "parent": {"type": "subscription_details", "quote_details": null, "subscription_details": {"subscription": "sub_1"}},
        "billing_reason": "subscription_cycle", "period_start": 100, "period_end": 200, "issuer": {"type": "self"},
        "lines": {"object": "list", "has_more": false, "data": [
            {"id": "il_1", "amount": -750, "period": {"start": 150, "end": 200},
             "parent": details("si_1", true), "pricing": {"price_details": {"price": "price_1"}}},
            {"id": "il_2", "amount": 2_000, "period": {"start": 200, "end": 300},
             "parent": details("si_2", false), "pricing": {"price_details": {"price": {"id": "price_2"}}}},
        ]},
    })
}

#[track_caller]
fn invoice(object: &Value) -> InvoiceFact {
    match body_of(&event("invoice.paid", object)) {
        FactBody::Invoice(fact) => fact,
        other => panic!("{other:?}"),
    }
}

fn line(number: u8, amount: i64, proration: bool, start: i64, end: i64) -> InvoiceLine {
    InvoiceLine {
        item: Some(format!("si_{number}")),
        price: Some(format!("price_{number}")),
        amount,
        proration,
        period: Some(Period { start, end }),
        grant: None,
    }
}

#[test]
fn both_shapes_are_read_alike() {
    let expected = InvoiceFact {
        invoice: "in_1".to_owned(),
        step: InvoiceStep::Paid,
        subscription: Some(SubscriptionId::new("sub_1")),
        billing_reason: BillingReason(Some("subscription_cycle".to_owned())),
        total: 1_250,
        period: Some(Period { start: 100, end: 200 }),
        lines: vec![line(1, -750, true, 150, 200), line(2, 2_000, false, 200, 300)],
        lines_cut: false,
        payment_intent: None,
        charge: None,
        issued_by_self: true,
        request: Some("req_1".to_owned()),
    };
    assert_eq!(invoice(&before_basil()), expected);
    assert_eq!(invoice(&since_basil()), expected);
    assert_eq!(expected.pays_for(), Some(Period { start: 200, end: 300 }));
    assert_eq!(fact(&event("invoice.paid", &since_basil())).account.as_str(), "cus_1");
}

#[test]
fn paid_and_payment_succeeded_are_read_alike() {
    for (kind, expected) in [
        ("invoice.paid", InvoiceStep::Paid),
        ("invoice.payment_succeeded", InvoiceStep::Paid),
        ("invoice.payment_failed", InvoiceStep::Failed),
        ("invoice.payment_action_required", InvoiceStep::ActionRequired),
    ] {
        let FactBody::Invoice(fact) = body_of(&event(kind, &before_basil())) else {
            panic!("{kind} is about an invoice")
        };
        assert_eq!(
            fact,
            InvoiceFact {
                step: expected,
                ..invoice(&before_basil())
            }
        );
    }
}

#[test]
fn a_line_is_a_proration_in_each_shape() {
    let details = |key: &str, value: Value| json!({"amount": 1, "parent": {key: {"proration": value}}});
    for (line, expected) in [
        (json!({"amount": 1}), false),
        (json!({"amount": 1, "proration": true}), true),
        (json!({"amount": 1, "proration": false, "parent": null}), false),
        (details("subscription_item_details", json!(true)), true),
        (details("invoice_item_details", json!(true)), true),
        (details("invoice_item_details", json!(false)), false),
        (details("subscription_item_details", json!(null)), false),
        (details("details_of_next_year", json!(true)), false),
    ] {
        let read = invoice(&with(&since_basil(), "/lines/data", json!([line])));
        assert_eq!(read.lines[0].proration, expected, "{line}");
    }
}

#[test]
fn the_subscription_is_named_in_each_shape_or_not_at_all() {
    let bare = json!({"id": "in_1", "customer": "cus_1"});
    for (pointer, value, expected) in [
        ("/subscription", json!("sub_1"), Some("sub_1")),
        (
            "/subscription",
            json!({"id": "sub_1", "status": "active"}),
            Some("sub_1"),
        ),
        (
            "/parent",
            json!({"subscription_details": {"subscription": "sub_1"}}),
            Some("sub_1"),
        ),
        (
            "/parent",
            json!({"subscription_details": {"subscription": {"id": "sub_1"}}}),
            Some("sub_1"),
        ),
        ("/parent", json!({"subscription_details": {"subscription": null}}), None),
        (
            "/parent",
            json!({"subscription_details": null, "quote_details": {"quote": "qt_1"}}),
            None,
        ),
        ("/parent", json!(null), None),
        ("/subscription", json!(null), None),
    ] {
        let object = with(&bare, pointer, value);
        let expected = expected.map(SubscriptionId::new);
        assert_eq!(invoice(&object).subscription, expected, "{object}");
        let FactBody::InvoiceItem(item) = body_of(&event("invoiceitem.created", &object)) else {
            panic!("an item")
        };
        assert_eq!(item.subscription, expected, "{object}");
    }
}

#[test]
fn an_invoice_with_few_fields_is_not_refused() {
    let read = invoice(&json!({"id": "in_1"}));
    assert_eq!(
        (read.total, read.period, read.lines.len(), read.issued_by_self),
        (0, None, 0, false)
    );
    assert_eq!(read.billing_reason, BillingReason(None));
    assert_eq!(
        fact(&event("invoice.paid", &json!({"id": "in_1"}))).account.as_str(),
        "in_1"
    );
    let stripe = with(&before_basil(), "/issuer", json!({"type": "stripe"}));
    assert!(!invoice(&stripe).issued_by_self);
    let new_reason = with(&before_basil(), "/billing_reason", json!("a_reason_of_next_year"));
    assert_eq!(
        invoice(&new_reason).billing_reason.0.as_deref(),
        Some("a_reason_of_next_year")
    );
}

#[test]
fn an_invoice_of_prorations_alone_pays_for_no_period() {
    let first = before_basil()["lines"]["data"][0].clone();
    assert_eq!(
        invoice(&with(&before_basil(), "/lines/data", json!([first]))).pays_for(),
        None
    );
}

#[test]
fn an_invoice_item_has_its_amount_and_whether_it_is_a_proration() {
    let object = json!({"id": "ii_1", "customer": "cus_1", "subscription": "sub_1", "amount": -300, "proration": true});
    let expected = InvoiceItemFact {
        item: "ii_1".to_owned(),
        subscription: Some(SubscriptionId::new("sub_1")),
        amount: -300,
        proration: true,
        request: Some("req_1".to_owned()),
    };
    assert_eq!(
        body_of(&event("invoiceitem.created", &object)),
        FactBody::InvoiceItem(expected)
    );
}

#[test]
fn the_first_page_of_the_lines_is_known_to_be_one() {
    assert!(!invoice(&before_basil()).lines_cut);
    assert!(invoice(&with(&before_basil(), "/lines/has_more", json!(true))).lines_cut);
}

#[test]
fn the_payment_is_read_in_each_shape() {
    let paid = |payment: Value| json!({"payments": {"data": [{"status": "paid", "payment": payment}]}});
    let two = json!({"payments": {"data": [
        {"status": "canceled", "payment": {"payment_intent": "pi_0"}},
        {"status": "paid", "payment": {"type": "payment_intent", "payment_intent": "pi_1"}},
    ]}});
    for (shape, payment_intent, charge) in [
        (
            json!({"payment_intent": "pi_1", "charge": "ch_1"}),
            Some("pi_1"),
            Some("ch_1"),
        ),
        (
            json!({"payment_intent": {"id": "pi_1"}, "charge": null}),
            Some("pi_1"),
            None,
        ),
        (json!({"charge": {"id": "ch_1"}}), None, Some("ch_1")),
        (
            paid(json!({"type": "payment_intent", "payment_intent": "pi_1"})),
            Some("pi_1"),
            None,
        ),
        (
            paid(json!({"type": "charge", "charge": {"id": "ch_1"}})),
            None,
            Some("ch_1"),
        ),
        (
            paid(json!({"type": "payment_record", "payment_record": "pr_1"})),
            None,
            None,
        ),
        (two, Some("pi_1"), None),
        (json!({"payments": null}), None, None),
    ] {
        let mut object = json!({"id": "in_1"});
        for (key, value) in shape.as_object().expect("fields") {
            object[key] = value.clone();
        }
        let read = invoice(&object);
        let ids = (read.payment_intent.as_deref(), read.charge.as_deref());
        assert_eq!(ids, (payment_intent, charge), "{object}");
    }
}

#[test]
fn an_invoice_payment_names_its_invoice_and_its_payment() {
    use crate::domain::fact::InvoicePaymentFact;
    for (invoice, payment, payment_intent, charge) in [
        (
            json!("in_1"),
            json!({"type": "payment_intent", "payment_intent": "pi_1"}),
            Some("pi_1"),
            None,
        ),
        (
            json!({"id": "in_1"}),
            json!({"type": "charge", "charge": "ch_1"}),
            None,
            Some("ch_1"),
        ),
        (json!("in_1"), json!(null), None, None),
    ] {
        let object = json!({"id": "inpay_1", "object": "invoice_payment", "invoice": invoice, "payment": payment});
        let read = fact(&event("invoice_payment.paid", &object));
        assert_eq!(read.account.as_str(), "inpay_1", "no customer: an account of its own");
        let expected = InvoicePaymentFact {
            invoice: "in_1".to_owned(),
            payment_intent: payment_intent.map(str::to_owned),
            charge: charge.map(str::to_owned),
        };
        assert_eq!(read.body, FactBody::InvoicePayment(expected));
    }
    let nameless = event("invoice_payment.paid", &json!({"id": "inpay_1"}));
    assert_eq!(refusal(&nameless).0, Permanent::Malformed);
}
