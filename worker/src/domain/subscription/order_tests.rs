//! The order of facts: by time, and within one second by evidence.

use super::in_order;
use crate::domain::{
    fact::{Fact, FactBody, InvoiceStep, Snapshot},
    testkit::{TimedFact, changed, created, deleted, facts, invoice, month, not_renewed, renewed, session, sub},
};

#[path = "evidence_tests.rs"]
mod evidence;
#[path = "property_tests.rs"]
mod property;

/// Checks that the facts of a story are sorted into its order, from many orders of
/// arrival.
#[track_caller]
fn check(story: &[TimedFact]) {
    check_facts(&facts(story));
}

#[track_caller]
fn check_facts(expected: &[Fact]) {
    let expected: Vec<&Fact> = expected.iter().collect();
    let mut arrived = expected.clone();
    for _ in 0..expected.len() {
        assert_eq!(in_order(arrived.iter().copied(), None).facts, expected);
        arrived.rotate_left(1);
        arrived.reverse();
        assert_eq!(in_order(arrived.iter().copied(), None).facts, expected);
        arrived.reverse();
    }
}

/// An active snapshot. Its latest invoice makes it different from other states.
fn state(name: &str) -> Snapshot {
    Snapshot {
        latest_invoice: Some(name.to_owned()),
        ..sub("active", "plus")
    }
}

/// All facts at second 5.
fn at_once(bodies: Vec<FactBody>) -> Vec<TimedFact> {
    bodies.into_iter().map(|body| (5, body)).collect()
}

#[test]
fn time_comes_before_everything_else() {
    check(&[
        (0, created(sub("trialing", "max"))),
        (1, changed(sub("active", "max"))),
        (2, renewed(month(0))),
        (3, changed(sub("past_due", "max"))),
        (4, session(None, None)),
        (5, deleted(sub("canceled", "max"))),
    ]);
}

#[test]
fn in_one_second_the_invoice_comes_first_then_created_changes_and_deleted() {
    check(&at_once(vec![
        session(None, None),
        renewed(month(0)),
        created(sub("incomplete", "max")),
        changed(sub("active", "max")),
        deleted(sub("canceled", "max")),
    ]));
}

#[test]
fn in_one_second_an_invoice_fails_before_it_is_paid() {
    check(&at_once(vec![not_renewed(month(0)), renewed(month(0))]));
    let asked = invoice("in_1", InvoiceStep::ActionRequired, "subscription_create", month(0));
    let paid = invoice("in_1", InvoiceStep::Paid, "subscription_create", month(0));
    check(&at_once(vec![FactBody::Invoice(asked), FactBody::Invoice(paid)]));
}

#[test]
fn changes_of_one_second_are_chained_by_the_state_before_each() {
    check(&at_once(vec![
        created(state("a")),
        changed(state("b")),
        changed(state("c")),
        changed(state("d")),
        changed(state("e")),
    ]));
}

#[test]
fn the_chain_starts_from_an_earlier_second() {
    check(&[
        (0, created(state("a"))),
        (5, changed(state("b"))),
        (5, changed(state("c"))),
        (5, changed(state("d"))),
        (6, changed(state("a"))),
        (6, changed(state("c"))),
    ]);
}

#[test]
fn a_chain_without_its_first_event_keeps_its_order() {
    let story = at_once(vec![
        created(state("unknown")),
        changed(state("b")),
        changed(state("c")),
        changed(state("d")),
    ]);
    check_facts(&facts(&story)[1..]);
    let earlier = [&[(0, created(state("long ago")))], &story[..]].concat();
    let mut known = facts(&earlier);
    known.remove(1);
    check_facts(&known);
}

#[test]
fn an_event_that_changed_no_field_we_read_comes_before_the_next_change() {
    check(&at_once(vec![
        created(state("a")),
        changed(state("a")),
        changed(state("b")),
        changed(state("b")),
        changed(state("c")),
    ]));
    // Without the first events.
    let story = facts(&at_once(vec![
        changed(state("unknown")),
        changed(state("a")),
        changed(state("a")),
        changed(state("b")),
    ]));
    check_facts(&story[2..]);
}

#[test]
fn a_state_that_is_left_twice_in_one_second_is_left_for_good_the_second_time() {
    check(&at_once(vec![
        created(state("a")),
        changed(state("b")),
        changed(state("a")),
        changed(state("c")),
    ]));
    let story = facts(&at_once(vec![
        changed(state("unknown")),
        changed(state("a")),
        changed(state("b")),
        changed(state("a")),
        changed(state("c")),
    ]));
    check_facts(&story[2..]);
}

#[test]
fn an_event_without_previous_attributes_repeats_the_state_that_it_shows() {
    let mut story = facts(&at_once(vec![
        created(state("a")),
        changed(state("b")),
        changed(state("b")),
        changed(state("c")),
    ]));
    // `customer.subscription.paused` and `.resumed` have no `previous_attributes`.
    if let FactBody::Subscription(s) = &mut story[2].body {
        s.before = None;
    }
    check_facts(&story);
}

#[test]
fn where_no_evidence_decides_the_event_ids_do() {
    let facts = facts(&at_once(vec![
        changed(state("a")),
        changed(state("b")),
        changed(state("c")),
    ]));
    let bare: Vec<Fact> = facts
        .into_iter()
        .rev()
        .map(|mut fact| {
            if let FactBody::Subscription(s) = &mut fact.body {
                s.before = None;
            }
            fact
        })
        .collect();
    assert!(bare.is_sorted_by_key(|f| f.event_id.clone()), "ids fall with time");
    check_facts(&bare);
}

#[test]
fn three_hundred_changes_of_one_second_are_sorted_fast() {
    let story: Vec<FactBody> = (0..300).map(|n| changed(state(&n.to_string()))).collect();
    let facts = facts(&at_once(story));
    let arrived: Vec<&Fact> = facts.iter().rev().collect();
    assert_eq!(in_order(arrived, None).facts, facts.iter().collect::<Vec<_>>());
}
