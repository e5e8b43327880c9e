//! Sales of several packs, and packs that are sold with a subscription.

use super::*;
use crate::domain::{
    fact::{
        Grant, InvoiceFact, InvoiceLine, InvoicePaymentFact,
        InvoiceStep::{Failed, Paid},
    },
    testkit::{created, invoice, month, session, sub, user},
};
use std::collections::BTreeSet;

fn grant(pack: &str, meter: &str, credits: i64) -> Grant {
    Grant {
        pack: pack.to_owned(),
        meter: meter.to_owned(),
        credits,
    }
}

fn shown(purchases: &[Purchase]) -> Vec<(&str, &str, &str, i64)> {
    let mut rows = Vec::new();
    for p in purchases {
        rows.push((p.sale.as_str(), p.pack.as_str(), p.meter.as_str(), p.credits));
    }
    rows
}

#[test]
fn a_session_that_sells_several_packs_is_one_purchase_for_each_meter() {
    let several = SessionFact {
        grants: vec![
            grant("tokens_5m", "tokens", 500),
            grant("voice", "voice_chars", 70),
            grant("tokens_5m", "tokens", 500),
            grant("tokens_1m", "tokens", 100),
        ],
        ..super::session()
    };
    let known = purchases(&[(0, FactBody::Session(several)), (5, refunded("cs", 500))]);
    assert_eq!(
        shown(&known),
        [
            ("cs", "tokens_5m, tokens_1m", "tokens", 1_100),
            ("cs", "voice", "voice_chars", 70),
        ]
    );
    // Half of the money takes half of each back.
    let back: Vec<i64> = known.iter().map(|p| p.taken_back[0].credits).collect();
    assert_eq!(back, [550, 35]);
}

/// The first invoice of `sub_1`, 20.00, with a pack of 1,000 tokens beside the plan.
fn first_invoice(step: crate::domain::fact::InvoiceStep) -> InvoiceFact {
    let mut first = invoice("in_1", step, "subscription_create", month(0));
    first.total = 2_000;
    first.lines.push(InvoiceLine {
        item: None,
        price: Some("price_pack".to_owned()),
        amount: 1_000,
        proration: false,
        period: None,
        grant: Some(grant("a_pack", "tokens", 1_000)),
    });
    first
}

fn starts(user: &str) -> TimedFact {
    let FactBody::Session(mut starts) = session(None, None) else {
        panic!("a session")
    };
    starts.user = self::user(user);
    starts.invoice = Some("in_1".to_owned());
    (9, FactBody::Session(starts))
}

#[test]
fn a_pack_sold_with_a_subscription_is_granted_by_its_line_once() {
    let pays = |at| (at, FactBody::Invoice(first_invoice(Paid)));
    let known = purchases(&[pays(3), pays(5), starts("u1")]);
    assert_eq!(shown(&known), [("in_1", "a_pack", "tokens", 1_000)]);
    assert_eq!(known[0].at, T0 + 3);
    // Not before it is paid, and not by the invoice of another kind of sale.
    assert_eq!(
        purchases(&[(3, FactBody::Invoice(first_invoice(Failed))), starts("u1")]),
        []
    );
    let mut of_no_subscription = first_invoice(Paid);
    of_no_subscription.subscription = None;
    assert_eq!(
        purchases(&[(3, FactBody::Invoice(of_no_subscription)), starts("u1")]),
        []
    );
}

#[test]
fn a_pack_sold_with_a_subscription_goes_to_the_user_of_its_session_else_of_the_customer() {
    let pays = (3, FactBody::Invoice(first_invoice(Paid)));
    for (named, customer, is_theirs) in [
        ("u1", Some("u2"), true),
        ("u2", Some("u1"), false),
        ("", Some("u1"), true),
        ("", Some("u2"), false),
        ("", None, false),
    ] {
        let facts = facts(&[(0, created(sub("active", "basic"))), pays.clone(), starts(named)]);
        assert_eq!(
            of_u1(&facts, customer).len(),
            usize::from(is_theirs),
            "{named} {customer:?}"
        );
    }
}

#[test]
fn a_refund_of_the_invoice_takes_the_pack_back_in_proportion() {
    let paid_with = |intent: Option<&str>| {
        let mut paid = first_invoice(Paid);
        paid.payment_intent = intent.map(str::to_owned);
        (3, FactBody::Invoice(paid))
    };
    let refund = |amount_refunded| {
        let FactBody::ChargeRefunded(mut charge) = refunded("sub", amount_refunded) else {
            panic!("a refund")
        };
        charge.amount = 2_000;
        (20, FactBody::ChargeRefunded(charge))
    };
    let back = |events: &[TimedFact]| -> Vec<i64> {
        let known = purchases(events);
        known[0].taken_back.iter().map(|t| t.credits).collect()
    };
    assert_eq!(back(&[paid_with(Some("pi_sub")), starts("u1"), refund(500)]), [250]);
    // The payment of another invoice is none of its, nor a payment that failed.
    let mut other = first_invoice(Paid);
    (other.invoice, other.payment_intent) = ("in_2".to_owned(), Some("pi_sub".to_owned()));
    other.lines.clear();
    let mut failed = first_invoice(Failed);
    failed.payment_intent = Some("pi_sub".to_owned());
    for (at, invoice) in [(2, failed), (9, other)] {
        let none_of_its = (at, FactBody::Invoice(invoice));
        let back = back(&[none_of_its, paid_with(Some("pi_1")), starts("u1"), refund(500)]);
        assert!(back.is_empty(), "{back:?}");
    }
    // Since API version 2025-03-31 another event says which payment it was.
    let payment = FactBody::InvoicePayment(InvoicePaymentFact {
        invoice: "in_1".to_owned(),
        payment_intent: Some("pi_sub".to_owned()),
        charge: None,
    });
    let events = [paid_with(None), starts("u1"), refund(2_000)];
    assert!(back(&events).is_empty());
    assert_eq!(back(&[&events[..], &[(4, payment)]].concat()), [1_000]);
    // A dispute before any refund is compared with the invoice's total.
    let dispute = (20, disputed("sub", "dp_1", 1_000, true));
    assert_eq!(back(&[paid_with(Some("pi_sub")), starts("u1"), dispute]), [500]);
}

#[test]
fn a_later_event_of_a_sale_is_stored_with_the_grants_of_the_first_one() {
    let mut more = first_invoice(Paid);
    more.lines[1].grant = Some(grant("a_pack", "tokens", 9_000));
    let mut both = facts(&[
        (3, FactBody::Invoice(first_invoice(Paid))),
        (5, FactBody::Invoice(more)),
    ]);
    let mut later = super::session();
    later.grants = vec![grant("a_pack", "tokens", 9_000), grant("b_pack", "tokens", 1)];
    both.extend(facts(&[paid(), (7, FactBody::Session(later))]));
    for (number, fact) in both.iter_mut().enumerate() {
        fact.event_id = EventId::new(format!("evt_{number}"));
    }
    let all: Vec<&Fact> = both.iter().collect();
    let new = BTreeSet::from([&both[1].event_id, &both[3].event_id]);
    let kept = keep_first_grants(&all, &new);
    let expected = |place: usize, first: usize| Fact {
        body: both[first].body.clone(),
        ..both[place].clone()
    };
    assert_eq!(kept, [expected(1, 0), expected(3, 2)]);
    // Two new events decide by their order alone.
    assert_eq!(keep_first_grants(&all, &both.iter().map(|f| &f.event_id).collect()), []);
}
