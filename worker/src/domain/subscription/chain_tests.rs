//! Trails: from states, which have one letter here, to states.

use super::{Changes, chain};

/// `from` and `to`, and after a blank the request: `AB`, `AB r1`.
type Step = &'static str;

/// The trail of steps, from a state that is known or not: the steps in their
/// order, its gaps, and whether it is open.
fn find(start: &str, given: &[Step]) -> (Vec<Step>, u32, bool) {
    let state = |step: Step, place: usize| step.as_bytes()[place];
    let steps: Vec<_> = given
        .iter()
        .map(|step| (state(step, 0), state(step, 1), step.get(3..)))
        .collect();
    let found = chain(&Changes::of(&steps, start.as_bytes().first(), u8::eq));
    let mut places = found.order.clone();
    places.sort_unstable();
    assert_eq!(places, (0..given.len()).collect::<Vec<_>>(), "each step once");
    assert_eq!(found.decided(), found.gaps == 0 && !found.open);
    (
        found.order.iter().map(|place| given[*place]).collect(),
        found.gaps,
        found.open,
    )
}

/// Every order of the steps.
fn orders(steps: &[Step]) -> Vec<Vec<Step>> {
    if steps.is_empty() {
        return vec![Vec::new()];
    }
    let mut orders = Vec::new();
    for place in 0..steps.len() {
        let mut rest = steps.to_vec();
        let first = rest.remove(place);
        orders.extend(orders_after(first, &rest));
    }
    orders
}

fn orders_after(first: Step, rest: &[Step]) -> impl Iterator<Item = Vec<Step>> {
    orders(rest).into_iter().map(move |mut order| {
        order.insert(0, first);
        order
    })
}

/// The steps make this trail in whatever order they are given.
#[track_caller]
fn check(start: &str, expected: &[Step]) {
    for given in orders(expected) {
        let (found, gaps, open) = find(start, &given);
        assert_eq!((found.as_slice(), gaps, open), (expected, 0, false), "of {given:?}");
    }
}

/// Whatever the order, evidence does not decide; given thus, it is this one.
#[track_caller]
fn check_undecided(start: &str, given: &[Step], expected: &[Step], gaps: u32, open: bool) {
    assert_eq!(find(start, given), (expected.to_vec(), gaps, open));
    for given in orders(given) {
        let (_, gaps_now, open_now) = find(start, &given);
        assert!(gaps_now > 0 || open_now, "decided for {given:?}");
    }
}

#[test]
fn nothing_makes_an_empty_trail() {
    check("", &[]);
    check("A", &[]);
}

#[test]
fn a_chain_runs_from_its_start_to_its_end() {
    check("A", &["AB"]);
    check("A", &["AB", "BC", "CD", "DE", "EF"]);
}

#[test]
fn a_chain_whose_start_is_not_known_begins_where_nothing_leads_to() {
    check("", &["AB", "BC", "CD", "DE"]);
    // What stands is of another time: what came between is missing.
    check("X", &["AB", "BC", "CD", "DE"]);
    check("X", &["AB"]);
}

#[test]
fn a_state_that_is_left_twice_is_left_for_good_the_second_time() {
    check("A", &["AB", "BA", "AC"]);
    check("", &["AB", "BA", "AC"]);
    check("X", &["AB", "BA", "AC"]);
    check("A", &["AB", "BC", "CA", "AD", "DE"]);
    check("Z", &["ZA", "AB", "BA", "AC", "CD"]);
}

#[test]
fn a_loop_ends_where_it_began() {
    check("A", &["AB", "BA"]);
    check("A", &["AB", "BC", "CD", "DA"]);
    check("B", &["BA", "AB"]);
}

#[test]
fn a_loop_on_the_way_is_run_before_the_way_goes_on() {
    check("A", &["AB", "BC", "CD", "DB", "BE"]);
    check("A", &["AB", "BC", "CB", "BD", "DE", "ED", "DF"]);
}

#[test]
fn what_changes_nothing_stays_where_it_is() {
    check("A", &["AA", "AB", "BB", "BC"]);
    check("", &["AA", "AB", "BB", "BC"]);
    check("A", &["AB", "BC", "CC"]);
    check("A", &["AA"]);
    check("A", &["AA r1", "AB r2", "BA r3", "AC r4"]);
}

#[test]
fn the_same_change_made_twice_is_no_question() {
    let (found, gaps, open) = find("A", &["BA r2", "AB r3", "AB r1"]);
    assert_eq!(
        (found.as_slice(), gaps, open),
        (&["AB r3", "BA r2", "AB r1"][..], 0, false)
    );
}

#[test]
fn a_loop_without_a_known_start_is_open() {
    check_undecided("", &["AB", "BA"], &["AB", "BA"], 0, true);
    check_undecided("", &["BA", "AB"], &["BA", "AB"], 0, true);
    check_undecided("X", &["BC", "CA", "AB"], &["BC", "CA", "AB"], 0, true);
    // Alone, what changes nothing is a loop, too.
    assert_eq!(find("", &["AA"]), (vec!["AA"], 0, true));
}

#[test]
fn of_two_loops_the_first_is_open_unless_a_request_keeps_them_together() {
    check_undecided("A", &["AB", "BA", "AC", "CA"], &["AB", "BA", "AC", "CA"], 0, true);
    check_undecided("A", &["CA", "AC", "BA", "AB"], &["AC", "CA", "AB", "BA"], 0, true);
    check("Z", &["ZA r1", "AB r1", "BA r1", "AC r2", "CA r2"]);
    check("Z", &["ZA r2", "AC r2", "CA r2", "AB r1", "BA r1"]);
    // Other requests say nothing of which was first.
    check_undecided(
        "Z",
        &["AC r3", "ZA r1", "AB r2", "BA r2", "CA r3"],
        &["ZA r1", "AC r3", "CA r3", "AB r2", "BA r2"],
        0,
        true,
    );
}

#[test]
fn a_request_does_not_lead_where_the_rest_could_not_follow() {
    // The same request as the last goes on to C, but then nothing comes back to B.
    check("Z", &["ZA r1", "AB r2", "BA r2", "AC r1"]);
}

#[test]
fn a_gap_is_where_a_change_does_not_start_from_what_the_last_left() {
    check_undecided("A", &["AB", "CD"], &["AB", "CD"], 1, false);
    check_undecided("", &["CD", "AB"], &["CD", "AB"], 1, true);
    check_undecided("A", &["EF", "AB", "CD"], &["AB", "EF", "CD"], 2, true);
    // One more of a change than the others lead back to.
    check_undecided("A", &["AB r1", "AB r2"], &["AB r1", "AB r2"], 1, false);
    // What follows a gap is still a trail.
    assert_eq!(find("A", &["DE", "CD", "AB"]), (vec!["AB", "CD", "DE"], 1, false));
}

#[test]
fn two_ways_that_cannot_both_be_gone_are_open() {
    check_undecided("A", &["AB", "AC"], &["AB", "AC"], 1, true);
    check_undecided("A", &["AC", "AB"], &["AC", "AB"], 1, true);
    // Both lead to the same, by a request that tells nothing.
    check_undecided("", &["AB", "CB"], &["AB", "CB"], 1, true);
}

#[test]
fn loops_within_loops_are_found_in_one_stroke() {
    // However they are given, every step follows on the last.
    let steps = ["AB", "BC", "CB", "BD", "DA", "AE", "EA", "AF"];
    for given in orders(&steps[..7]).into_iter().step_by(7) {
        let given: Vec<Step> = given.into_iter().chain(["AF"]).collect();
        let (found, gaps, _) = find("A", &given);
        assert_eq!(gaps, 0, "{found:?}");
        assert_eq!(found.last(), Some(&"AF"));
    }
}
