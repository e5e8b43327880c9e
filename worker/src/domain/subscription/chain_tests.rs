//! The chain of changes. States have one letter here: `AB` is a change from A to B.

use super::{Changes, find_chain};

/// The state before, the state after, and after a blank the request: `AB`, `AB r1`.
type StatePair = &'static str;

/// The chain of these changes from a known state, or an unknown one (`""`): the
/// changes in order, the number of gaps, and whether the order is ambiguous.
fn find(start: &str, given: &[StatePair]) -> (Vec<StatePair>, u32, bool) {
    let state = |change: StatePair, index: usize| change.as_bytes()[index];
    let changes: Vec<_> = given
        .iter()
        .map(|change| (state(change, 0), state(change, 1), change.get(3..)))
        .collect();
    let found = find_chain(&Changes::number(&changes, start.as_bytes().first(), u8::eq));
    let mut indexes = found.order.clone();
    indexes.sort_unstable();
    assert_eq!(indexes, (0..given.len()).collect::<Vec<_>>(), "each change once");
    assert_eq!(found.decided(), found.gaps == 0 && !found.ambiguous);
    (
        found.order.iter().map(|index| given[*index]).collect(),
        found.gaps,
        found.ambiguous,
    )
}

/// All orders of the changes.
fn orders(changes: &[StatePair]) -> Vec<Vec<StatePair>> {
    if changes.is_empty() {
        return vec![Vec::new()];
    }
    let mut orders = Vec::new();
    for index in 0..changes.len() {
        let mut rest = changes.to_vec();
        let first = rest.remove(index);
        orders.extend(orders_after(first, &rest));
    }
    orders
}

fn orders_after(first: StatePair, rest: &[StatePair]) -> impl Iterator<Item = Vec<StatePair>> {
    orders(rest).into_iter().map(move |mut order| {
        order.insert(0, first);
        order
    })
}

/// The changes form this chain, in whatever order they are given.
#[track_caller]
fn check(start: &str, expected: &[StatePair]) {
    for given in orders(expected) {
        let (found, gaps, ambiguous) = find(start, &given);
        assert_eq!(
            (found.as_slice(), gaps, ambiguous),
            (expected, 0, false),
            "of {given:?}"
        );
    }
}

/// Evidence does not decide the order of the changes. Given in this order, they
/// form the expected chain.
#[track_caller]
fn check_undecided(start: &str, given: &[StatePair], expected: &[StatePair], gaps: u32, ambiguous: bool) {
    assert_eq!(find(start, given), (expected.to_vec(), gaps, ambiguous));
    for given in orders(given) {
        let (_, gaps_now, ambiguous_now) = find(start, &given);
        assert!(gaps_now > 0 || ambiguous_now, "decided for {given:?}");
    }
}

#[test]
fn no_changes_form_an_empty_chain() {
    check("", &[]);
    check("A", &[]);
}

#[test]
fn a_chain_runs_from_its_start_to_its_end() {
    check("A", &["AB"]);
    check("A", &["AB", "BC", "CD", "DE", "EF"]);
}

#[test]
fn a_chain_without_a_known_start_begins_at_the_state_that_no_change_leads_to() {
    check("", &["AB", "BC", "CD", "DE"]);
    // The last known state is older: the events between are missing.
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
fn a_loop_within_a_chain_comes_before_the_rest_of_the_chain() {
    check("A", &["AB", "BC", "CD", "DB", "BE"]);
    check("A", &["AB", "BC", "CB", "BD", "DE", "ED", "DF"]);
}

#[test]
fn a_change_that_changes_nothing_comes_while_its_state_lasts() {
    check("A", &["AA", "AB", "BB", "BC"]);
    check("", &["AA", "AB", "BB", "BC"]);
    check("A", &["AB", "BC", "CC"]);
    check("A", &["AA"]);
    check("A", &["AA r1", "AB r2", "BA r3", "AC r4"]);
}

#[test]
fn the_same_change_made_twice_is_not_ambiguous() {
    let (found, gaps, ambiguous) = find("A", &["BA r2", "AB r3", "AB r1"]);
    assert_eq!(
        (found.as_slice(), gaps, ambiguous),
        (&["AB r3", "BA r2", "AB r1"][..], 0, false)
    );
}

#[test]
fn a_loop_without_a_known_start_is_ambiguous() {
    check_undecided("", &["AB", "BA"], &["AB", "BA"], 0, true);
    check_undecided("", &["BA", "AB"], &["BA", "AB"], 0, true);
    check_undecided("X", &["BC", "CA", "AB"], &["BC", "CA", "AB"], 0, true);
    // A single change that changes nothing is a loop too.
    assert_eq!(find("", &["AA"]), (vec!["AA"], 0, true));
}

#[test]
fn the_order_of_two_loops_is_ambiguous_unless_a_request_decides_it() {
    check_undecided("A", &["AB", "BA", "AC", "CA"], &["AB", "BA", "AC", "CA"], 0, true);
    check_undecided("A", &["CA", "AC", "BA", "AB"], &["AC", "CA", "AB", "BA"], 0, true);
    check("Z", &["ZA r1", "AB r1", "BA r1", "AC r2", "CA r2"]);
    check("Z", &["ZA r2", "AC r2", "CA r2", "AB r1", "BA r1"]);
    // Other requests do not show which loop was first.
    check_undecided(
        "Z",
        &["AC r3", "ZA r1", "AB r2", "BA r2", "CA r3"],
        &["ZA r1", "AC r3", "CA r3", "AB r2", "BA r2"],
        0,
        true,
    );
}

#[test]
fn a_request_does_not_lead_to_a_state_from_which_the_rest_cannot_follow() {
    // A change of the last request leads to C, but then A→B and B→A could not follow.
    check("Z", &["ZA r1", "AB r2", "BA r2", "AC r1"]);
}

#[test]
fn a_change_that_does_not_start_where_the_last_one_ended_is_a_gap() {
    check_undecided("A", &["AB", "CD"], &["AB", "CD"], 1, false);
    check_undecided("", &["CD", "AB"], &["CD", "AB"], 1, true);
    check_undecided("A", &["EF", "AB", "CD"], &["AB", "EF", "CD"], 2, true);
    // Nothing leads back to A between the two.
    check_undecided("A", &["AB r1", "AB r2"], &["AB r1", "AB r2"], 1, false);
    // The changes after a gap still form a chain.
    assert_eq!(find("A", &["DE", "CD", "AB"]), (vec!["AB", "CD", "DE"], 1, false));
}

#[test]
fn two_changes_of_one_state_without_a_way_back_are_ambiguous() {
    check_undecided("A", &["AB", "AC"], &["AB", "AC"], 1, true);
    check_undecided("A", &["AC", "AB"], &["AC", "AB"], 1, true);
    // Both lead to the same state, and no request is known.
    check_undecided("", &["AB", "CB"], &["AB", "CB"], 1, true);
}

#[test]
fn loops_within_loops_form_one_chain() {
    // In whatever order they are given, each change starts where the last one ended.
    let changes = ["AB", "BC", "CB", "BD", "DA", "AE", "EA", "AF"];
    for given in orders(&changes[..7]).into_iter().step_by(7) {
        let given: Vec<StatePair> = given.into_iter().chain(["AF"]).collect();
        let (found, gaps, _) = find("A", &given);
        assert_eq!(gaps, 0, "{found:?}");
        assert_eq!(found.last(), Some(&"AF"));
    }
}
