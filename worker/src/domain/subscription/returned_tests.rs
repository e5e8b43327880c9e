//! Invoices whose money was returned, and open renewals: what they do to the grace.

use super::*;
use crate::domain::fact::{ChargeRefundedFact, DisputeFact, Fact, InvoicePaymentFact};

/// The first invoice of Max, for month 0, paid with `pi_1`.
fn first_paid() -> TimedFact {
    let mut first = invoice("in_0", Paid, "subscription_create", month(0));
    first.payment_intent = Some("pi_1".to_owned());
    (1, FactBody::Invoice(first))
}

fn refunded(amount_refunded: i64) -> FactBody {
    FactBody::ChargeRefunded(ChargeRefundedFact {
        charge: "ch_1".to_owned(),
        payment_intent: Some("pi_1".to_owned()),
        amount: 4_000,
        amount_refunded,
        currency: None,
        invoice: None,
    })
}

fn disputed(withdrawn: bool) -> FactBody {
    FactBody::Dispute(DisputeFact {
        dispute: "dp_1".to_owned(),
        charge: Some("ch_1".to_owned()),
        payment_intent: Some("pi_1".to_owned()),
        amount: 4_000,
        currency: None,
        withdrawn,
    })
}

/// Max, and a downgrade to Basic on day 10, with this in between or after.
fn down_with(more: &[TimedFact]) -> Vec<TimedFact> {
    with(&[starts("max"), first_paid(), to("basic", 10, "in_0")], more)
}

#[test]
fn a_refund_in_full_takes_the_grace_whenever_it_comes() {
    let grace = Some(("max", 30));
    check(&down_with(&[]), "basic", "basic", grace);
    check(&down_with(&[on(5, refunded(3_999))]), "basic", "basic", grace);
    for day in [0, 5, 15, 99] {
        check(&down_with(&[on(day, refunded(4_000))]), "basic", "basic", None);
        check(&down_with(&[on(day, disputed(true))]), "basic", "basic", None);
        check(
            &down_with(&[on(day, disputed(true)), on(100, disputed(false))]),
            "basic",
            "basic",
            grace,
        );
    }
    // Access and `ever_paid` stay.
    let row = has(&[starts("max"), first_paid(), on(5, refunded(4_000))]);
    assert!(row.entitled && row.ever_paid);
    assert_eq!(row.base_tier, "max");
}

#[test]
fn a_refund_of_another_payment_or_period_changes_nothing() {
    let grace = Some(("max", 30));
    let FactBody::ChargeRefunded(mut other) = refunded(4_000) else {
        panic!("a refund")
    };
    other.payment_intent = Some("pi_2".to_owned());
    check(
        &down_with(&[on(5, FactBody::ChargeRefunded(other))]),
        "basic",
        "basic",
        grace,
    );
    let next = [
        starts("max"),
        first_paid(),
        on(30, changed(active("max", month(1)))),
        on(30, renewed(month(1))),
        on(31, refunded(4_000)),
        on(40, changed(active("basic", month(1)))),
    ];
    check(&next, "basic", "basic", Some(("max", 60)));
}

#[test]
fn a_payment_told_by_invoice_payment_paid_connects_the_refund() {
    let mut first = invoice("in_0", Paid, "subscription_create", month(0));
    first.payment_intent = None;
    let pays = FactBody::InvoicePayment(InvoicePaymentFact {
        invoice: "in_0".to_owned(),
        payment_intent: Some("pi_1".to_owned()),
        charge: None,
    });
    let story = [
        starts("max"),
        (1, FactBody::Invoice(first)),
        to("basic", 10, "in_0"),
        on(12, refunded(4_000)),
    ];
    check(&story, "basic", "basic", Some(("max", 30)));
    check(&with(&story, &[on(20, pays)]), "basic", "basic", None);
}

#[test]
fn a_payment_without_returned_money_keeps_the_fast_path() {
    let pays = FactBody::InvoicePayment(InvoicePaymentFact {
        invoice: "in_0".to_owned(),
        payment_intent: Some("pi_1".to_owned()),
        charge: None,
    });
    let facts = facts(&[starts("max"), first_paid(), on(2, pays), on(3, refunded(4_000))]);
    let facts: Vec<&Fact> = facts.iter().collect();
    let known = Account::fold(&facts[..2]);
    assert_eq!(known.advance(&[facts[2]]), Some(Account::fold(&facts[..3])));
    // A refund needs all facts, and so does a payment after it.
    assert_eq!(Account::fold(&facts[..3]).advance(&[facts[3]]), None);
    let returned = Account::fold(&[facts[0], facts[1], facts[3]]);
    assert_eq!(returned.advance(&[facts[2]]), None);
}

#[test]
fn a_renewal_that_is_paid_after_the_downgrade_brings_the_grace_back() {
    // Max is past due in month 1, becomes Basic, and is paid then.
    let past_due = Snapshot {
        status: "past_due".to_owned(),
        ..active("max", month(1))
    };
    let story = [
        starts("max"),
        on(30, changed(past_due)),
        on(30, not_renewed(month(1))),
        on(33, changed(active("basic", month(1)))),
        on(35, renewed(month(1))),
    ];
    check(&story[..4], "basic", "basic", None);
    check(&story, "basic", "basic", Some(("max", 60)));
}

#[test]
fn a_renewal_that_is_not_about_the_plan_ends_no_grace() {
    let mut of_an_add_on = invoice("in_9", Paid, "subscription_cycle", days(31, 61));
    of_an_add_on.lines[0].price = Some("price_of_an_add_on".to_owned());
    let story = [
        starts("max"),
        to("basic", 10, "in_0"),
        on(12, FactBody::Invoice(of_an_add_on)),
    ];
    check(&story, "basic", "basic", Some(("max", 30)));
}
