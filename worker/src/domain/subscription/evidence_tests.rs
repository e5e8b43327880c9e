//! What counts as evidence within a second: twins, the ends of a life, digests
//! of whole objects; and when there is none.

use super::{at_once, check, check_facts, state};
use crate::domain::{
    fact::{Digests, Fact, FactBody, Phase, Plan, Snapshot, SubscriptionFact},
    ids::EventId,
    subscription::order::{LastSeen, in_order},
    testkit::{Told, changed, created, deleted, facts, month, not_renewed, plan, renewed, session, sub},
};

fn read(fact: &mut Fact) -> &mut SubscriptionFact {
    match &mut fact.body {
        FactBody::Subscription(s) => s,
        other => panic!("no snapshot: {other:?}"),
    }
}

/// A second event of the same, and what is different about it.
fn again(fact: &Fact, id: &str, differs: impl FnOnce(&mut Fact)) -> Fact {
    let mut copy = fact.clone();
    copy.event_id = EventId::new(id);
    differs(&mut copy);
    copy
}

/// The same facts with digests of whole objects: before and after each change.
fn printed(mut facts: Vec<Fact>, prints: &[(Option<i64>, i64)]) -> Vec<Fact> {
    for (fact, (before, now)) in facts.iter_mut().zip(prints) {
        read(fact).prints = Some(Digests {
            before: *before,
            now: *now,
        });
    }
    facts
}

/// Facts whose events do not say what they changed.
fn bare(mut facts: Vec<Fact>) -> Vec<Fact> {
    for fact in &mut facts {
        read(fact).before = None;
    }
    facts
}

#[track_caller]
fn check_undecided(told: &[Fact], expected: u32) {
    for turn in 0..told.len().max(1) {
        let mut arrived: Vec<&Fact> = told.iter().collect();
        arrived.rotate_left(turn);
        let undecided = in_order(arrived, None).undecided;
        assert_eq!(undecided, expected, "arrived {turn} places later: {told:#?}");
    }
}

mod twins {
    use super::*;

    /// Of a change and a second event, this many stand; of one, it is the lesser id.
    #[track_caller]
    fn check(first: &Fact, second: &Fact, expected: usize) {
        for arrived in [[first, second], [second, first]] {
            let facts = in_order(arrived, None).facts;
            assert_eq!(facts.len(), expected, "{arrived:#?}");
            if expected == 1 {
                let least = first.event_id.clone().min(second.event_id.clone());
                assert_eq!(facts[0].event_id, least);
            }
        }
    }

    type Differs = Box<dyn Fn(&mut Fact)>;

    fn change() -> Fact {
        facts(&[(0, created(state("a"))), (5, changed(state("b")))]).remove(1)
    }

    #[test]
    fn two_events_of_one_change_are_one() {
        let read_only = change();
        let whole = printed(vec![change()], &[(Some(1), 2)]).remove(0);
        for told in [read_only, whole] {
            for id in ["evt_0", "evt_9"] {
                check(&told, &again(&told, id, |_| {}), 1);
            }
        }
    }

    #[test]
    fn whatever_is_different_makes_them_two() {
        let told = change();
        let whole = printed(vec![change()], &[(Some(1), 2)]).remove(0);
        let print = |before, now| Some(Digests { before, now });
        let of_both: [Differs; 4] = [
            Box::new(|f| f.created += 1),
            Box::new(|f| read(f).request = Some("req_other".to_owned())),
            Box::new(|f| read(f).request = None),
            Box::new(|f| read(f).phase = Phase::Deleted),
        ];
        for differs in &of_both {
            check(&told, &again(&told, "evt_9", differs), 2);
            check(&whole, &again(&whole, "evt_9", differs), 2);
        }
        let of_read: [Differs; 3] = [
            Box::new(|f| read(f).now = state("c")),
            Box::new(|f| read(f).before = Some(state("c"))),
            Box::new(|f| read(f).before = None),
        ];
        for differs in &of_read {
            check(&told, &again(&told, "evt_9", differs), 2);
        }
        // What we do not read is different.
        for prints in [print(Some(1), 3), print(Some(3), 2), print(None, 2), None] {
            check(&whole, &again(&whole, "evt_9", |f| read(f).prints = prints), 2);
        }
    }

    #[test]
    fn a_catalog_that_changed_between_them_leaves_them_twins() {
        let told = printed(vec![change()], &[(Some(1), 2)]).remove(0);
        let resolved = |tier: &str| Plan {
            price: "price_plus".to_owned(),
            ..plan(tier)
        };
        for id in ["evt_0", "evt_9"] {
            let other = again(&told, id, |f| {
                read(f).now.plan = Some(resolved("max"));
                read(f).before = None;
            });
            check(&told, &other, 1);
        }
    }

    #[test]
    fn other_facts_are_never_twins() {
        for said in [renewed(month(0)), session(None, None)] {
            let told = facts(&[(5, said)]).remove(0);
            check(&told, &again(&told, "evt_9", |_| {}), 2);
        }
    }

    #[test]
    fn twins_leave_no_question() {
        let mut told = facts(&at_once(vec![
            created(state("a")),
            changed(state("b")),
            changed(state("a")),
            changed(state("c")),
        ]));
        let twins: Vec<Fact> = told
            .iter()
            .map(|f| again(f, &format!("{}_2", f.event_id), |_| {}))
            .collect();
        let in_their_order: Vec<EventId> = told.iter().map(|f| f.event_id.clone()).collect();
        told.extend(twins);
        let ordered = in_order(&told, None);
        assert_eq!(ordered.undecided, 0);
        let ids: Vec<EventId> = ordered.facts.iter().map(|f| f.event_id.clone()).collect();
        assert_eq!(ids, in_their_order);
    }
}

mod ends_of_a_life {
    use super::*;

    #[test]
    fn created_is_first_though_it_is_stamped_later() {
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
        // But not before what is no snapshot.
        check(&[
            (3, renewed(month(0))),
            (5, renewed(month(1))),
            (7, created(state("a"))),
            (5, changed(state("b"))),
            (6, renewed(month(2))),
        ]);
    }

    #[test]
    fn in_one_second_what_is_over_comes_after_what_is_not_and_deleted_after_all() {
        for status in ["canceled", "incomplete_expired"] {
            let told = at_once(vec![
                created(state("a")),
                changed(state("b")),
                changed(sub(status, "plus")),
                deleted(sub(status, "plus")),
            ]);
            check(&told);
            // No chain leads there.
            check_facts(&bare(facts(&told)));
        }
    }

    #[test]
    fn in_one_second_what_is_still_incomplete_comes_first() {
        let told = at_once(vec![
            changed(sub("incomplete", "plus")),
            changed(sub("trialing", "plus")),
        ]);
        check_facts(&bare(facts(&told)));
        // Then the earlier period.
        let of = |number| Snapshot {
            period: Some(month(number)),
            ..sub("active", "plus")
        };
        let told = at_once(vec![changed(of(0)), changed(of(1)), changed(of(2))]);
        check_facts(&bare(facts(&told)));
    }
}

mod whole_objects {
    use super::*;

    /// Thrice the same to us, on the way to b, c and d; what we do not read was different.
    fn returns() -> Vec<Fact> {
        let states = ["a", "b", "a", "c", "a", "d"];
        let told = states.map(|name| changed(state(name))).to_vec();
        let mut told = facts(&[vec![(0, created(state("z")))], at_once(told)].concat());
        told.remove(0);
        told
    }

    #[test]
    fn they_tell_what_the_fields_that_we_read_cannot() {
        check_undecided(&returns(), 1);
        let prints: Vec<_> = (0..6).map(|n| (Some(n), n + 1)).collect();
        let told = printed(returns(), &prints);
        check_facts(&told);
        check_undecided(&told, 0);
        // One that does not say what it changed is where its object stands.
        let mut repeated = told.clone();
        let repeat = again(&told[2], "evt_9", |f| {
            read(f).before = None;
            read(f).prints = Some(Digests { before: None, now: 3 });
        });
        repeated.insert(3, repeat);
        check_facts(&repeated);
        check_undecided(&repeated, 0);
    }

    #[test]
    fn the_chain_starts_from_the_object_of_an_earlier_second() {
        let told = facts(&[
            (0, created(state("a"))),
            (5, changed(state("b"))),
            (5, changed(state("a"))),
            (5, changed(state("b"))),
            (5, changed(state("a"))),
        ]);
        let prints = [(None, 0), (Some(0), 1), (Some(1), 2), (Some(2), 3), (Some(3), 0)];
        let told = printed(told, &prints);
        check_facts(&told);
        check_undecided(&told, 0);
        // A loop by the objects too: only what stood before tells where it begins.
        check_undecided(&told[1..], 1);
        let standing = LastSeen {
            now: &state("a"),
            print: Some(0),
            ended: false,
        };
        let ordered = in_order(told[1..].iter().rev(), Some(standing));
        assert_eq!(ordered.facts, told[1..].iter().collect::<Vec<_>>());
        assert_eq!(ordered.undecided, 0);
    }

    #[test]
    fn a_field_that_changed_untold_does_not_break_the_chain_of_what_we_read() {
        let told = facts(&at_once(vec![
            created(state("a")),
            changed(state("b")),
            changed(state("c")),
            changed(state("d")),
        ]));
        // The second starts from an object that no event has shown.
        let told = printed(told, &[(None, 0), (Some(0), 1), (Some(9), 2), (Some(2), 3)]);
        check_facts(&told);
        check_undecided(&told, 0);
    }

    #[test]
    fn one_that_does_not_say_what_it_changed_repeats_what_stands() {
        let told = facts(&at_once(vec![
            created(state("a")),
            changed(state("b")),
            changed(state("b")),
            changed(state("c")),
        ]));
        let told = printed(told, &[(None, 0), (Some(0), 1), (None, 1), (Some(1), 2)]);
        check_facts(&told);
        check_undecided(&told, 0);
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
        let mut told = facts(&at_once(vec![
            created(of("plus", "a")),
            changed(of("plus", "b")),
            changed(of("max", "c")),
            changed(of("max", "d")),
        ]));
        // What the catalog says now, it says of the past, too.
        read(&mut told[2]).before = Some(of("max", "b"));
        check_facts(&told);
        check_undecided(&told, 0);
    }
}

mod undecided {
    use super::*;

    fn at(second: i64, names: &[&str]) -> Vec<Told> {
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
    fn it_does_not_count_what_is_decided_or_makes_no_difference() {
        check_undecided(&facts(&at(5, &["a", "b", "c"])), 0);
        check_undecided(&bare(facts(&at(5, &["a", "a", "a"]))), 0);
        check_undecided(&bare(facts(&[at(5, &["a"]), at(6, &["b"])].concat())), 0);
        // What stood before tells where a loop begins.
        let told = facts(&[at(4, &["a"]), at(5, &["b", "c", "a"])].concat());
        check_facts(&told);
        check_undecided(&told, 0);
        check_undecided(&told[1..], 1);
        // The classes of a second are no question.
        let told = at_once(vec![
            session(None, None),
            not_renewed(month(0)),
            renewed(month(0)),
            created(state("a")),
            changed(state("b")),
            changed(sub("canceled", "plus")),
            deleted(sub("canceled", "plus")),
        ]);
        check_undecided(&facts(&told), 0);
    }

    #[test]
    fn it_does_not_count_what_came_after_the_end() {
        let after = |last: FactBody| bare(facts(&[vec![(3, last)], at(5, &["a", "b"])].concat()));
        check_undecided(&after(deleted(sub("canceled", "plus"))), 0);
        check_undecided(&after(deleted(sub("active", "plus"))), 0);
        check_undecided(&after(changed(sub("canceled", "plus"))), 0);
        check_undecided(&after(changed(sub("incomplete_expired", "plus"))), 0);
        check_undecided(&after(changed(sub("unpaid", "plus"))), 1);
        let told = bare(facts(&at(5, &["a", "b"])));
        for (ended, expected) in [(true, 0), (false, 1)] {
            let standing = LastSeen {
                now: &state("z"),
                print: None,
                ended,
            };
            assert_eq!(in_order(&told, Some(standing)).undecided, expected);
        }
    }

    #[test]
    fn a_change_that_is_missing_within_the_second_is_a_question() {
        let mut told = facts(&[vec![(0, created(state("a")))], at(5, &["b", "c", "d", "e"])].concat());
        check_undecided(&told, 0);
        told.remove(2);
        check_undecided(&told, 1);
        // Before it, it is none.
        let mut told = facts(&[vec![(0, created(state("a")))], at(5, &["b", "c", "d", "e"])].concat());
        told.remove(1);
        check_undecided(&told, 0);
    }
}
