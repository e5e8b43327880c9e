//! What a subscription gives over time, and which of several counts.

use super::{MeterLimits, Term, of_subscription, of_user};
use crate::domain::{
    fact::{
        Fact, FactBody,
        InvoiceStep::{Failed, Paid},
        Period, Seconds, Snapshot,
    },
    ids::SubscriptionId,
    testkit::{DAY, T0, Told, changed, created, cycle, days, deleted, facts, has, invoice, month, not_renewed, of},
};

const M: i64 = 1_000_000;

fn on(day: i64, said: FactBody) -> Told {
    (day * DAY, said)
}

fn status(word: &str, snapshot: Snapshot) -> Snapshot {
    Snapshot {
        status: word.to_owned(),
        ..snapshot
    }
}

/// The terms of one subscription; no arrival order or second delivery changes them.
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

fn terms(story: &[Told]) -> Vec<Term> {
    known("sub_1", &facts(story))
}

/// A term in brief: its first second, the day its period began, the millions
/// of tokens, and those that are lent until a day.
type Brief = (Seconds, i64, i64, Option<(i64, i64)>);

fn brief(term: &Term) -> Brief {
    let MeterLimits { own, lifted } = term.limits_of("tokens");
    let day = |at: Seconds| (at - T0).div_euclid(DAY);
    let lent = lifted.map(|(limit, until)| (limit.expect("a limit") / M, day(until)));
    (term.since - T0, day(term.period.start), own.expect("a limit") / M, lent)
}

#[track_caller]
fn check(story: &[Told], expected: &[Brief]) {
    assert_eq!(
        terms(story).iter().map(brief).collect::<Vec<_>>(),
        expected,
        "{story:#?}"
    );
}

fn starts(key: &str) -> Told {
    on(0, created(has(key, month(0))))
}

fn to(key: &str, day: i64) -> Told {
    on(day, changed(has(key, month(0))))
}

#[test]
fn the_first_term_begins_with_its_period_though_it_is_told_later() {
    check(&[on(3, created(has("basic_monthly", month(0))))], &[(0, 0, 5, None)]);
    check(&[on(-3, created(has("basic_monthly", month(0))))], &[(0, 0, 5, None)]);
}

#[test]
fn a_change_within_a_period_counts_from_when_it_is_told() {
    check(
        &[starts("basic_monthly"), to("max_monthly", 10)],
        &[(0, 0, 5, None), (10 * DAY, 0, 15, None)],
    );
}

#[test]
fn a_change_that_gives_the_same_begins_no_term() {
    let mut canceling = has("basic_monthly", month(0));
    canceling.cancel_at_period_end = true;
    check(
        &[starts("basic_monthly"), on(5, changed(canceling))],
        &[(0, 0, 5, None)],
    );
}

#[test]
fn a_new_period_begins_when_it_says_and_counts_anew() {
    let story = [
        starts("basic_monthly"),
        (30 * DAY + 60, changed(has("plus_monthly", month(1)))),
    ];
    check(&story, &[(0, 0, 5, None), (30 * DAY, 30, 10, None)]);
    let terms = terms(&story);
    assert_ne!(terms[0].window(), terms[1].window());
    assert_eq!(terms[1].window().start, month(1).start);
}

#[test]
fn a_longer_period_with_the_same_start_is_the_same_window() {
    let terms = terms(&[
        starts("basic_monthly"),
        on(5, changed(has("basic_monthly", days(0, 40)))),
    ]);
    assert_eq!(terms.len(), 2);
    assert_eq!(terms[0].window(), terms[1].window());
}

#[test]
fn a_downgrade_lifts_the_limit_of_the_period_it_began_in_only() {
    let story = [
        starts("max_monthly"),
        to("basic_monthly", 10),
        on(30, changed(has("basic_monthly", month(1)))),
    ];
    check(
        &story,
        &[
            (0, 0, 15, None),
            (10 * DAY, 0, 5, Some((15, 30))),
            (30 * DAY, 30, 5, None),
        ],
    );
}

#[test]
fn a_month_that_begins_during_the_grace_of_a_year_has_its_own_limit() {
    let month = |start| days(start, start + 30);
    let story = [
        on(0, created(has("max_yearly", days(0, 365)))),
        on(40, changed(has("basic_monthly", month(40)))),
        on(70, changed(has("basic_monthly", month(70)))),
    ];
    check(
        &story,
        &[(0, 0, 180, None), (40 * DAY, 40, 5, None), (70 * DAY, 70, 5, None)],
    );
    // A fall within the year lifts all of it.
    let story = [
        on(0, created(has("max_yearly", days(0, 365)))),
        on(40, changed(has("basic_yearly", days(0, 365)))),
    ];
    check(&story, &[(0, 0, 180, None), (40 * DAY, 0, 60, Some((180, 365)))]);
}

#[test]
fn several_downgrades_lend_the_highest_and_a_rise_below_it_lends_on() {
    let falls = [starts("max_monthly"), to("plus_monthly", 5), to("basic_monthly", 10)];
    let lent = Some((15, 30));
    check(
        &falls,
        &[(0, 0, 15, None), (5 * DAY, 0, 10, lent), (10 * DAY, 0, 5, lent)],
    );
    let rises = [&falls[..1], &[to("basic_monthly", 5), to("plus_monthly", 10)]].concat();
    check(
        &rises,
        &[(0, 0, 15, None), (5 * DAY, 0, 5, lent), (10 * DAY, 0, 10, lent)],
    );
    let back = [&falls[..2], &[to("max_monthly", 10)]].concat();
    check(
        &back,
        &[(0, 0, 15, None), (5 * DAY, 0, 10, lent), (10 * DAY, 0, 15, None)],
    );
}

#[test]
fn a_grace_lends_no_meter_that_is_as_high_without_it() {
    let terms = terms(&[starts("max_monthly"), to("basic_monthly", 10)]);
    let lent = |meter| terms[1].limits_of(meter).lifted;
    assert_eq!(lent("voice_chars"), Some((Some(3 * M), month(0).end)));
    assert_eq!(lent("basic_chars"), None);
    assert_eq!(terms[1].limits_of("basic_chars").own, None);
    assert_eq!(terms[1].limits_of("no_such_meter"), MeterLimits::NONE);
}

#[test]
fn a_year_of_a_lower_tier_with_more_units_is_not_cut_by_its_grace() {
    // Max by the month to Basic by the year, both from day 0.
    let story = [
        starts("max_monthly"),
        on(10, changed(has("basic_yearly", days(0, 365)))),
    ];
    check(&story, &[(0, 0, 15, None), (10 * DAY, 0, 60, None)]);
}

#[test]
fn an_unlimited_meter_is_lent_over_any_limit() {
    let mut limited = has("basic_monthly", month(0));
    let plan = limited.plan.as_mut().expect("a plan");
    plan.limits.insert("basic_chars".to_owned(), Some(100));
    let lent = terms(&[starts("max_monthly"), on(10, changed(limited))])[1].limits_of("basic_chars");
    assert_eq!((lent.own, lent.lifted), (Some(100), Some((None, month(0).end))));
}

#[test]
fn a_grace_is_lent_though_an_event_before_the_downgrade_is_missing() {
    let story = [
        starts("max_monthly"),
        on(30, changed(has("max_monthly", month(1)))),
        on(40, changed(has("basic_monthly", month(1)))),
    ];
    let facts = facts(&story);
    let last = |terms: Vec<Term>| terms.last().map(brief);
    let lent = Some((40 * DAY, 30, 5, Some((15, 60))));
    assert_eq!(last(known("sub_1", &facts)), lent);
    let missing_renewal = [facts[0].clone(), facts[2].clone()];
    assert_eq!(last(known("sub_1", &missing_renewal)).map(|b| b.3), lent.map(|b| b.3));
    // Of the first event that is known, what it changed is known too.
    let alone = known("sub_1", &facts[2..]);
    assert_eq!(
        alone.iter().map(brief).collect::<Vec<_>>(),
        [(30 * DAY, 30, 15, None), (40 * DAY, 30, 5, Some((15, 60)))]
    );
}

#[test]
fn the_first_event_that_is_known_tells_what_was_before_it() {
    let facts = facts(&[starts("basic_monthly"), to("max_monthly", 29)]);
    let alone = known("sub_1", &facts[1..]);
    assert_eq!(
        alone.iter().map(brief).collect::<Vec<_>>(),
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
fn what_ends_the_entitlement_ends_what_is_lent() {
    let unpaid = on(15, changed(status("unpaid", has("basic_monthly", month(0)))));
    let story = [starts("max_monthly"), to("basic_monthly", 10), unpaid];
    check(
        &story,
        &[
            (0, 0, 15, None),
            (10 * DAY, 0, 5, Some((15, 30))),
            (15 * DAY, 0, 0, None),
        ],
    );
}

#[test]
fn an_entitlement_ends_when_it_is_told_also_after_its_period() {
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
fn a_period_that_is_told_after_an_end_within_it_begins_with_that() {
    let paused = changed(status("paused", has("basic_monthly", month(0))));
    let resumed = changed(has("basic_monthly", month(1)));
    let story = [starts("basic_monthly"), (30 * DAY + 600, paused), (31 * DAY, resumed)];
    check(&story, &[(0, 0, 5, None), (30 * DAY + 600, 30, 5, None)]);
}

#[test]
fn a_change_by_a_test_clock_lies_in_the_period_it_shows() {
    // Told at once, about days to come.
    let story = [
        starts("basic_monthly"),
        (5, changed(has("basic_monthly", month(1)))),
        (9, changed(has("plus_monthly", month(1)))),
        (12, changed(has("plus_monthly", month(2)))),
    ];
    check(
        &story,
        &[(0, 0, 5, None), (30 * DAY, 30, 10, None), (60 * DAY, 60, 10, None)],
    );
    // Told today, about days long ago: the change is the last second's.
    let story = [
        on(0, created(has("basic_monthly", days(-90, -60)))),
        (5, changed(has("plus_monthly", days(-90, -60)))),
        (9, changed(has("plus_monthly", days(-60, -30)))),
    ];
    check(
        &story,
        &[
            (-90 * DAY, -90, 5, None),
            (-60 * DAY - 1, -90, 10, None),
            (-60 * DAY, -60, 10, None),
        ],
    );
}

/// An upgrade on a day to this price and period, whose payment fails.
fn held(day: i64, key: &str, period: Period, reason: &str) -> [Told; 2] {
    let mut up = has(key, period);
    up.latest_invoice = Some("in_up".to_owned());
    let mut bill = invoice("in_up", Failed, reason, period);
    bill.lines[0].proration = true;
    [on(day, changed(up)), (day * DAY + 1, FactBody::Invoice(bill))]
}

#[test]
fn an_upgrade_that_was_not_paid_includes_no_more() {
    let fails = held(10, "max_monthly", month(0), "subscription_update");
    let story = [&[starts("basic_monthly")], &fails[..]].concat();
    check(&story, &[(0, 0, 5, None)]);
    let mut paid = story.clone();
    let FactBody::Invoice(bill) = &fails[1].1 else {
        panic!("an invoice")
    };
    let mut bill = bill.clone();
    bill.step = Paid;
    paid.push(on(12, FactBody::Invoice(bill)));
    check(&paid, &[(0, 0, 5, None), (10 * DAY, 0, 15, None)]);
    let renews = [
        on(30, changed(has("max_monthly", month(1)))),
        (30 * DAY + 3_600, cycle(Paid, month(0), month(1))),
    ];
    check(
        &[&story[..], &renews].concat(),
        &[
            (0, 0, 5, None),
            (30 * DAY, 30, 5, None),
            (30 * DAY + 3_600, 30, 15, None),
        ],
    );
}

#[test]
fn an_upgrade_to_a_year_that_was_not_paid_begins_no_new_period() {
    let year = held(10, "max_yearly", days(10, 375), "subscription_update");
    let story = [&[starts("basic_monthly")], &year[..]].concat();
    check(&story, &[(0, 0, 5, None)]);
}

#[test]
fn a_trial_is_still_one_after_an_upgrade_that_was_not_paid() {
    let [(_, up), bill] = held(1, "max_monthly", days(0, 3), "subscription_update");
    let FactBody::Subscription(up) = up else {
        panic!("a snapshot")
    };
    let up = on(1, changed(status("past_due", up.now)));
    let terms = terms(&[
        on(0, created(status("trialing", has("basic_monthly", days(0, 3))))),
        up,
        bill,
    ]);
    assert!(terms.len() == 1 && terms[0].trial, "{terms:?}");
}

#[test]
fn what_is_lent_after_a_failed_upgrade_is_of_the_month_before_it() {
    let year = days(10, 375);
    let fails = held(10, "max_yearly", year, "subscription_update");
    let lower = on(15, changed(has("basic_yearly", year)));
    let story = [&[starts("plus_monthly")], &fails[..], &[lower]].concat();
    check(&story, &[(0, 0, 10, None), (10 * DAY, 10, 60, None)]);
    assert_eq!(terms(&story)[1].limits_of("voice_chars"), MeterLimits::NONE);
}

#[test]
fn a_renewal_that_failed_gives_its_limit_while_stripe_retries() {
    let late = on(31, changed(status("past_due", has("basic_monthly", month(1)))));
    let story = [starts("basic_monthly"), late, on(31, not_renewed(month(1)))];
    check(&story, &[(0, 0, 5, None), (30 * DAY, 30, 5, None)]);
}

#[path = "terms_user_tests.rs"]
mod of_several;
