//! What was read from Stripe's API, among what events tell.

use super::*;
use crate::domain::{
    ids::SubscriptionId,
    testkit::{T0, active, changed, created, deleted, facts, item, month, read, sub},
};

fn fold(facts: &[Fact]) -> Subscription {
    let facts: Vec<&Fact> = facts.iter().collect();
    Subscription::refold(SubscriptionId::new("sub_1"), &facts)
}

fn shown(state: &Subscription) -> (Option<&str>, bool, &str) {
    let tier = state.counting_plan().map(|p| p.tier.as_str());
    let status = state.latest.as_ref().map_or("", |s| s.status.as_str());
    (tier, state.entitled(), status)
}

#[test]
fn what_was_read_shows_what_no_event_told() {
    let mut told = facts(&[(0, created(active("plus", month(0))))]);
    told.push(read(100, sub("past_due", "max")));
    assert_eq!(shown(&fold(&told)), (Some("max"), true, "past_due"));
}

#[test]
fn what_was_read_is_overtaken_by_a_later_event_and_by_one_of_its_second() {
    for later in [100, 101] {
        let mut told = facts(&[
            (0, created(active("plus", month(0)))),
            (later, changed(active("max", month(0)))),
        ]);
        told.push(read(100, active("basic", month(0))));
        assert_eq!(shown(&fold(&told)), (Some("max"), true, "active"), "{later}");
    }
}

#[test]
fn an_event_that_comes_after_it_was_read_but_is_older_changes_nothing_shown() {
    let mut told = facts(&[
        (0, created(active("plus", month(0)))),
        (50, changed(active("basic", month(0)))),
    ]);
    told.push(read(100, active("max", month(0))));
    assert_eq!(shown(&fold(&told)), (Some("max"), true, "active"));
}

#[test]
fn what_was_read_as_canceled_ends_it_and_nothing_read_revives_it() {
    let mut told = facts(&[(0, created(active("plus", month(0))))]);
    told.push(read(100, sub("canceled", "plus")));
    told.push(read(200, active("plus", month(0))));
    let state = fold(&told);
    assert!(state.ended && !state.entitled());
    let mut told = facts(&[
        (0, created(active("plus", month(0)))),
        (100, deleted(sub("canceled", "plus"))),
    ]);
    told.push(read(100, active("plus", month(0))));
    assert!(fold(&told).ended);
}

#[test]
fn what_only_repeats_leaves_all_but_the_time_of_the_newest_fact() {
    let events = facts(&[
        (0, created(active("max", month(0)))),
        (50, changed(active("plus", month(0)))),
    ]);
    let mut with = events.clone();
    with.push(read(100, active("plus", month(0))));
    let (before, after) = (fold(&events), fold(&with));
    assert!(after.grace.is_some() && after.newest == Some(T0 + 100));
    let timeless = |state: &Subscription| Subscription {
        newest: None,
        ..state.clone()
    };
    assert_eq!(timeless(&before), timeless(&after));
}

#[test]
fn a_downgrade_that_only_an_answer_shows_leaves_no_grace_if_it_was_credited_since() {
    let begin = (0, created(active("max", month(0))));
    let credit = (50, item(-300, true));
    let read = read(9 * 3_600, active("basic", month(0)));
    for (events, grace) in [(vec![begin.clone()], true), (vec![begin, credit], false)] {
        let mut told = facts(&events);
        let fast = fold(&told).advance(&[&read]);
        told.push(read.clone());
        let state = fold(&told);
        assert_eq!(state.grace.is_some(), grace);
        assert!(fast.is_none_or(|fast| fast == state));
    }
}

#[test]
fn both_paths_come_to_the_same() {
    let events = facts(&[
        (0, created(active("max", month(0)))),
        (50, changed(active("plus", month(0)))),
    ]);
    for (at, now) in [
        (100, active("plus", month(0))),
        (100, active("basic", month(0))),
        (100, sub("canceled", "plus")),
    ] {
        let new = read(at, now);
        let fast = fold(&events).advance(&[&new]).expect("newer than all");
        let mut all = events.clone();
        all.push(new);
        assert_eq!(fast, fold(&all));
    }
    let tied = read(50, active("plus", month(0)));
    assert_eq!(fold(&events).advance(&[&tied]), None);
}
