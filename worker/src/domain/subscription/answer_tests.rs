//! Answers of Stripe's API among the facts of events.

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
    let tier = state.base_plan().map(|p| p.tier.as_str());
    let status = state.latest.as_ref().map_or("", |s| s.status.as_str());
    (tier, state.entitled(), status)
}

#[test]
fn an_answer_shows_a_change_whose_event_is_missing() {
    let mut known = facts(&[(0, created(active("plus", month(0))))]);
    known.push(read(100, sub("past_due", "max")));
    assert_eq!(shown(&fold(&known)), (Some("max"), true, "past_due"));
}

#[test]
fn a_later_event_or_one_of_the_same_second_replaces_an_answer() {
    for later in [100, 101] {
        let mut known = facts(&[
            (0, created(active("plus", month(0)))),
            (later, changed(active("max", month(0)))),
        ]);
        known.push(read(100, active("basic", month(0))));
        assert_eq!(shown(&fold(&known)), (Some("max"), true, "active"), "{later}");
    }
}

#[test]
fn an_older_event_that_arrives_after_an_answer_does_not_replace_it() {
    let mut known = facts(&[
        (0, created(active("plus", month(0)))),
        (50, changed(active("basic", month(0)))),
    ]);
    known.push(read(100, active("max", month(0))));
    assert_eq!(shown(&fold(&known)), (Some("max"), true, "active"));
}

#[test]
fn an_answer_with_a_final_status_ends_the_subscription_and_no_answer_revives_it() {
    let mut known = facts(&[(0, created(active("plus", month(0))))]);
    known.push(read(100, sub("canceled", "plus")));
    known.push(read(200, active("plus", month(0))));
    let state = fold(&known);
    assert!(state.ended && !state.entitled());
    let mut known = facts(&[
        (0, created(active("plus", month(0)))),
        (100, deleted(sub("canceled", "plus"))),
    ]);
    known.push(read(100, active("plus", month(0))));
    assert!(fold(&known).ended);
}

#[test]
fn an_answer_that_repeats_the_state_changes_only_the_newest_time() {
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
fn a_downgrade_that_only_an_answer_shows_leaves_no_grace_if_it_was_credited() {
    let begin = (0, created(active("max", month(0))));
    let credit = (50, item(-300, true));
    let read = read(9 * 3_600, active("basic", month(0)));
    for (events, grace) in [(vec![begin.clone()], true), (vec![begin, credit], false)] {
        let mut known = facts(&events);
        let fast = fold(&known).advance(&[&read]);
        known.push(read.clone());
        let state = fold(&known);
        assert_eq!(state.grace.is_some(), grace);
        assert!(fast.is_none_or(|fast| fast == state));
    }
}

#[test]
fn the_fast_and_the_slow_path_give_the_same_state() {
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
