//! The terms of one subscription over time.

use super::{MeterLimits, Term, of_user};
use crate::domain::{
    balance::{ownership::OwnedSpan, periods, stages},
    fact::{
        Fact, FactBody,
        InvoiceStep::{Failed, Paid},
        Period, Seconds, Snapshot,
    },
    ids::SubscriptionId,
    subscription::billed,
    testkit::{
        DAY, T0, TimedFact, changed, created, cycle, days, deleted, facts, has, invoice, month, not_renewed, of,
        prorated,
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

fn of_subscription(id: &SubscriptionId, facts: &[&Fact]) -> Vec<Term> {
    let stages = stages::of_subscription(id, facts);
    let periods = periods::of_subscription(&stages, &billed::of_subscription(id, facts));
    super::of_subscription(id, &stages, &periods, &OwnedSpan::WHOLE)
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

/// A term in short: its first second, the day on which its period began, and its limit of
/// tokens.
type ShortTerm = (Seconds, i64, i64);

fn short(term: &Term) -> ShortTerm {
    let day = |at: Seconds| (at - T0).div_euclid(DAY);
    let limit = term.limits_of("tokens").own;
    (term.since - T0, day(term.period.start), limit.expect("a limit"))
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
    check(&[on(3, created(has("basic_monthly", month(0))))], &[(0, 0, 5 * M)]);
    check(&[on(-3, created(has("basic_monthly", month(0))))], &[(0, 0, 5 * M)]);
}

#[test]
fn a_change_within_a_period_counts_from_its_event() {
    check(
        &[starts("basic_monthly"), to("max_monthly", 10)],
        &[(0, 0, 5 * M), (10 * DAY, 0, 11_666_666)],
    );
}

#[test]
fn a_change_without_other_limits_begins_no_term() {
    let mut paused = has("basic_monthly", month(0));
    paused.collection_paused = true;
    check(&[starts("basic_monthly"), on(5, changed(paused))], &[(0, 0, 5 * M)]);
}

#[test]
fn an_end_that_nobody_told_of_counts_an_hour_after_it() {
    // (the whole subscription ends by `cancel_at`, with its period, the end in days)
    for (cancel_at, with_period, end) in [(None, true, 30), (Some(20), false, 20), (Some(40), true, 30)] {
        let mut canceling = has("basic_monthly", month(0));
        canceling.cancel_at = cancel_at.map(|day| T0 + day * DAY);
        canceling.cancel_at_period_end = with_period;
        let terms = terms(&[starts("basic_monthly"), on(5, changed(canceling))]);
        let limits = terms[1].limits_of("tokens");
        let end = T0 + end * DAY;
        assert_eq!(terms[0].ends_at, None);
        assert_eq!((limits.at(end), limits.at(end + 3_599)), (Some(5 * M), Some(5 * M)));
        assert_eq!(limits.at(end + 3_600), Some(0));
        assert_eq!(terms[1].limits_of("basic_chars").at(end + 3_600), Some(0));
    }
}

#[test]
fn a_new_period_counts_from_its_first_second_and_from_zero() {
    let events = [
        starts("basic_monthly"),
        (30 * DAY + 60, changed(has("plus_monthly", month(1)))),
    ];
    check(&events, &[(0, 0, 5 * M), (30 * DAY, 30, 10 * M)]);
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
fn a_grace_keeps_the_limit_only_in_the_period_in_which_it_began() {
    let events = [
        starts("max_monthly"),
        to("basic_monthly", 10),
        on(30, changed(has("basic_monthly", month(1)))),
    ];
    check(&events, &[(0, 0, 15 * M), (10 * DAY, 0, 15 * M), (30 * DAY, 30, 5 * M)]);
}

#[test]
fn after_several_downgrades_the_highest_limit_is_kept_even_after_a_smaller_upgrade() {
    let max = |day| (day * DAY, 0, 15 * M);
    let falls = [starts("max_monthly"), to("plus_monthly", 5), to("basic_monthly", 10)];
    check(&falls, &[max(0), max(5), max(10)]);
    let rises = [&falls[..1], &[to("basic_monthly", 5), to("plus_monthly", 10)]].concat();
    check(&rises, &[max(0), max(5), max(10)]);
    let back = [&falls[..2], &[to("max_monthly", 10)]].concat();
    check(&back, &[max(0), max(5), max(10)]);
}

#[test]
fn a_grace_keeps_each_meter_at_its_higher_limit() {
    let terms = terms(&[starts("max_monthly"), to("basic_monthly", 10)]);
    let own = |meter| terms[1].limits_of(meter).own;
    assert_eq!((own("voice_chars"), own("basic_chars")), (Some(3 * M), None));
    assert_eq!(terms[1].limits_of("no_such_meter"), MeterLimits::NONE);
}

#[test]
fn a_grace_never_lowers_the_higher_limit_of_a_lower_tier_by_the_year() {
    // Max by the month to Basic by the year, both from day 0.
    let year = days(0, 365);
    let events = [starts("max_monthly"), on(10, changed(has("basic_yearly", year)))];
    // Not paid, so the year has the 5M of a month; the grace keeps 15M.
    check(&events, &[(0, 0, 15 * M), (10 * DAY, 0, 15 * M)]);
    let pays = invoice("in_year", Paid, "subscription_update", year);
    let paid = [&events[..], &[on(10, FactBody::Invoice(pays))]].concat();
    // 10 days of 15M and 355 days of 60M, over 365: 21,450M / 365.
    check(&paid, &[(0, 0, 15 * M), (10 * DAY, 0, 58_767_123)]);
}

#[test]
fn a_period_that_was_unlimited_at_any_time_is_unlimited() {
    let mut limited = has("basic_monthly", month(0));
    let plan = limited.plan.as_mut().expect("a plan");
    plan.limits.insert("basic_chars".to_owned(), Some(100));
    let credit = (10 * DAY, prorated(-500));
    let terms = terms(&[starts("max_monthly"), on(10, changed(limited)), credit]);
    assert_eq!(terms[1].limits_of("basic_chars").own, None);
    assert_eq!(terms[1].limits["basic_chars"].allowance, None);
}

#[test]
fn a_grace_keeps_the_limit_even_if_an_event_before_the_downgrade_is_missing() {
    let events = [
        starts("max_monthly"),
        on(30, changed(has("max_monthly", month(1)))),
        on(40, changed(has("basic_monthly", month(1)))),
    ];
    let facts = facts(&events);
    let last = |terms: Vec<Term>| terms.last().map(short);
    let kept = Some((40 * DAY, 30, 15 * M));
    assert_eq!(last(known("sub_1", &facts)), kept);
    let missing_renewal = [facts[0].clone(), facts[2].clone()];
    assert_eq!(last(known("sub_1", &missing_renewal)).map(|b| b.2), kept.map(|b| b.2));
    // The first known event says what was before it.
    let alone = known("sub_1", &facts[2..]);
    assert_eq!(
        alone.iter().map(short).collect::<Vec<_>>(),
        [(30 * DAY, 30, 15 * M), (40 * DAY, 30, 15 * M)]
    );
}

#[test]
fn the_term_before_the_first_known_event_comes_from_that_event() {
    let facts = facts(&[starts("basic_monthly"), to("max_monthly", 29)]);
    let alone = known("sub_1", &facts[1..]);
    // 29 days of 5M and one of 15M: 160M / 30.
    assert_eq!(
        alone.iter().map(short).collect::<Vec<_>>(),
        [(0, 0, 5 * M), (29 * DAY, 0, 5_333_333)]
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
fn the_end_of_the_entitlement_ends_the_grace() {
    let unpaid = on(15, changed(status("unpaid", has("basic_monthly", month(0)))));
    let events = [starts("max_monthly"), to("basic_monthly", 10), unpaid];
    check(&events, &[(0, 0, 15 * M), (10 * DAY, 0, 15 * M), (15 * DAY, 0, 0)]);
}

#[test]
fn an_entitlement_ends_with_its_event_even_after_its_period() {
    let end = |at| (at, deleted(status("canceled", has("basic_monthly", month(0)))));
    check(
        &[starts("basic_monthly"), end(10 * DAY)],
        &[(0, 0, 5 * M), (10 * DAY, 0, 0)],
    );
    let late = 30 * DAY + 600;
    check(&[starts("basic_monthly"), end(late)], &[(0, 0, 5 * M), (late, 0, 0)]);
}

#[test]
fn time_without_access_counts_as_none_in_the_limit() {
    let pause = on(10, changed(status("unpaid", has("basic_monthly", month(0)))));
    // 27 days of 5M and 3 without access: 135M / 30.
    check(
        &[starts("basic_monthly"), pause, to("basic_monthly", 13)],
        &[(0, 0, 5 * M), (10 * DAY, 0, 0), (13 * DAY, 0, 4_500_000)],
    );
}

#[test]
fn a_period_whose_event_comes_after_a_pause_within_it_begins_with_the_pause() {
    let paused = changed(status("paused", has("basic_monthly", month(0))));
    let resumed = changed(has("basic_monthly", month(1)));
    let events = [starts("basic_monthly"), (30 * DAY + 600, paused), (31 * DAY, resumed)];
    check(&events, &[(0, 0, 5 * M), (30 * DAY + 600, 30, 5 * M)]);
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
        &[(0, 0, 5 * M), (30 * DAY, 30, 10 * M), (60 * DAY, 60, 10 * M)],
    );
    // Events of today about days long ago: the change counts in the last second.
    let events = [
        on(0, created(has("basic_monthly", days(-90, -60)))),
        (5, changed(has("plus_monthly", days(-90, -60)))),
        (9, changed(has("plus_monthly", days(-60, -30)))),
    ];
    // A second of 5M more: 5M / 2,592,000 is 1.9.
    check(
        &events,
        &[
            (-90 * DAY, -90, 5 * M),
            (-60 * DAY - 1, -90, 5_000_001),
            (-60 * DAY, -60, 10 * M),
        ],
    );
}

#[test]
fn an_unpaid_renewal_of_a_month_gives_its_limit_while_stripe_retries() {
    let late = on(31, changed(status("past_due", has("basic_monthly", month(1)))));
    let events = [starts("basic_monthly"), late, on(31, not_renewed(month(1)))];
    check(&events, &[(0, 0, 5 * M), (30 * DAY, 30, 5 * M)]);
}

#[path = "terms_paid_tests.rs"]
mod paid;
#[path = "terms_user_tests.rs"]
mod several;
#[path = "terms_sold_tests.rs"]
mod sold;
#[path = "terms_unpaid_tests.rs"]
mod unpaid_upgrades;
