//! Evidence within a second: the first and last event of a life, digests of whole
//! objects; and seconds without evidence.

#[path = "duplicate_tests.rs"]
mod duplicates;

use super::{at_once, check, check_facts, state};
use crate::domain::{
    fact::{Digests, Fact, FactBody, Phase, Plan, Snapshot, SubscriptionFact},
    ids::EventId,
    subscription::order::{LastSeen, in_order},
    testkit::{TimedFact, changed, created, deleted, facts, month, not_renewed, plan, renewed, session, sub},
};

fn snapshot(fact: &mut Fact) -> &mut SubscriptionFact {
    match &mut fact.body {
        FactBody::Subscription(s) => s,
        other => panic!("not a snapshot: {other:?}"),
    }
}

/// A second event of a fact, with a difference.
fn again(fact: &Fact, id: &str, differs: impl FnOnce(&mut Fact)) -> Fact {
    let mut copy = fact.clone();
    copy.event_id = EventId::new(id);
    differs(&mut copy);
    copy
}

/// The same facts with digests of whole objects, before and after each change.
fn with_digests(mut facts: Vec<Fact>, digests: &[(Option<i64>, i64)]) -> Vec<Fact> {
    for (fact, (before, now)) in facts.iter_mut().zip(digests) {
        snapshot(fact).digests = Some(Digests {
            before: *before,
            now: *now,
        });
    }
    facts
}

/// The same facts without `previous_attributes`.
fn bare(mut facts: Vec<Fact>) -> Vec<Fact> {
    for fact in &mut facts {
        snapshot(fact).before = None;
    }
    facts
}

#[track_caller]
fn check_undecided(facts: &[Fact], expected: u32) {
    for turn in 0..facts.len().max(1) {
        let mut arrived: Vec<&Fact> = facts.iter().collect();
        arrived.rotate_left(turn);
        let undecided = in_order(arrived, None).undecided;
        assert_eq!(undecided, expected, "arrived {turn} places later: {facts:#?}");
    }
}

mod ends_of_a_life {
    use super::*;

    #[test]
    fn created_comes_first_even_if_its_time_is_later() {
        check(&[
            (7, created(state("a"))),
            (5, changed(state("b"))),
            (6, changed(state("c"))),
        ]);
        check(&[
            (6, created(state("a"))),
            (5, changed(state("b"))),
            (5, changed(state("c"))),
        ]);
        check(&[
            (9, created(sub("active", "plus"))),
            (5, deleted(sub("canceled", "plus"))),
        ]);
        // But `created` does not come before invoices.
        check(&[
            (3, renewed(month(0))),
            (5, renewed(month(1))),
            (7, created(state("a"))),
            (5, changed(state("b"))),
            (6, renewed(month(2))),
        ]);
    }

    #[test]
    fn in_one_second_a_final_status_comes_late_and_deleted_last() {
        for status in ["canceled", "incomplete_expired"] {
            let known = at_once(vec![
                created(state("a")),
                changed(state("b")),
                changed(sub(status, "plus")),
                deleted(sub(status, "plus")),
            ]);
            check(&known);
            // Also without a chain that leads there.
            check_facts(&bare(facts(&known)));
        }
    }

    #[test]
    fn in_one_second_incomplete_comes_first() {
        let known = at_once(vec![
            changed(sub("incomplete", "plus")),
            changed(sub("trialing", "plus")),
        ]);
        check_facts(&bare(facts(&known)));
        // Next, the earlier period comes first.
        let of = |number| Snapshot {
            period: Some(month(number)),
            ..sub("active", "plus")
        };
        let known = at_once(vec![changed(of(0)), changed(of(1)), changed(of(2))]);
        check_facts(&bare(facts(&known)));
    }
}

mod whole_objects {
    use super::*;

    /// State `a` occurs three times, each time with other fields that we do not read.
    fn returns() -> Vec<Fact> {
        let states = ["a", "b", "a", "c", "a", "d"];
        let known = states.map(|name| changed(state(name))).to_vec();
        let mut known = facts(&[vec![(0, created(state("z")))], at_once(known)].concat());
        known.remove(0);
        known
    }

    #[test]
    fn they_decide_an_order_that_the_fields_we_read_cannot() {
        check_undecided(&returns(), 1);
        let digests: Vec<_> = (0..6).map(|n| (Some(n), n + 1)).collect();
        let known = with_digests(returns(), &digests);
        check_facts(&known);
        check_undecided(&known, 0);
        // An event without `previous_attributes` comes where its object fits.
        let mut repeated = known.clone();
        let repeat = again(&known[2], "evt_9", |f| {
            snapshot(f).before = None;
            snapshot(f).digests = Some(Digests { before: None, now: 3 });
        });
        repeated.insert(3, repeat);
        check_facts(&repeated);
        check_undecided(&repeated, 0);
    }

    #[test]
    fn the_chain_starts_from_the_object_of_an_earlier_second() {
        let known = facts(&[
            (0, created(state("a"))),
            (5, changed(state("b"))),
            (5, changed(state("a"))),
            (5, changed(state("b"))),
            (5, changed(state("a"))),
        ]);
        let digests = [(None, 0), (Some(0), 1), (Some(1), 2), (Some(2), 3), (Some(3), 0)];
        let known = with_digests(known, &digests);
        check_facts(&known);
        check_undecided(&known, 0);
        // The objects form a loop too. Only the state before shows where it begins.
        check_undecided(&known[1..], 1);
        let last_seen = LastSeen {
            now: &state("a"),
            digest: Some(0),
            ended: false,
        };
        let ordered = in_order(known[1..].iter().rev(), Some(last_seen));
        assert_eq!(ordered.facts, known[1..].iter().collect::<Vec<_>>());
        assert_eq!(ordered.undecided, 0);
    }

    #[test]
    fn a_field_that_changed_without_an_event_does_not_break_the_chain_of_the_fields_we_read() {
        let known = facts(&at_once(vec![
            created(state("a")),
            changed(state("b")),
            changed(state("c")),
            changed(state("d")),
        ]));
        // The third fact starts at an object that no event has shown.
        let known = with_digests(known, &[(None, 0), (Some(0), 1), (Some(9), 2), (Some(2), 3)]);
        check_facts(&known);
        check_undecided(&known, 0);
    }

    #[test]
    fn an_event_without_previous_attributes_repeats_the_current_object() {
        let known = facts(&at_once(vec![
            created(state("a")),
            changed(state("b")),
            changed(state("b")),
            changed(state("c")),
        ]));
        let known = with_digests(known, &[(None, 0), (Some(0), 1), (None, 1), (Some(1), 2)]);
        check_facts(&known);
        check_undecided(&known, 0);
    }

    #[test]
    fn a_catalog_that_changed_within_the_second_does_not_break_the_chain() {
        let of = |tier: &str, name: &str| Snapshot {
            plan: Some(Plan {
                price: "price_plus".to_owned(),
                ..plan(tier)
            }),
            ..state(name)
        };
        let mut known = facts(&at_once(vec![
            created(of("plus", "a")),
            changed(of("plus", "b")),
            changed(of("max", "c")),
            changed(of("max", "d")),
        ]));
        // The catalog's new plan also shows in `previous_attributes`.
        snapshot(&mut known[2]).before = Some(of("max", "b"));
        check_facts(&known);
        check_undecided(&known, 0);
    }
}

mod undecided {
    use super::*;

    fn at(second: i64, names: &[&str]) -> Vec<TimedFact> {
        names.iter().map(|name| (second, changed(state(name)))).collect()
    }

    #[test]
    fn it_counts_the_seconds_in_which_no_evidence_decides() {
        check_undecided(&[], 0);
        check_undecided(&bare(facts(&at(5, &["a"]))), 0);
        check_undecided(&bare(facts(&at(5, &["a", "b"]))), 1);
        check_undecided(&bare(facts(&at(5, &["a", "b", "c"]))), 1);
        let two = [at(5, &["a", "b"]), at(6, &["c"]), at(7, &["d", "e"])].concat();
        check_undecided(&bare(facts(&two)), 2);
    }

    #[test]
    fn it_does_not_count_decided_seconds_or_equal_states() {
        check_undecided(&facts(&at(5, &["a", "b", "c"])), 0);
        check_undecided(&bare(facts(&at(5, &["a", "a", "a"]))), 0);
        check_undecided(&bare(facts(&[at(5, &["a"]), at(6, &["b"])].concat())), 0);
        // The state before shows where a loop begins.
        let known = facts(&[at(4, &["a"]), at(5, &["b", "c", "a"])].concat());
        check_facts(&known);
        check_undecided(&known, 0);
        check_undecided(&known[1..], 1);
        // Facts of different classes are always decided.
        let known = at_once(vec![
            session(None, None),
            not_renewed(month(0)),
            renewed(month(0)),
            created(state("a")),
            changed(state("b")),
            changed(sub("canceled", "plus")),
            deleted(sub("canceled", "plus")),
        ]);
        check_undecided(&facts(&known), 0);
    }

    #[test]
    fn it_does_not_count_seconds_after_the_end() {
        let after = |last: FactBody| bare(facts(&[vec![(3, last)], at(5, &["a", "b"])].concat()));
        check_undecided(&after(deleted(sub("canceled", "plus"))), 0);
        check_undecided(&after(deleted(sub("active", "plus"))), 0);
        check_undecided(&after(changed(sub("canceled", "plus"))), 0);
        check_undecided(&after(changed(sub("incomplete_expired", "plus"))), 0);
        check_undecided(&after(changed(sub("unpaid", "plus"))), 1);
        let known = bare(facts(&at(5, &["a", "b"])));
        for (ended, expected) in [(true, 0), (false, 1)] {
            let last_seen = LastSeen {
                now: &state("z"),
                digest: None,
                ended,
            };
            assert_eq!(in_order(&known, Some(last_seen)).undecided, expected);
        }
    }

    #[test]
    fn a_change_that_is_missing_within_the_second_leaves_it_undecided() {
        let whole = facts(&[vec![(0, created(state("a")))], at(5, &["b", "c", "d", "e"])].concat());
        let without = |index: usize| {
            let mut rest = whole.clone();
            rest.remove(index);
            rest
        };
        check_undecided(&whole, 0);
        check_undecided(&without(2), 1);
        // If the missing change is the first of the second, the order is decided.
        check_undecided(&without(1), 0);
    }
}
