//! Two events of one change: one of them is removed.

use super::*;

/// Checks how many of two events stay; if one, the one with the smaller id.
#[track_caller]
fn check(first: &Fact, second: &Fact, expected: usize) {
    for arrived in [[first, second], [second, first]] {
        let kept = in_order(arrived, None).facts;
        assert_eq!(kept.len(), expected, "{arrived:#?}");
        if expected == 1 {
            let least = first.event_id.clone().min(second.event_id.clone());
            assert_eq!(kept[0].event_id, least);
        }
    }
}

type Differs = Box<dyn Fn(&mut Fact)>;

fn change() -> Fact {
    facts(&[(0, created(state("a"))), (5, changed(state("b")))]).remove(1)
}

#[test]
fn two_events_of_one_change_are_one() {
    let by_fields = change();
    let by_digests = with_digests(vec![change()], &[(Some(1), 2)]).remove(0);
    for fact in [by_fields, by_digests] {
        for id in ["evt_0", "evt_9"] {
            check(&fact, &again(&fact, id, |_| {}), 1);
        }
    }
}

#[test]
fn any_difference_makes_them_two_changes() {
    let by_fields = change();
    let by_digests = with_digests(vec![change()], &[(Some(1), 2)]).remove(0);
    let digests = |before, now| Some(Digests { before, now });
    let differences: [Differs; 4] = [
        Box::new(|f| f.created += 1),
        Box::new(|f| snapshot(f).request = Some("req_other".to_owned())),
        Box::new(|f| snapshot(f).request = None),
        Box::new(|f| snapshot(f).phase = Phase::Deleted),
    ];
    for differs in &differences {
        check(&by_fields, &again(&by_fields, "evt_9", differs), 2);
        check(&by_digests, &again(&by_digests, "evt_9", differs), 2);
    }
    let differences_of_fields: [Differs; 3] = [
        Box::new(|f| snapshot(f).now = state("c")),
        Box::new(|f| snapshot(f).before = Some(state("c"))),
        Box::new(|f| snapshot(f).before = None),
    ];
    for differs in &differences_of_fields {
        check(&by_fields, &again(&by_fields, "evt_9", differs), 2);
    }
    // A field that we do not read is different.
    for other in [digests(Some(1), 3), digests(Some(3), 2), digests(None, 2), None] {
        check(
            &by_digests,
            &again(&by_digests, "evt_9", |f| snapshot(f).digests = other),
            2,
        );
    }
}

#[test]
fn another_catalog_between_them_leaves_them_one_change() {
    let fact = with_digests(vec![change()], &[(Some(1), 2)]).remove(0);
    let plan_of = |tier: &str| Plan {
        price: "price_plus".to_owned(),
        ..plan(tier)
    };
    for id in ["evt_0", "evt_9"] {
        let other = again(&fact, id, |f| {
            snapshot(f).now.plan = Some(plan_of("max"));
            snapshot(f).before = None;
        });
        check(&fact, &other, 1);
    }
}

#[test]
fn other_facts_are_never_removed() {
    for body in [renewed(month(0)), session(None, None)] {
        let fact = facts(&[(5, body)]).remove(0);
        check(&fact, &again(&fact, "evt_9", |_| {}), 2);
    }
}

#[test]
fn duplicates_leave_the_order_decided() {
    let mut known = facts(&at_once(vec![
        created(state("a")),
        changed(state("b")),
        changed(state("a")),
        changed(state("c")),
    ]));
    let duplicates: Vec<Fact> = known
        .iter()
        .map(|f| again(f, &format!("{}_2", f.event_id), |_| {}))
        .collect();
    let in_their_order: Vec<EventId> = known.iter().map(|f| f.event_id.clone()).collect();
    known.extend(duplicates);
    let ordered = in_order(&known, None);
    assert_eq!(ordered.undecided, 0);
    let ids: Vec<EventId> = ordered.facts.iter().map(|f| f.event_id.clone()).collect();
    assert_eq!(ids, in_their_order);
}
