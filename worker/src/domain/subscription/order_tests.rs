//! The order of facts: told by time, and within a second by evidence.

use super::in_order;
use crate::domain::{
    fact::{Fact, FactBody, InvoiceStep, Snapshot},
    testkit::{Told, changed, created, deleted, facts, invoice, month, not_renewed, renewed, session, sub},
};

#[path = "evidence_tests.rs"]
mod evidence;
#[path = "law_tests.rs"]
mod law;

/// The facts of a story are put in the order that it tells, from every order of
/// arrival and whatever their ids are.
#[track_caller]
fn check(story: &[Told]) {
    check_facts(&facts(story));
}

#[track_caller]
fn check_facts(told: &[Fact]) {
    let told: Vec<&Fact> = told.iter().collect();
    let mut arrived = told.clone();
    for _ in 0..told.len() {
        assert_eq!(in_order(arrived.iter().copied(), None).facts, told);
        arrived.rotate_left(1);
        arrived.reverse();
        assert_eq!(in_order(arrived.iter().copied(), None).facts, told);
        arrived.reverse();
    }
}

/// An active subscription that can be told from the others by its invoice.
fn state(name: &str) -> Snapshot {
    Snapshot {
        latest_invoice: Some(name.to_owned()),
        ..sub("active", "plus")
    }
}

fn at_once(said: Vec<FactBody>) -> Vec<Told> {
    said.into_iter().map(|s| (5, s)).collect()
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
fn in_one_second_the_invoice_is_first_and_the_life_runs_from_created_to_deleted() {
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
fn changes_of_one_second_are_chained_by_what_they_changed() {
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
fn a_chain_whose_start_was_never_seen_still_runs_in_its_order() {
    let story = at_once(vec![
        created(state("never seen")),
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
fn an_event_that_changed_nothing_we_read_does_not_come_after_the_change_it_preceded() {
    check(&at_once(vec![
        created(state("a")),
        changed(state("a")),
        changed(state("b")),
        changed(state("b")),
        changed(state("c")),
    ]));
    // The start was never seen.
    let story = facts(&at_once(vec![
        changed(state("never seen")),
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
        changed(state("never seen")),
        changed(state("a")),
        changed(state("b")),
        changed(state("a")),
        changed(state("c")),
    ]));
    check_facts(&story[2..]);
}

#[test]
fn an_event_that_does_not_say_what_it_changed_repeats_the_state_it_shows() {
    let mut story = facts(&at_once(vec![
        created(state("a")),
        changed(state("b")),
        changed(state("b")),
        changed(state("c")),
    ]));
    // `.paused`, `.resumed` and their like carry no `previous_attributes`.
    if let FactBody::Subscription(s) = &mut story[2].body {
        s.before = None;
    }
    check_facts(&story);
}

#[test]
fn where_no_evidence_decides_the_event_ids_do() {
    let told = facts(&at_once(vec![
        changed(state("a")),
        changed(state("b")),
        changed(state("c")),
    ]));
    let bare: Vec<Fact> = told
        .into_iter()
        .rev()
        .map(|mut fact| {
            if let FactBody::Subscription(s) = &mut fact.body {
                s.before = None;
            }
            fact
        })
        .collect();
    assert!(
        bare.is_sorted_by_key(|f| f.event_id.clone()),
        "ids run against the story"
    );
    check_facts(&bare);
}

#[test]
fn a_long_burst_within_one_second_is_ordered_without_delay() {
    let story: Vec<FactBody> = (0..300).map(|n| changed(state(&n.to_string()))).collect();
    let told = facts(&at_once(story));
    let arrived: Vec<&Fact> = told.iter().rev().collect();
    assert_eq!(in_order(arrived, None).facts, told.iter().collect::<Vec<_>>());
}
