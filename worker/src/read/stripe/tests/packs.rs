//! What was sold: the packs of sessions and of invoice lines, and the products of others.

use super::*;
use crate::domain::fact::{Grant, InvoiceLine, SessionFact};
use crate::read::stripe::lines::{self, SoldLine, SoldLines};
use shared::catalog::PriceClues;

/// The shipped pack `tokens_5m` has 5 million tokens for 10.00 EUR, `voice_500k` 500,000
/// characters for 10.00 EUR.
fn paid(fields: &Value) -> Value {
    let mut object = json!({"id": "cs_1", "mode": "payment", "payment_status": "paid", "client_reference_id": "u1"});
    for (key, value) in fields.as_object().expect("fields") {
        object[key] = value.clone();
    }
    event("checkout.session.completed", &object)
}

fn grants(of: &[(&str, &str, i64)]) -> Vec<Grant> {
    let grant = |(pack, meter, credits): &(&str, &str, i64)| Grant {
        pack: (*pack).to_owned(),
        meter: (*meter).to_owned(),
        credits: *credits,
    };
    of.iter().map(grant).collect()
}

#[track_caller]
fn granted(event: &Value) -> Vec<Grant> {
    match body_of(event) {
        FactBody::Session(SessionFact { grants, .. }) => grants,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_money_says_how_many_packs_were_bought() {
    for (currency, subtotal, quantity, expected) in [
        (json!("eur"), json!(1_000), json!("1"), 1),
        (json!("eur"), json!(3_000), json!("1"), 3),
        (json!("eur"), json!(1_000), json!("3"), 1),
        (json!("eur"), json!(3_000), json!(null), 3),
        // The catalog does not know the price in this currency, or the event no amount.
        (json!("usd"), json!(3_000), json!("2"), 2),
        (json!("eur"), json!(null), json!("2"), 2),
        (json!(null), json!(3_000), json!("2"), 2),
    ] {
        let metadata = json!({"pack": "tokens_5m", "quantity": quantity});
        let event = paid(&json!({"metadata": metadata, "currency": currency, "amount_subtotal": subtotal}));
        assert_eq!(
            granted(&event),
            grants(&[("tokens_5m", "tokens", expected * 5_000_000)]),
            "{event}"
        );
    }
}

#[test]
fn an_amount_that_is_no_multiple_of_the_packs_price_needs_the_line_items() {
    for subtotal in [0, 1, 999, 1_500, -1_000] {
        let event = paid(&json!({"metadata": {"pack": "tokens_5m"}, "currency": "eur", "amount_subtotal": subtotal}));
        let Ok(Meaning::NeedsLookup(lookup)) = meaning(&event) else {
            panic!("{event}")
        };
        assert_eq!(lookup.missing, MissingPart::LineItems("cs_1".to_owned()));
        assert_eq!(lookup.unanswered.reason, Permanent::UnknownPack);
        assert!(
            lookup.unanswered.detail.contains("multiple"),
            "{}",
            lookup.unanswered.detail
        );
    }
}

#[test]
fn a_discount_changes_no_quantity() {
    let fields = json!({
        "metadata": {"pack": "tokens_5m"}, "currency": "eur", "amount_subtotal": 2_000, "amount_total": 0,
        "payment_status": "no_payment_required",
    });
    assert_eq!(granted(&paid(&fields)), grants(&[("tokens_5m", "tokens", 10_000_000)]));
}

#[test]
fn line_items_in_the_event_need_no_lookup() {
    let line = |quantity: i64, lookup_key: &str| json!({"quantity": quantity, "price": {"id": "price_1", "lookup_key": lookup_key}});
    let items = json!({"data": [line(1, "tokens_5m"), line(2, "voice_500k"), line(1, "mug")], "has_more": false});
    let both = grants(&[
        ("tokens_5m", "tokens", 5_000_000),
        ("voice_500k", "voice_chars", 1_000_000),
    ]);
    assert_eq!(granted(&paid(&json!({"line_items": items}))), both);
    let cut = with(&items, "/has_more", json!(true));
    assert!(matches!(
        meaning(&paid(&json!({"line_items": cut}))),
        Ok(Meaning::NeedsLookup(_))
    ));
    let shop = json!({"data": [{"price": {"id": "price_1", "product": "prod_shop"}}]});
    let catalog = catalog_with("ignored_products = [", "\"prod_shop\"");
    let shop = meaning_by(&catalog, &paid(&json!({"line_items": shop})));
    assert_eq!(shop, Ok(Meaning::Ignored("other_product")));
}

#[test]
fn a_session_of_a_shop_names_neither_a_pack_nor_a_user() {
    let nobody = json!({"client_reference_id": null, "customer": "cus_1"});
    for kind in ["completed", "async_payment_succeeded", "expired"] {
        let event = with(&paid(&nobody), "/type", json!(format!("checkout.session.{kind}")));
        assert_eq!(meaning(&event), Ok(Meaning::Ignored("no_user")), "{kind}");
    }
    let with_pack = json!({"client_reference_id": null, "metadata": {"pack": "tokens_5m"}});
    assert_eq!(
        granted(&paid(&with_pack)).len(),
        1,
        "its user may be known by its customer"
    );
    let with_user = json!({"client_reference_id": null, "metadata": {"user_id": "u1"}});
    assert!(matches!(meaning(&paid(&with_user)), Ok(Meaning::NeedsLookup(_))));
    let other_mode =
        json!({"client_reference_id": null, "mode": "subscription", "subscription": "sub_1", "customer": "cus_1"});
    assert_eq!(
        granted(&paid(&other_mode)),
        [],
        "a subscription's session is a fact, and grants nothing"
    );
}

fn line<'a>(
    quantity: i64,
    lookup_key: Option<&'a str>,
    metadata: Option<&'a str>,
    product: Option<&'a str>,
) -> SoldLine<'a> {
    SoldLine {
        quantity,
        price: Some("price_1"),
        clues: PriceClues {
            lookup_key,
            metadata,
            product,
            interval: None,
        },
    }
}

#[test]
fn all_line_items_count() {
    let (tokens, voice) = (Some("tokens_5m"), Some("voice_500k"));
    for (lines, expected) in [
        (
            vec![line(1, tokens, None, None)],
            vec![("tokens_5m", "tokens", 5_000_000)],
        ),
        (
            vec![line(3, None, tokens, None)],
            vec![("tokens_5m", "tokens", 15_000_000)],
        ),
        (
            vec![line(2, None, None, Some("prod_voice"))],
            vec![("voice_500k", "voice_chars", 1_000_000)],
        ),
        (
            vec![
                line(2, tokens, None, None),
                line(1, voice, None, None),
                line(1, None, tokens, None),
            ],
            vec![
                ("tokens_5m", "tokens", 15_000_000),
                ("voice_500k", "voice_chars", 500_000),
            ],
        ),
        (
            vec![line(0, Some("mug"), None, None), line(1, voice, None, None)],
            vec![("voice_500k", "voice_chars", 500_000)],
        ),
    ] {
        assert_eq!(lines::sold(&lines, &catalog()), Ok(SoldLines::Packs(grants(&expected))));
    }
}

#[test]
fn line_items_without_a_pack_are_refused_with_their_reason() {
    let tokens = Some("tokens_5m");
    let bare = SoldLine {
        quantity: 1,
        price: None,
        clues: PriceClues::default(),
    };
    for (lines, why) in [
        (vec![], "no line items"),
        (
            vec![bare],
            "price none (lookup key: none, metadata.pack: none, product: none)",
        ),
        (
            vec![line(1, Some("spring"), Some("gold"), Some("prod_mug"))],
            "price price_1 (lookup key: spring, metadata.pack: gold, product: prod_mug)",
        ),
        (vec![line(0, tokens, None, None)], "quantity 0"),
        (vec![line(-1, tokens, None, None)], "quantity -1"),
        (vec![line(i64::MAX, tokens, None, None)], "pieces"),
        (
            vec![line(1, tokens, None, None), line(i64::MAX, tokens, None, None)],
            "quantity",
        ),
    ] {
        let refusal = lines::sold(&lines, &catalog()).expect_err(why);
        assert_eq!(refusal.reason, Permanent::UnknownPack);
        assert!(
            refusal.detail.contains(why) && refusal.detail.contains("replay"),
            "{}",
            refusal.detail
        );
    }
}

#[test]
fn line_items_of_ignored_products_alone_are_somebody_elses() {
    let catalog = catalog_with("ignored_products = [", "\"prod_shop\"");
    let shop = line(1, Some("mug"), None, Some("prod_shop"));
    assert_eq!(lines::sold(&[shop, shop], &catalog), Ok(SoldLines::OtherProduct));
    let both = lines::sold(&[shop, line(1, Some("tokens_5m"), None, None)], &catalog);
    assert_eq!(
        both,
        Ok(SoldLines::Packs(grants(&[("tokens_5m", "tokens", 5_000_000)])))
    );
    assert!(lines::sold(&[shop, line(1, None, None, None)], &catalog).is_err());
}

#[track_caller]
fn invoice_line(line: &Value) -> InvoiceLine {
    match body_of(&event(
        "invoice.paid",
        &json!({"id": "in_1", "lines": {"data": [line]}}),
    )) {
        FactBody::Invoice(fact) => fact.lines.into_iter().next().expect("a line"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_one_off_line_of_a_packs_price_is_a_grant_in_each_shape() {
    let by_key = json!({"id": "price_1", "type": "one_time", "lookup_key": "tokens_5m"});
    let by_metadata = json!({"id": "price_1", "metadata": {"pack": "tokens_5m"}});
    let by_product = json!({"price_details": {"price": "price_1", "product": "prod_tokens"}});
    let one_off = json!({"type": "invoice_item_details", "invoice_item_details": {"proration": false}});
    let item = json!({"subscription_item_details": {"subscription_item": "si_1"}});
    for (line, packs) in [
        (json!({"amount": 1_000, "type": "invoiceitem", "price": by_key}), 1),
        (json!({"amount": 3_000, "quantity": 3, "price": by_metadata}), 3),
        (json!({"amount": 1_000, "parent": one_off, "pricing": by_product}), 1),
        (
            json!({"amount": 0, "quantity": 2, "parent": one_off, "pricing": by_product}),
            2,
        ),
        (json!({"amount": 1_000, "parent": item, "pricing": by_product}), 0),
        (
            json!({"amount": 1_000, "subscription_item": "si_1", "price": by_key}),
            0,
        ),
        (json!({"amount": 1_000, "type": "subscription", "price": by_key}), 0),
        (json!({"amount": 1_000, "proration": true, "price": by_key}), 0),
        (json!({"amount": -1_000, "price": by_key}), 0),
        (
            json!({"amount": 1_000, "price": {"id": "price_2", "lookup_key": "mug"}}),
            0,
        ),
        (
            json!({"amount": 1_000, "price": null, "plan": null, "pricing": null}),
            0,
        ),
    ] {
        let grant = invoice_line(&line).grant;
        let expected = (packs > 0).then(|| grants(&[("tokens_5m", "tokens", packs * 5_000_000)]).remove(0));
        assert_eq!(grant, expected, "{line}");
    }
    for quantity in [0, -1, i64::MAX] {
        let line = json!({"amount": 1, "quantity": quantity, "price": {"id": "price_1", "lookup_key": "tokens_5m"}});
        let invoice = event("invoice.paid", &json!({"id": "in_1", "lines": {"data": [line]}}));
        assert_eq!(refusal(&invoice).0, Permanent::Malformed);
    }
}

#[test]
fn an_invoice_or_an_item_of_ignored_products_alone_is_somebody_elses() {
    let catalog = catalog_with("ignored_products = [", "\"prod_shop\"");
    let (shop, ours) = (
        json!({"amount": 1, "price": {"id": "price_1", "product": "prod_shop"}}),
        json!({"amount": 1, "pricing": {"price_details": {"price": "price_2", "product": "prod_plus"}}}),
    );
    let of = |kind: &str, object: &Value| meaning_by(&catalog, &event(kind, object));
    let lines = |data: Value, has_more: bool| json!({"id": "in_1", "lines": {"data": data, "has_more": has_more}});
    let ignored = Ok(Meaning::Ignored("other_product"));
    assert_eq!(of("invoice.paid", &lines(json!([shop, shop]), false)), ignored);
    for other in [
        lines(json!([shop, ours]), false),
        lines(json!([shop]), true),
        lines(json!([]), false),
    ] {
        assert!(matches!(of("invoice.paid", &other), Ok(Meaning::Fact(_))), "{other}");
    }
    assert_eq!(of("invoiceitem.created", &with(&shop, "/id", json!("ii_1"))), ignored);
    let item = of("invoiceitem.created", &with(&ours, "/id", json!("ii_1")));
    assert!(matches!(item, Ok(Meaning::Fact(_))), "{item:?}");
}

#[test]
fn a_customer_is_a_fact_if_it_names_a_user() {
    use crate::domain::{fact::CustomerFact, ids::UserId};
    for kind in ["customer.created", "customer.updated"] {
        let customer = |metadata: Value| {
            event(
                kind,
                &json!({"id": "cus_1", "object": "customer", "metadata": metadata}),
            )
        };
        let read = fact(&customer(json!({"user_id": "u1"})));
        assert_eq!(read.account.as_str(), "cus_1");
        let expected = CustomerFact {
            user: Some(UserId::new("u1")),
        };
        assert_eq!(read.body, FactBody::Customer(expected));
        for metadata in [json!({}), json!([]), json!(null), json!({"user_id": ""})] {
            assert_eq!(meaning(&customer(metadata)), Ok(Meaning::Ignored("no_user")));
        }
        assert_eq!(refusal(&customer(json!({"user_id": 7}))).0, Permanent::Malformed);
    }
}

#[test]
fn a_refund_that_failed_or_was_canceled_is_told_by_older_endpoints_too() {
    let refund = |status: &str| json!({"id": "re_1", "amount": 5, "charge": "ch_1", "status": status});
    let failed = body_of(&event("refund.failed", &refund("failed")));
    for kind in ["refund.updated", "charge.refund.updated"] {
        for status in ["failed", "canceled"] {
            assert_eq!(body_of(&event(kind, &refund(status))), failed, "{kind} {status}");
        }
        for status in ["succeeded", "pending", "requires_action", "a_word_of_next_year"] {
            let ignored = Ok(Meaning::Ignored("not_handled"));
            assert_eq!(meaning(&event(kind, &refund(status))), ignored, "{kind} {status}");
        }
    }
}
