//! Limits before and after a period is known to be paid, and those of trials.

use super::*;
use std::collections::BTreeMap;

fn pays(day: i64, reason: &str, period: Period) -> TimedFact {
    let id = format!("in_{}", period.start);
    on(day, FactBody::Invoice(invoice(&id, Paid, reason, period)))
}

#[test]
fn a_year_has_a_months_limit_until_its_invoice_is_paid() {
    let year = days(0, 365);
    let starts = on(0, created(has("plus_yearly", year)));
    check(std::slice::from_ref(&starts), &[(0, 0, 10 * M)]);
    let paid = pays(0, "subscription_create", year);
    check(&[starts.clone(), paid], &[(0, 0, 120 * M)]);
    // Three weeks of dunning cost a month at most.
    let late = pays(21, "subscription_create", year);
    check(&[starts, late], &[(0, 0, 10 * M), (21 * DAY, 0, 120 * M)]);
}

#[test]
fn a_payment_that_comes_after_the_period_begins_no_term() {
    let events = [
        on(0, created(has("basic_monthly", month(0)))),
        on(30, changed(has("plus_yearly", days(30, 395)))),
        pays(40, "subscription_create", month(0)),
    ];
    check(&events, &[(0, 0, 5 * M), (30 * DAY, 30, 10 * M)]);
}

#[test]
fn a_trial_has_a_months_limit_whatever_its_length_and_price() {
    let trial = |key, days| on(0, created(status("trialing", has(key, days))));
    check(&[trial("plus_monthly", days(0, 3))], &[(0, 0, 10 * M)]);
    check(&[trial("plus_yearly", days(0, 3))], &[(0, 0, 10 * M)]);
    check(&[trial("plus_yearly", days(0, 14))], &[(0, 0, 10 * M)]);
    // The trial's own invoice of 0.00 is paid at once.
    let of_zero = pays(0, "subscription_create", days(0, 3));
    check(&[trial("plus_yearly", days(0, 3)), of_zero], &[(0, 0, 10 * M)]);
}

#[test]
fn a_trial_has_the_trials_limits_if_the_catalog_has_them() {
    let mut trial = status("trialing", has("plus_yearly", days(0, 3)));
    let plan = trial.plan.as_mut().expect("a plan");
    plan.trial_limits = Some(BTreeMap::from([("tokens".to_owned(), Some(400_000))]));
    let terms = terms(&[on(0, created(trial))]);
    assert_eq!(terms[0].limits_of("tokens").own, Some(400_000));
    assert_eq!(terms[0].limits_of("voice_chars").own, Some(0), "not in the trial");
}

#[test]
fn a_change_of_tier_within_a_trial_is_weighted_by_its_time_in_the_trial() {
    let trial = |key| status("trialing", has(key, days(0, 4)));
    // A quarter at 5M and three quarters at 15M.
    check(
        &[
            on(0, created(trial("basic_monthly"))),
            on(1, changed(trial("max_monthly"))),
        ],
        &[(0, 0, 5 * M), (DAY, 0, 12_500_000)],
    );
}

/// A trial of Plus by the year, which goes on with a year on day 3.
fn trial_then_year() -> [TimedFact; 2] {
    [
        on(0, created(status("trialing", has("plus_yearly", days(0, 3))))),
        on(3, changed(has("plus_yearly", days(3, 368)))),
    ]
}

#[test]
fn the_first_period_after_a_trial_goes_on_with_its_counter_until_it_is_paid() {
    let year = days(3, 368);
    let begins = trial_then_year();
    let fails = on(3, cycle(Failed, days(0, 3), year));
    let events = [&begins[..], &[fails]].concat();
    check(&events, &[(0, 0, 10 * M), (3 * DAY, 3, 10 * M)]);
    let unpaid = terms(&events);
    assert_eq!(unpaid[1].window(), unpaid[0].window());
    let events = [&events[..], &[on(20, cycle(Paid, days(0, 3), year))]].concat();
    check(&events, &[(0, 0, 10 * M), (3 * DAY, 3, 10 * M), (20 * DAY, 3, 120 * M)]);
    let paid = terms(&events);
    assert_eq!(paid[1].window(), paid[0].window());
    assert_eq!(paid[2].window().start, year.start);
    // Paid at once, it has its own counter from its beginning.
    let at_once = [&begins[..], &[on(3, cycle(Paid, days(0, 3), year))]].concat();
    check(&at_once, &[(0, 0, 10 * M), (3 * DAY, 3, 120 * M)]);
    assert_eq!(terms(&at_once)[1].window().start, year.start);
}

#[test]
fn an_unpaid_period_after_a_trial_keeps_the_counter_when_access_ends() {
    let ends = on(20, changed(status("unpaid", has("plus_yearly", days(3, 368)))));
    let events = [&trial_then_year()[..], &[ends]].concat();
    check(&events, &[(0, 0, 10 * M), (3 * DAY, 3, 10 * M), (20 * DAY, 3, 0)]);
    let terms = terms(&events);
    assert_eq!(terms[2].window(), terms[0].window());
}

#[test]
fn an_upgrade_of_an_unpaid_period_after_a_trial_buys_nothing() {
    let up = on(10, changed(has("max_yearly", days(3, 368))));
    let events = [&trial_then_year()[..], &[up]].concat();
    check(&events, &[(0, 0, 10 * M), (3 * DAY, 3, 10 * M), (10 * DAY, 3, 10 * M)]);
}
