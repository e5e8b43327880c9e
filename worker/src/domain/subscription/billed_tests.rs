//! Invoices as all facts show them: which are about the plan, and which were paid, failed
//! or returned.

use super::{BilledInvoice, of_subscription};
use crate::domain::{
    fact::{
        ChargeRefundedFact, DisputeFact, Fact, FactBody, InvoiceFact, InvoiceLine, InvoicePaymentFact, InvoiceStep,
        Period, Plan, RefundFailedFact, Snapshot,
    },
    ids::SubscriptionId,
    testkit::{DAY, T0, TimedFact, active, changed, created, days, facts, invoice, month, plan},
};

/// An active snapshot whose plan item is this one, with this price.
fn with_item(item: &str, price: &str, period: Period) -> Snapshot {
    Snapshot {
        plan: Some(Plan {
            item: Some(item.to_owned()),
            price: price.to_owned(),
            ..plan("plus")
        }),
        ..active("plus", period)
    }
}

fn line(item: Option<&str>, price: Option<&str>, proration: bool, period: Period) -> InvoiceLine {
    InvoiceLine {
        item: item.map(str::to_owned),
        price: price.map(str::to_owned),
        amount: if proration { -100 } else { 1_000 },
        proration,
        period: Some(period),
        grant: None,
    }
}

fn cycle(id: &str, lines: Vec<InvoiceLine>) -> InvoiceFact {
    InvoiceFact {
        lines,
        ..invoice(id, InvoiceStep::Paid, "subscription_cycle", month(1))
    }
}

/// The invoices of `sub_1`, the same in any order of arrival.
fn billed(story: &[TimedFact]) -> Vec<BilledInvoice> {
    let facts = facts(story);
    let mut arrived: Vec<&Fact> = facts.iter().collect();
    let id = SubscriptionId::new("sub_1");
    let expected = of_subscription(&id, &arrived);
    for _ in 0..facts.len() {
        arrived.rotate_left(1);
        assert_eq!(of_subscription(&id, &arrived), expected);
        arrived.reverse();
        assert_eq!(of_subscription(&id, &arrived), expected);
        arrived.reverse();
    }
    expected
}

/// The period that the only invoice of a story pays for.
fn pays_for(story: &[TimedFact]) -> Option<Period> {
    let billed = billed(story);
    assert_eq!(billed.len(), 1);
    billed[0].pays_for
}

#[test]
fn an_invoice_is_about_the_plan_if_it_bills_the_plan_item_without_proration() {
    let year = days(0, 365);
    let other = days(30, 60);
    let cases: [(&str, Vec<InvoiceLine>, Option<Period>); 9] = [
        (
            "the plan's line",
            vec![line(Some("si_1"), Some("p"), false, year)],
            Some(year),
        ),
        (
            "an add-on's line",
            vec![line(Some("si_2"), Some("q"), false, other)],
            None,
        ),
        (
            "both, the add-on first",
            vec![
                line(Some("si_2"), None, false, days(0, 400)),
                line(Some("si_1"), None, false, year),
            ],
            Some(year),
        ),
        (
            "a proration of the plan",
            vec![line(Some("si_1"), Some("p"), true, year)],
            None,
        ),
        (
            "no item, the plan's price",
            vec![line(None, Some("p"), false, year)],
            Some(year),
        ),
        ("no item, another price", vec![line(None, Some("q"), false, year)], None),
        (
            "neither item nor price",
            vec![line(None, None, false, year)],
            Some(year),
        ),
        (
            "another item of the plan's price",
            vec![line(Some("si_9"), Some("p"), false, year)],
            None,
        ),
        ("no line", Vec::new(), None),
    ];
    for (what, lines, expected) in cases {
        let story = [
            (0, created(with_item("si_1", "p", year))),
            (DAY, FactBody::Invoice(cycle("in_1", lines))),
        ];
        assert_eq!(pays_for(&story), expected, "{what}");
    }
}

#[test]
fn every_item_that_was_the_plan_item_counts() {
    let lines = vec![line(Some("si_1"), None, false, month(1))];
    let story = [
        (0, created(with_item("si_1", "p", month(0)))),
        (DAY, changed(with_item("si_2", "q", month(0)))),
        (2 * DAY, FactBody::Invoice(cycle("in_1", lines))),
    ];
    assert_eq!(pays_for(&story), Some(month(1)));
}

#[test]
fn without_a_known_plan_the_latest_period_counts() {
    let lines = vec![
        line(Some("si_2"), Some("q"), false, days(30, 31)),
        line(Some("si_1"), Some("p"), false, month(1)),
        line(Some("si_1"), Some("p"), true, days(0, 99)),
    ];
    assert_eq!(
        pays_for(&[(0, FactBody::Invoice(cycle("in_1", lines)))]),
        Some(month(1))
    );
}

#[test]
fn a_plan_without_an_item_is_known_by_its_price() {
    let lines = vec![
        line(Some("si_1"), Some("price_plus"), false, month(1)),
        line(Some("si_2"), Some("q"), false, days(30, 99)),
    ];
    let story = [
        (0, created(active("plus", month(0)))),
        (30 * DAY, FactBody::Invoice(cycle("in_1", lines))),
    ];
    assert_eq!(pays_for(&story), Some(month(1)));
}

#[test]
fn a_cut_page_pays_for_the_plan_period_that_begins_when_its_own_ends() {
    let cut = |ended| {
        FactBody::Invoice(InvoiceFact {
            lines_cut: true,
            period: Some(ended),
            ..cycle("in_1", vec![line(Some("si_1"), None, true, month(0))])
        })
    };
    let begins = (0, created(with_item("si_1", "p", month(0))));
    let renews = (30 * DAY, changed(with_item("si_1", "p", month(1))));
    assert_eq!(
        pays_for(&[begins.clone(), (30 * DAY, cut(month(0))), renews.clone()]),
        Some(month(1))
    );
    // Another item's month ends within the plan's.
    assert_eq!(
        pays_for(&[begins.clone(), (30 * DAY, cut(days(-15, 15))), renews.clone()]),
        None
    );
    // The plan's line is on the page.
    let FactBody::Invoice(mut whole) = cut(month(0)) else {
        panic!("an invoice")
    };
    whole.lines.push(line(Some("si_1"), None, false, days(30, 61)));
    assert_eq!(
        pays_for(&[
            begins.clone(),
            (30 * DAY, FactBody::Invoice(whole.clone())),
            renews.clone()
        ]),
        Some(days(30, 61))
    );
    // The whole list is known, and has no line of the plan.
    whole.lines.pop();
    whole.lines_cut = false;
    assert_eq!(pays_for(&[begins, (30 * DAY, FactBody::Invoice(whole)), renews]), None);
}

#[test]
fn the_first_failure_and_the_first_payment_count() {
    let step = |step| FactBody::Invoice(invoice("in_1", step, "subscription_cycle", month(1)));
    let billed = billed(&[
        (10, step(InvoiceStep::ActionRequired)),
        (20, step(InvoiceStep::Failed)),
        (30, step(InvoiceStep::Paid)),
        (31, step(InvoiceStep::Paid)),
    ]);
    assert_eq!(billed.len(), 1);
    assert_eq!(
        (billed[0].first_failed_at, billed[0].paid_at),
        (Some(T0 + 10), Some(T0 + 30))
    );
    assert!(billed[0].is_paid() && billed[0].billing_reason.renews() && !billed[0].credits);
}

fn paid(intent: Option<&str>, charge: Option<&str>) -> FactBody {
    FactBody::Invoice(InvoiceFact {
        payment_intent: intent.map(str::to_owned),
        charge: charge.map(str::to_owned),
        ..invoice("in_1", InvoiceStep::Paid, "subscription_cycle", month(1))
    })
}

fn paid_with(intent: &str) -> FactBody {
    FactBody::InvoicePayment(InvoicePaymentFact {
        invoice: "in_1".to_owned(),
        payment_intent: Some(intent.to_owned()),
        charge: None,
    })
}

fn refunded(intent: Option<&str>, amount_refunded: i64) -> FactBody {
    FactBody::ChargeRefunded(ChargeRefundedFact {
        charge: "ch_1".to_owned(),
        payment_intent: intent.map(str::to_owned),
        amount: 1_000,
        amount_refunded,
        currency: None,
        invoice: None,
    })
}

fn refund_failed(amount: i64) -> FactBody {
    FactBody::RefundFailed(RefundFailedFact {
        refund: "re_1".to_owned(),
        charge: None,
        payment_intent: Some("pi_1".to_owned()),
        amount,
    })
}

fn disputed(withdrawn: bool) -> FactBody {
    FactBody::Dispute(DisputeFact {
        dispute: "dp_1".to_owned(),
        charge: Some("ch_1".to_owned()),
        payment_intent: Some("pi_1".to_owned()),
        amount: 860,
        currency: Some("gbp".to_owned()),
        withdrawn,
    })
}

#[test]
fn an_invoice_is_returned_if_its_payment_was_refunded_in_full_or_lost() {
    let by_intent = || (0, paid(Some("pi_1"), Some("ch_1")));
    let by_payment = || vec![(0, paid(None, None)), (1, paid_with("pi_1"))];
    let cases: [(&str, Vec<TimedFact>, Option<i64>); 12] = [
        (
            "in full",
            vec![by_intent(), (9, refunded(Some("pi_1"), 1_000))],
            Some(9),
        ),
        ("in part", vec![by_intent(), (9, refunded(Some("pi_1"), 999))], None),
        (
            "in two parts",
            vec![
                by_intent(),
                (9, refunded(Some("pi_1"), 400)),
                (12, refunded(Some("pi_1"), 1_000)),
            ],
            Some(12),
        ),
        (
            "another payment",
            vec![by_intent(), (9, refunded(Some("pi_2"), 1_000))],
            None,
        ),
        (
            "by the charge",
            vec![(0, paid(None, Some("ch_1"))), (9, refunded(None, 1_000))],
            Some(9),
        ),
        (
            "by invoice_payment.paid",
            [by_payment(), vec![(9, refunded(Some("pi_1"), 1_000))]].concat(),
            Some(9),
        ),
        (
            "before the payment is told",
            [vec![(-5, refunded(Some("pi_1"), 1_000))], by_payment()].concat(),
            Some(-5),
        ),
        (
            "the refund failed",
            vec![
                by_intent(),
                (9, refunded(Some("pi_1"), 1_000)),
                (12, refund_failed(1_000)),
            ],
            None,
        ),
        (
            "it failed and was repeated; the failure is told again",
            vec![
                by_intent(),
                (9, refunded(Some("pi_1"), 1_000)),
                (12, refund_failed(1_000)),
                (15, refunded(Some("pi_1"), 1_000)),
                (18, refund_failed(1_000)),
            ],
            Some(15),
        ),
        (
            "a dispute in another currency",
            vec![by_intent(), (9, disputed(true))],
            Some(9),
        ),
        (
            "a dispute that was won",
            vec![by_intent(), (9, disputed(true)), (12, disputed(false))],
            None,
        ),
        (
            "one of two payments",
            [
                by_payment(),
                vec![(2, paid_with("pi_2")), (9, refunded(Some("pi_1"), 1_000))],
            ]
            .concat(),
            None,
        ),
    ];
    for (what, story, expected) in cases {
        let billed = billed(&story);
        assert_eq!(billed.len(), 1, "{what}");
        assert_eq!(billed[0].returned_at, expected.map(|at| T0 + at), "{what}");
        assert_eq!(billed[0].is_paid(), expected.is_none(), "{what}");
    }
}

#[test]
fn a_refund_of_an_old_version_names_the_invoice_itself() {
    let FactBody::ChargeRefunded(mut charge) = refunded(None, 1_000) else {
        panic!("a refund")
    };
    charge.invoice = Some("in_1".to_owned());
    let billed = billed(&[(0, paid(None, None)), (9, FactBody::ChargeRefunded(charge))]);
    assert_eq!(billed[0].returned_at, Some(T0 + 9));
}
