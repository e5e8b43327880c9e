//! The terms of one subscription over time.

use super::{MeterLimits, Term, of_subscription, of_user};
use crate::domain::{
    fact::{
        Fact, FactBody,
        InvoiceStep::{Failed, Paid},
        Period, Seconds, Snapshot,
    },
    ids::SubscriptionId,
    testkit::{
        DAY, T0, TimedFact, changed, created, cycle, days, deleted, facts, has, invoice, month, not_renewed, of,
    },
};

const M: i64 = 1_000_000;

fn on(day: i64, body: FactBody) -> TimedFact {
    (day * DAY, body)
}

fn status(word: &str, snapshot: Snapshot) -> Snapshot {
    Snapshot {
        status: word.to_owned(),
        ..snapshot
    }
}

/// The terms of one subscription. No order of arrival and no second delivery changes them.
#[track_caller]
fn known(id: &str, facts: &[Fact]) -> Vec<Term> {
    let id = SubscriptionId::new(id);
    let own = |f: &&Fact| f.body.subscription() == Some(&id);
    let mut arrived: Vec<&Fact> = facts.iter().filter(own).collect();
    let terms = of_subscription(&id, &arrived);
    for _ in 0..arrived.len() {
        arrived.rotate_left(1);
        assert_eq!(of_subscription(&id, &arrived), terms);
        arrived.reverse();
        assert_eq!(of_subscription(&id, &arrived), terms);
        arrived.reverse();
    }
    arrived.extend(facts.iter().filter(own));
    assert_eq!(of_subscription(&id, &arrived), terms, "delivered twice");
    terms
}

fn terms(events: &[TimedFact]) -> Vec<Term> {
    known("sub_1", &facts(events))
}

/// A term in short: its first second, the day on which its period began, its limit
/// in millions of tokens, and the lifted limit with the day of its end.
type ShortTerm = (Seconds, i64, i64, Option<(i64, i64)>);

fn short(term: &Term) -> ShortTerm {
    let MeterLimits { own, lifted } = term.limits_of("tokens");
    let day = |at: Seconds| (at - T0).div_euclid(DAY);
    let lifted = lifted.map(|(limit, until)| (limit.expect("a limit") / M, day(until)));
    (
        term.since - T0,
        day(term.period.start),
        own.expect("a limit") / M,
        lifted,
    )
}

#[track_caller]
fn check(events: &[TimedFact], expected: &[ShortTerm]) {
    assert_eq!(
        terms(events).iter().map(short).collect::<Vec<_>>(),
        expected,
        "{events:#?}"
    );
}

fn starts(key: &str) -> TimedFact {
    on(0, created(has(key, month(0))))
}

fn to(key: &str, day: i64) -> TimedFact {
    on(day, changed(has(key, month(0))))
}

#[test]
fn the_first_term_begins_with_its_period_even_if_its_event_is_later() {
    check(&[on(3, created(has("basic_monthly", month(0))))], &[(0, 0, 5, None)]);
    check(&[on(-3, created(has("basic_monthly", month(0))))], &[(0, 0, 5, None)]);
}

#[test]
fn a_change_within_a_period_counts_from_its_event() {
    check(
        &[starts("basic_monthly"), to("max_monthly", 10)],
        &[(0, 0, 5, None), (10 * DAY, 0, 15, None)],
    );
}

#[test]
fn a_change_without_other_limits_begins_no_term() {
    let mut canceling = has("basic_monthly", month(0));
    canceling.cancel_at_period_end = true;
    check(
        &[starts("basic_monthly"), on(5, changed(canceling))],
        &[(0, 0, 5, None)],
    );
}

#[test]
fn a_new_period_counts_from_its_first_second_and_from_zero() {
    let events = [
        starts("basic_monthly"),
        (30 * DAY + 60, changed(has("plus_monthly", month(1)))),
    ];
    check(&events, &[(0, 0, 5, None), (30 * DAY, 30, 10, None)]);
    let terms = terms(&events);
    assert_ne!(terms[0].window(), terms[1].window());
    assert_eq!(terms[1].window().start, month(1).start);
}

#[test]
fn a_longer_period_with_the_same_start_is_the_same_counting_period() {
    let terms = terms(&[
        starts("basic_monthly"),
        on(5, changed(has("basic_monthly", days(0, 40)))),
    ]);
    assert_eq!(terms.len(), 2);
    assert_eq!(terms[0].window(), terms[1].window());
}

#[test]
fn a_grace_lifts_the_limit_only_in_the_period_in_which_it_began() {
    let events = [
        starts("max_monthly"),
        to("basic_monthly", 10),
        on(30, changed(has("basic_monthly", month(1)))),
    ];
    check(
        &events,
        &[
            (0, 0, 15, None),
            (10 * DAY, 0, 5, Some((15, 30))),
            (30 * DAY, 30, 5, None),
        ],
    );
}

#[test]
fn after_several_downgrades_the_highest_limit_is_lifted_even_after_a_smaller_upgrade() {
    let falls = [starts("max_monthly"), to("plus_monthly", 5), to("basic_monthly", 10)];
    let lifted = Some((15, 30));
    check(
        &falls,
        &[(0, 0, 15, None), (5 * DAY, 0, 10, lifted), (10 * DAY, 0, 5, lifted)],
    );
    let rises = [&falls[..1], &[to("basic_monthly", 5), to("plus_monthly", 10)]].concat();
    check(
        &rises,
        &[(0, 0, 15, None), (5 * DAY, 0, 5, lifted), (10 * DAY, 0, 10, lifted)],
    );
    let back = [&falls[..2], &[to("max_monthly", 10)]].concat();
    check(
        &back,
        &[(0, 0, 15, None), (5 * DAY, 0, 10, lifted), (10 * DAY, 0, 15, None)],
    );
}

#[test]
fn a_grace_lifts_no_meter_that_is_as_high_without_it() {
    let terms = terms(&[starts("max_monthly"), to("basic_monthly", 10)]);
    let lifted = |meter| terms[1].limits_of(meter).lifted;
    assert_eq!(lifted("voice_chars"), Some((Some(3 * M), month(0).end)));
    assert_eq!(lifted("basic_chars"), None);
    assert_eq!(terms[1].limits_of("basic_chars").own, None);
    assert_eq!(terms[1].limits_of("no_such_meter"), MeterLimits::NONE);
}

#[test]
fn a_grace_never_lowers_the_higher_limit_of_a_lower_tier_by_the_year() {
    // Max by the month to Basic by the year, both from day 0.
    let events = [
        starts("max_monthly"),
        on(10, changed(has("basic_yearly", days(0, 365)))),
    ];
    check(&events, &[(0, 0, 15, None), (10 * DAY, 0, 60, None)]);
}

#[test]
fn a_grace_lifts_any_limit_to_unlimited() {
    let mut limited = has("basic_monthly", month(0));
    let plan = limited.plan.as_mut().expect("a plan");
    plan.limits.insert("basic_chars".to_owned(), Some(100));
    let lifted = terms(&[starts("max_monthly"), on(10, changed(limited))])[1].limits_of("basic_chars");
    assert_eq!((lifted.own, lifted.lifted), (Some(100), Some((None, month(0).end))));
}

#[test]
fn a_grace_lifts_the_limit_even_if_an_event_before_the_downgrade_is_missing() {
    let events = [
        starts("max_monthly"),
        on(30, changed(has("max_monthly", month(1)))),
        on(40, changed(has("basic_monthly", month(1)))),
    ];
    let facts = facts(&events);
    let last = |terms: Vec<Term>| terms.last().map(short);
    let lifted = Some((40 * DAY, 30, 5, Some((15, 60))));
    assert_eq!(last(known("sub_1", &facts)), lifted);
    let missing_renewal = [facts[0].clone(), facts[2].clone()];
    assert_eq!(last(known("sub_1", &missing_renewal)).map(|b| b.3), lifted.map(|b| b.3));
    // The first known event says what was before it.
    let alone = known("sub_1", &facts[2..]);
    assert_eq!(
        alone.iter().map(short).collect::<Vec<_>>(),
        [(30 * DAY, 30, 15, None), (40 * DAY, 30, 5, Some((15, 60)))]
    );
}

#[test]
fn the_term_before_the_first_known_event_comes_from_that_event() {
    let facts = facts(&[starts("basic_monthly"), to("max_monthly", 29)]);
    let alone = known("sub_1", &facts[1..]);
    assert_eq!(
        alone.iter().map(short).collect::<Vec<_>>(),
        [(0, 0, 5, None), (29 * DAY, 0, 15, None)]
    );
}

#[test]
fn only_trialing_active_and_past_due_include_anything() {
    for (word, included) in [
        ("trialing", 5),
        ("active", 5),
        ("past_due", 5),
        ("incomplete", 0),
        ("incomplete_expired", 0),
        ("unpaid", 0),
        ("paused", 0),
        ("canceled", 0),
        ("new_word", 0),
    ] {
        let terms = terms(&[on(0, created(status(word, has("basic_monthly", month(0)))))]);
        assert_eq!(terms[0].entitled, included > 0, "{word}");
        assert_eq!(terms[0].limits_of("tokens").own, Some(included * M), "{word}");
        assert_eq!(terms[0].trial, word == "trialing", "{word}");
        let unlimited = if included > 0 { None } else { Some(0) };
        assert_eq!(terms[0].limits_of("basic_chars").own, unlimited, "{word}");
    }
}

#[test]
fn the_end_of_the_entitlement_ends_the_lifted_limit() {
    let unpaid = on(15, changed(status("unpaid", has("basic_monthly", month(0)))));
    let events = [starts("max_monthly"), to("basic_monthly", 10), unpaid];
    check(
        &events,
        &[
            (0, 0, 15, None),
            (10 * DAY, 0, 5, Some((15, 30))),
            (15 * DAY, 0, 0, None),
        ],
    );
}

#[test]
fn an_entitlement_ends_with_its_event_even_after_its_period() {
    let end = |at| (at, deleted(status("canceled", has("basic_monthly", month(0)))));
    check(
        &[starts("basic_monthly"), end(10 * DAY)],
        &[(0, 0, 5, None), (10 * DAY, 0, 0, None)],
    );
    let late = 30 * DAY + 600;
    check(
        &[starts("basic_monthly"), end(late)],
        &[(0, 0, 5, None), (late, 0, 0, None)],
    );
}

#[test]
fn a_period_whose_event_comes_after_a_pause_within_it_begins_with_the_pause() {
    let paused = changed(status("paused", has("basic_monthly", month(0))));
    let resumed = changed(has("basic_monthly", month(1)));
    let events = [starts("basic_monthly"), (30 * DAY + 600, paused), (31 * DAY, resumed)];
    check(&events, &[(0, 0, 5, None), (30 * DAY + 600, 30, 5, None)]);
}

#[test]
fn a_change_by_a_test_clock_counts_in_the_period_that_it_shows() {
    // Events of today about days to come.
    let events = [
        starts("basic_monthly"),
        (5, changed(has("basic_monthly", month(1)))),
        (9, changed(has("plus_monthly", month(1)))),
        (12, changed(has("plus_monthly", month(2)))),
    ];
    check(
        &events,
        &[(0, 0, 5, None), (30 * DAY, 30, 10, None), (60 * DAY, 60, 10, None)],
    );
    // Events of today about days long ago: the change counts in the last second.
    let events = [
        on(0, created(has("basic_monthly", days(-90, -60)))),
        (5, changed(has("plus_monthly", days(-90, -60)))),
        (9, changed(has("plus_monthly", days(-60, -30)))),
    ];
    check(
        &events,
        &[
            (-90 * DAY, -90, 5, None),
            (-60 * DAY - 1, -90, 10, None),
            (-60 * DAY, -60, 10, None),
        ],
    );
}

#[test]
fn an_unpaid_renewal_gives_its_limit_while_stripe_retries() {
    let late = on(31, changed(status("past_due", has("basic_monthly", month(1)))));
    let events = [starts("basic_monthly"), late, on(31, not_renewed(month(1)))];
    check(&events, &[(0, 0, 5, None), (30 * DAY, 30, 5, None)]);
}

#[path = "terms_user_tests.rs"]
mod several;
#[path = "terms_unpaid_tests.rs"]
mod unpaid_upgrades;
