use super::*;
use crate::fixtures::Event;
use crate::harness::Entitlement;
use serde_json::Value;
use std::collections::BTreeSet;

const NOW: i64 = 1_790_000_000;
const SEED: u64 = 7;

fn bytes(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.body.as_str()).collect()
}

#[test]
fn the_same_seed_makes_the_same_bytes_and_another_seed_others() {
    let first = life(SEED, 3, NOW);
    let again = life(SEED, 3, NOW);
    assert_eq!(bytes(&first.events), bytes(&again.events));
    assert_eq!(first.checkpoints, again.checkpoints);
    for other in [life(SEED, 4, NOW), life(SEED + 1, 3, NOW)] {
        assert_ne!(bytes(&first.events), bytes(&other.events));
    }
    let lives = lives(SEED, 5, NOW);
    assert_eq!(bytes(&delivered(&lives, 1, 20)), bytes(&delivered(&lives, 1, 20)));
    assert_ne!(bytes(&delivered(&lives, 1, 20)), bytes(&delivered(&lives, 2, 20)));
}

#[test]
fn fifteen_hundred_lives_contain_every_act_and_every_kind_of_row() {
    let lives = lives(SEED, 1_500, NOW);
    let acts: BTreeSet<&str> = lives.iter().flat_map(|life| life.acts.iter().copied()).collect();
    assert_eq!(acts, BTreeSet::from(ACTS));
    for act in ACTS {
        let count = lives.iter().filter(|life| life.acts.contains(act)).count();
        assert!(count >= 10, "{act}: {count} lives");
    }
    let share = |what: &str, least: usize, is: &dyn Fn(&Entitlement) -> bool| {
        let rows = lives.iter().filter_map(|life| life.entitlement.as_ref());
        let count = rows.filter(|row| is(row)).count();
        assert!(count >= least, "{what}: {count} lives");
    };
    share("a running grace", 250, &|row| row.grace_tier.is_some());
    share("an unpaid upgrade", 40, &|row| {
        row.entitled && row.grace_tier.is_none() && row.effective_tier != row.tier
    });
    share("an unpaid upgrade and a grace", 5, &|row| {
        row.grace_tier.is_some() && row.tier == "max"
    });
    share("canceling", 50, &|row| row.is_canceling);
    share("never paid", 50, &|row| !row.ever_paid);
    share("never subscribed", 10, &|row| row.highest_tier_subscribed.is_none());
    for status in [
        "trialing",
        "active",
        "past_due",
        "unpaid",
        "paused",
        "canceled",
        "incomplete",
        "incomplete_expired",
    ] {
        share(status, 5, &|row| row.status == status);
    }
    assert!(lives.iter().filter(|life| life.entitlement.is_none()).count() >= 10);
}

#[test]
fn events_come_in_their_order_and_none_from_the_future_and_no_id_twice() {
    let mut ids = BTreeSet::new();
    for life in lives(SEED, 400, NOW) {
        let description = life.description();
        assert!(
            (5..=40).contains(&life.events.len()),
            "{} events: {description}",
            life.events.len()
        );
        assert!(life.events.is_sorted_by_key(|event| event.created), "{description}");
        let bounds = NOW - 550 * crate::fixtures::DAY..NOW - 30;
        for event in &life.events {
            assert!(bounds.contains(&event.created), "{}: {description}", event.created);
            assert!(ids.insert(event.id.clone()), "{}: {description}", event.id);
        }
        let last = life.checkpoints.last().expect("a life has acts");
        assert_eq!((last.events, &last.entitlement), (life.events.len(), &life.entitlement));
        assert_eq!(life.checkpoints.len(), life.log.len());
        assert!(life.checkpoints.is_sorted_by_key(|checkpoint| checkpoint.events));
    }
}

/// Without `previous_attributes`, two changes within one second would have no order.
#[test]
fn every_update_has_its_previous_attributes() {
    for life in lives(SEED, 400, NOW) {
        for event in life.events.iter().filter(|event| event.kind.ends_with(".updated")) {
            let body: Value = serde_json::from_str(&event.body).expect("an event is JSON");
            let previous = body["data"]["previous_attributes"].as_object();
            let has_previous = previous.is_some_and(|previous| !previous.is_empty());
            assert!(has_previous, "{} in {}", event.id, life.description());
        }
    }
}

#[test]
fn a_repeated_event_differs_only_in_its_id() {
    let mut repeated = 0;
    for life in lives(SEED, 100, NOW) {
        for pair in life.events.windows(2) {
            let without_id = |event: &Event| event.body.replace(&event.id, "");
            repeated += usize::from(without_id(&pair[0]) == without_id(&pair[1]));
        }
    }
    assert!(repeated > 30, "{repeated} repeated");
}

#[test]
fn the_ignored_events_are_those_that_no_worker_handles() {
    let unhandled = [
        "customer.subscription.trial_will_end",
        "invoice.finalized",
        "payment_method.attached",
    ];
    for life in lives(SEED, 200, NOW) {
        for event in &life.events {
            let is_unhandled = unhandled.contains(&event.kind.as_str());
            assert_eq!(life.ignored.contains(&event.id), is_unhandled, "{}", event.kind);
        }
    }
}

#[test]
fn deliveries_are_all_events_in_random_order_and_some_of_them_twice() {
    let lives = lives(SEED, 20, NOW);
    let count: usize = lives.iter().map(|life| life.events.len()).sum();
    let delivered = delivered(&lives, 1, 20);
    let ids: BTreeSet<&str> = delivered.iter().map(|event| event.id.as_str()).collect();
    assert_eq!(ids.len(), count);
    let twice = delivered.len() - count;
    assert!((count / 10..count / 3).contains(&twice), "{twice} of {count} twice");
    assert!(!delivered.is_sorted_by_key(|event| event.created));
}
