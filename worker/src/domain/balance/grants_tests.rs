//! Purchases, refunds and disputes, in any order of arrival.

use super::{Purchase, keep_first_grants, of_user};
use crate::domain::{
    fact::{Fact, FactBody, Seconds, SessionFact},
    ids::{EventId, UserId},
    testkit::{T0, TimedFact, disputed, facts, pack, refund_failed, refunded},
};

/// A session that sells 1,000 credits for 10.00, so one credit per cent.
fn session() -> SessionFact {
    pack("cs", "tokens", 1_000)
}

fn paid() -> TimedFact {
    (0, FactBody::Session(session()))
}

/// The purchases of `u1`. No order of arrival and no second delivery changes them.
#[track_caller]
fn purchases(events: &[TimedFact]) -> Vec<Purchase> {
    of_u1(&facts(events), None)
}

#[track_caller]
fn of_u1(facts: &[Fact], customer: Option<&str>) -> Vec<Purchase> {
    let customer = customer.map(UserId::new);
    let of = |facts: &[&Fact]| of_user(&UserId::new("u1"), facts, |_| customer.as_ref());
    let mut arrived: Vec<&Fact> = facts.iter().collect();
    let known = of(&arrived);
    for _ in 0..facts.len() {
        arrived.rotate_left(1);
        assert_eq!(of(&arrived), known);
        arrived.reverse();
        assert_eq!(of(&arrived), known);
        arrived.reverse();
    }
    arrived.extend(facts);
    assert_eq!(of(&arrived), known, "delivered twice");
    known
}

/// Checks how many credits are taken back in total after each event: (seconds, credits).
#[track_caller]
fn check(events: &[TimedFact], expected: &[(Seconds, i64)]) {
    let purchases = purchases(events);
    assert_eq!(purchases.len(), 1, "one session");
    let taken_back: Vec<_> = purchases[0].taken_back.iter().map(|t| (t.at - T0, t.credits)).collect();
    assert_eq!(taken_back, expected, "{events:#?}");
}

#[test]
fn a_paid_session_grants_its_credits_at_its_first_event() {
    let [one] = &purchases(&[paid()])[..] else {
        panic!("one session")
    };
    assert_eq!((one.sale.as_str(), one.at, one.credits), ("cs", T0, 1_000));
    assert_eq!((one.pack.as_str(), one.meter.as_str()), ("a_pack", "tokens"));
    assert!(one.taken_back.is_empty());
}

#[test]
fn several_events_of_a_session_are_one_purchase() {
    let again = |at| (at, FactBody::Session(session()));
    let known = purchases(&[paid(), again(0), again(9), again(500)]);
    assert_eq!(known, purchases(&[paid()]));
    assert_eq!(purchases(&[again(500), again(9)])[0].at, T0 + 9);
}

#[test]
fn a_session_grants_the_credits_of_its_first_event() {
    let mut later = session();
    later.grants[0].credits = 2_000;
    assert_eq!(purchases(&[paid(), (9, FactBody::Session(later))])[0].credits, 1_000);
}

#[test]
fn an_unpaid_session_grants_nothing_until_it_is_paid() {
    let unpaid = SessionFact {
        grants: Vec::new(),
        ..session()
    };
    assert_eq!(purchases(&[(0, FactBody::Session(unpaid.clone()))]), []);
    let later = purchases(&[(0, FactBody::Session(unpaid)), (90, FactBody::Session(session()))]);
    assert_eq!((later.len(), later[0].at), (1, T0 + 90));
}

#[test]
fn a_refund_of_a_payment_that_two_sessions_name_is_taken_back_from_the_first() {
    let mut second = pack("cs_0", "tokens", 1_000);
    second.payment_intent = session().payment_intent;
    let events = [paid(), (5, FactBody::Session(second)), (9, refunded("cs", 400))];
    let taken_back: Vec<(String, usize)> = purchases(&events)
        .into_iter()
        .map(|b| (b.sale, b.taken_back.len()))
        .collect();
    assert_eq!(taken_back, [("cs".to_owned(), 1), ("cs_0".to_owned(), 0)]);
}

#[test]
fn each_session_is_a_purchase_and_they_are_sorted_by_time() {
    let other = FactBody::Session(pack("cs_0", "voice_chars", 500));
    let known = purchases(&[(5, other.clone()), paid()]);
    let shown: Vec<_> = known
        .iter()
        .map(|b| (b.sale.as_str(), b.meter.as_str(), b.credits))
        .collect();
    assert_eq!(shown, [("cs", "tokens", 1_000), ("cs_0", "voice_chars", 500)]);
    // Within one second the session ids decide.
    assert_eq!(purchases(&[(0, other), paid()])[0].sale, "cs");
}

#[test]
fn credits_go_to_the_named_user_else_the_reference_else_the_customers_user() {
    let named = |user: Option<&str>, reference: Option<&str>| {
        let session = SessionFact {
            user: user.map(UserId::new),
            reference: reference.map(UserId::new),
            ..session()
        };
        facts(&[(0, FactBody::Session(session))])
    };
    for (user, reference, customer, is_theirs) in [
        (Some("u1"), Some("u2"), Some("u2"), true),
        (Some("u2"), Some("u1"), Some("u1"), false),
        (None, Some("u1"), Some("u2"), true),
        (None, Some("u2"), Some("u1"), false),
        (None, None, Some("u1"), true),
        (None, None, Some("u2"), false),
        (None, None, None, false),
    ] {
        let facts = named(user, reference);
        assert_eq!(
            of_u1(&facts, customer).len(),
            usize::from(is_theirs),
            "{user:?} {reference:?} {customer:?}"
        );
    }
    // It is enough if one event of the session names the user.
    let mut named_facts = named(None, None);
    named_facts.extend(named(Some("u1"), None));
    named_facts[1].created += 5;
    assert_eq!(of_u1(&named_facts, Some("u2")).len(), 1);
}

#[test]
fn a_refund_takes_back_credits_in_proportion() {
    check(&[paid(), (5, refunded("cs", 250))], &[(5, 250)]);
    check(
        &[paid(), (5, refunded("cs", 250)), (9, refunded("cs", 700))],
        &[(5, 250), (9, 700)],
    );
    check(&[paid(), (5, refunded("cs", 1_000))], &[(5, 1_000)]);
}

#[test]
fn a_fraction_of_a_credit_is_not_taken_back() {
    let few = FactBody::Session(pack("cs", "tokens", 7));
    check(&[(0, few.clone()), (5, refunded("cs", 499))], &[(5, 3)]);
    check(&[(0, few.clone()), (5, refunded("cs", 142))], &[]);
    check(&[(0, few), (5, refunded("cs", 143))], &[(5, 1)]);
}

#[test]
fn of_two_refund_events_in_one_second_the_higher_total_counts() {
    let both = [(5, refunded("cs", 300)), (5, refunded("cs", 600))];
    let last = |events: &[TimedFact]| purchases(events)[0].taken_back.last().expect("a refund").credits;
    assert_eq!(last(&[paid(), both[0].clone(), both[1].clone()]), 600);
    assert_eq!(last(&[paid(), both[1].clone(), both[0].clone()]), 600);
}

#[test]
fn a_failed_refund_returns_its_credits_and_the_next_total_leaves_it_out() {
    let fails = |at, refund, amount| (at, refund_failed("cs", refund, amount));
    let events = [paid(), (5, refunded("cs", 400)), fails(9, "re_1", 400)];
    check(&events, &[(5, 400), (9, 0)]);
    // A second event of one failure changes nothing.
    check(&[&events[..], &[fails(9, "re_1", 400)]].concat(), &[(5, 400), (9, 0)]);
    let part = [
        paid(),
        (5, refunded("cs", 400)),
        fails(9, "re_1", 150),
        fails(10, "re_2", 50),
    ];
    check(&part, &[(5, 400), (9, 250), (10, 200)]);
    check(
        &[&part[..], &[(20, refunded("cs", 300)), fails(30, "re_3", 100)]].concat(),
        &[(5, 400), (9, 250), (10, 200), (20, 300), (30, 200)],
    );
    // Within one second, a refund comes before its failure.
    check(
        &[paid(), fails(5, "re_1", 400), (5, refunded("cs", 400))],
        &[(5, 400), (5, 0)],
    );
}

#[test]
fn a_failed_refund_never_returns_more_than_was_taken_back() {
    check(&[paid(), (5, refund_failed("cs", "re_1", 400))], &[]);
    check(
        &[paid(), (5, refunded("cs", 100)), (9, refund_failed("cs", "re_1", 400))],
        &[(5, 100), (9, 0)],
    );
}

#[test]
fn a_dispute_takes_credits_back_and_its_end_returns_them() {
    let withdrawn = |at, id| (at, disputed("cs", id, 600, true));
    let reinstated = |at, id| (at, disputed("cs", id, 600, false));
    check(&[paid(), withdrawn(5, "dp_1")], &[(5, 600)]);
    check(&[paid(), withdrawn(5, "dp_1"), withdrawn(7, "dp_1")], &[(5, 600)]);
    check(
        &[paid(), withdrawn(5, "dp_1"), reinstated(9, "dp_1")],
        &[(5, 600), (9, 0)],
    );
    check(
        &[paid(), reinstated(5, "dp_1"), withdrawn(5, "dp_1")],
        &[(5, 600), (5, 0)],
    );
    // A withdrawal that has a later time than its return changes nothing.
    check(&[paid(), reinstated(5, "dp_1"), withdrawn(9, "dp_1")], &[]);
    check(
        &[
            paid(),
            withdrawn(5, "dp_1"),
            withdrawn(7, "dp_2"),
            reinstated(9, "dp_1"),
        ],
        &[(5, 600), (7, 1_000), (9, 600)],
    );
}

#[test]
fn a_refund_and_a_dispute_together_never_take_back_more_than_the_grant() {
    let events = [
        paid(),
        (5, refunded("cs", 500)),
        (6, disputed("cs", "dp_1", 1_000, true)),
        (7, refunded("cs", 700)),
        (8, disputed("cs", "dp_1", 1_000, false)),
        (9, refund_failed("cs", "re_1", 700)),
    ];
    check(&events, &[(5, 500), (6, 1_000), (8, 700), (9, 0)]);
}

#[test]
fn without_a_charge_a_dispute_is_in_proportion_to_the_price() {
    let priced = |amount_total| {
        FactBody::Session(SessionFact {
            amount_total,
            ..session()
        })
    };
    check(
        &[(0, priced(Some(2_000))), (5, disputed("cs", "dp", 500, true))],
        &[(5, 250)],
    );
    // The charge's own amount counts more than the session's price.
    let charge = [
        (0, priced(Some(2_000))),
        (5, disputed("cs", "dp", 500, true)),
        (9, refunded("cs", 0)),
    ];
    check(&charge, &[(5, 500)]);
    // Without a known price, all credits are taken back.
    check(&[(0, priced(None)), (5, disputed("cs", "dp", 1, true))], &[(5, 1_000)]);
    check(
        &[(0, priced(Some(0))), (5, disputed("cs", "dp", 1, true))],
        &[(5, 1_000)],
    );
    let returned = [(5, disputed("cs", "dp", 1, true)), (9, disputed("cs", "dp", 1, false))];
    check(&[&[(0, priced(None))], &returned[..]].concat(), &[(5, 1_000), (9, 0)]);
}

#[test]
fn a_refund_of_another_payment_takes_nothing_back() {
    let others = [
        (5, refunded("cs_2", 250)),
        (6, disputed("cs_2", "dp", 250, true)),
        (7, refund_failed("cs_2", "re", 250)),
    ];
    check(&[&[paid()], &others[..]].concat(), &[]);
    let free = FactBody::Session(SessionFact {
        payment_intent: None,
        amount_total: Some(0),
        ..session()
    });
    let mut stray = facts(&[(0, free), (5, refunded("cs", 250))]);
    if let FactBody::ChargeRefunded(charge) = &mut stray[1].body {
        charge.payment_intent = None;
    }
    assert!(of_u1(&stray, None)[0].taken_back.is_empty());
}

#[test]
fn any_event_of_a_session_may_name_its_payment() {
    let unnamed = SessionFact {
        payment_intent: None,
        amount_total: None,
        ..session()
    };
    let events = [
        (0, FactBody::Session(unnamed)),
        (2, FactBody::Session(session())),
        (5, disputed("cs", "dp", 250, true)),
    ];
    check(&events, &[(5, 250)]);
}

#[test]
fn the_largest_amounts_are_taken_back_in_proportion() {
    let most = [
        (0, FactBody::Session(pack("cs", "tokens", i64::MAX))),
        (5, refunded("cs", 500)),
        (6, disputed("cs", "dp_1", i64::MAX, true)),
        (7, disputed("cs", "dp_2", i64::MAX, true)),
    ];
    check(&most, &[(5, i64::MAX / 2), (6, i64::MAX)]);
}

#[test]
fn a_total_names_the_event_of_its_refund() {
    let mut named_facts = facts(&[paid(), (5, refunded("cs", 250))]);
    named_facts[1].event_id = EventId::new("evt_refund");
    assert_eq!(
        of_u1(&named_facts, None)[0].taken_back[0].event,
        EventId::new("evt_refund")
    );
}

#[path = "sales_tests.rs"]
mod sales;

#[test]
fn refunds_and_disputes_name_the_payment_of_their_purchase() {
    for body in [
        refunded("cs", 500),
        refund_failed("cs", "re_1", 500),
        disputed("cs", "du_1", 500, true),
    ] {
        assert_eq!(body.payment(), Some("pi_cs"), "{body:?}");
    }
}
