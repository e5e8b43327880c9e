//! Refunds and disputes whose money is not that of the price, and failures told twice.

use super::taken_back;
use crate::domain::{
    fact::{ChargeRefundedFact, DisputeFact, FactBody, Seconds},
    testkit::{T0, TimedFact, disputed, facts, refund_failed, refunded},
};
use std::collections::BTreeSet;

/// Checks the totals of 1,000 credits that were sold for 10.00 EUR with the payment `pi_cs`.
#[track_caller]
fn check(events: &[TimedFact], expected: &[(Seconds, i64)]) {
    let facts = facts(events);
    let known = |facts: &[&_]| taken_back(facts, &BTreeSet::from(["pi_cs"]), 1_000, (Some(1_000), Some("eur")));
    let mut arrived: Vec<&_> = facts.iter().collect();
    let totals = known(&arrived);
    let shown: Vec<_> = totals.iter().map(|t| (t.at - T0, t.credits)).collect();
    assert_eq!(shown, expected, "{events:#?}");
    arrived.reverse();
    assert_eq!(known(&arrived), totals, "backwards");
    arrived.extend(facts.iter());
    assert_eq!(known(&arrived), totals, "twice");
}

fn dispute(amount: i64, currency: &str, withdrawn: bool) -> FactBody {
    let FactBody::Dispute(dispute) = disputed("cs", "dp_1", amount, withdrawn) else {
        panic!("a dispute")
    };
    FactBody::Dispute(DisputeFact {
        currency: Some(currency.to_owned()),
        ..dispute
    })
}

#[test]
fn a_dispute_in_another_currency_takes_all_credits() {
    check(&[(5, dispute(860, "gbp", true))], &[(5, 1_000)]);
    check(&[(5, dispute(860, "eur", true))], &[(5, 860)]);
    check(
        &[(5, dispute(860, "gbp", true)), (9, dispute(860, "gbp", false))],
        &[(5, 1_000), (9, 0)],
    );
    // Beside a refund it is all of the grant, and the refund stays when it is won.
    check(
        &[
            (5, refunded("cs", 400)),
            (6, dispute(1, "gbp", true)),
            (9, dispute(1, "gbp", false)),
        ],
        &[(5, 400), (6, 1_000), (9, 400)],
    );
}

#[test]
fn the_currency_of_the_charge_counts_more_than_that_of_the_sale() {
    let FactBody::ChargeRefunded(charge) = refunded("cs", 0) else {
        panic!("a refund")
    };
    let in_pounds = FactBody::ChargeRefunded(ChargeRefundedFact {
        currency: Some("gbp".to_owned()),
        ..charge
    });
    check(&[(4, in_pounds), (5, dispute(860, "gbp", true))], &[(5, 860)]);
}

#[test]
fn a_failure_that_is_told_again_after_a_newer_refund_counts_once() {
    let fails = |at| (at, refund_failed("cs", "re_1", 400));
    // 4.00 are refunded and fail, then 3.00 are refunded.
    check(
        &[(5, refunded("cs", 400)), fails(9), (20, refunded("cs", 300)), fails(25)],
        &[(5, 400), (9, 0), (20, 300)],
    );
}

#[test]
fn a_charge_names_the_payment_where_no_intent_does() {
    let mut body = disputed("other", "dp_1", 250, true);
    if let FactBody::Dispute(dispute) = &mut body {
        (dispute.payment_intent, dispute.charge) = (None, Some("pi_cs".to_owned()));
    }
    check(&[(5, body)], &[(5, 250)]);
}
