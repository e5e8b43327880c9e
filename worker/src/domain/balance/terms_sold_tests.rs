//! Limits by what a period sold: seats, catalogs that change, meters that are not prorated,
//! and a fixed day of billing.

use super::*;
use crate::domain::fact::{FactBody, Plan};

fn with_plan(mut now: Snapshot, edit: impl Fn(&mut Plan)) -> Snapshot {
    edit(now.plan.as_mut().expect("a plan"));
    now
}

fn changed_from(before: Snapshot, now: Snapshot) -> FactBody {
    let mut body = changed(now);
    if let FactBody::Subscription(s) = &mut body {
        s.before = Some(before);
    }
    body
}

fn sells(tokens: i64, period: Period) -> Snapshot {
    with_plan(has("basic_monthly", period), |plan| {
        plan.limits.insert("tokens".to_owned(), Some(tokens));
    })
}

#[test]
fn an_upgrade_in_the_last_hour_buys_an_hours_difference() {
    let up = (30 * DAY - 3_600, changed(has("max_monthly", month(0))));
    // 719 hours of 5M and one of 15M: 3,610M / 720.
    check(
        &[starts("basic_monthly"), up],
        &[(0, 0, 5 * M), (30 * DAY - 3_600, 0, 5_013_888)],
    );
}

#[test]
fn a_credited_downgrade_is_weighted_too() {
    let down = [
        starts("max_monthly"),
        to("basic_monthly", 10),
        (10 * DAY, prorated(-500)),
    ];
    // 10 days of 15M and 20 of 5M: 250M / 30.
    check(&down, &[(0, 0, 15 * M), (10 * DAY, 0, 8_333_333)]);
}

#[test]
fn a_change_in_the_first_hundredth_counts_from_the_beginning() {
    // Seven hours of a month of 720 hours.
    let up = (7 * 3_600, changed(has("max_monthly", month(0))));
    check(&[starts("basic_monthly"), up], &[(0, 0, 5 * M), (7 * 3_600, 0, 15 * M)]);
    let later = (8 * 3_600, changed(has("max_monthly", month(0))));
    // 8 hours of 5M and 712 of 15M: 10,720M / 720.
    check(
        &[starts("basic_monthly"), later],
        &[(0, 0, 5 * M), (8 * 3_600, 0, 14_888_888)],
    );
}

#[test]
fn a_change_of_the_quantity_is_a_change_of_the_limit() {
    let seats = |count: i64| {
        with_plan(has("basic_monthly", month(0)), |plan| {
            plan.quantity = count;
            plan.limits.insert("tokens".to_owned(), Some(count * 5 * M));
        })
    };
    let events = [on(0, created(seats(1))), on(15, changed(seats(3)))];
    check(&events, &[(0, 0, 5 * M), (15 * DAY, 0, 10 * M)]);
    // Back to one seat, uncredited: no grace, as the tier did not fall.
    let back = [&events[..], &[on(24, changed(seats(1)))]].concat();
    // 15 days of 5M, 9 of 15M, 6 of 5M: 240M / 30.
    check(&back, &[(0, 0, 5 * M), (15 * DAY, 0, 10 * M), (24 * DAY, 0, 8 * M)]);
}

#[test]
fn a_limit_that_the_catalog_raises_counts_for_the_whole_period() {
    let events = [
        on(0, created(sells(5 * M, month(0)))),
        on(20, changed(sells(6 * M, month(0)))),
    ];
    check(&events, &[(0, 0, 5 * M), (20 * DAY, 0, 6 * M)]);
}

#[test]
fn a_limit_that_the_catalog_lowers_counts_from_the_next_period_on() {
    let events = [
        on(0, created(sells(5 * M, month(0)))),
        on(20, changed(sells(4 * M, month(0)))),
        on(30, changed(sells(4 * M, month(1)))),
    ];
    check(&events, &[(0, 0, 5 * M), (30 * DAY, 30, 4 * M)]);
    // A raise and a fall in one period: the highest limit stays.
    let both = [&events[..1], &[on(10, changed(sells(9 * M, month(0))))], &events[1..]].concat();
    check(&both, &[(0, 0, 5 * M), (10 * DAY, 0, 9 * M), (30 * DAY, 30, 4 * M)]);
}

#[test]
fn a_raise_counts_although_only_a_plan_that_is_gone_within_the_second_shows_it() {
    // Basic for 10 days, then Max. On day 20 Basic and Max again within one second, and the
    // catalog has raised Basic since.
    let events = [
        starts("basic_monthly"),
        on(10, changed(has("max_monthly", month(0)))),
        on(20, changed(sells(8 * M, month(0)))),
        on(20, changed_from(sells(8 * M, month(0)), has("max_monthly", month(0)))),
    ];
    // 10 days of 5M and 20 of 15M: 350M / 30; then 10 of 8M and 20 of 15M: 380M / 30.
    check(
        &events,
        &[(0, 0, 5 * M), (10 * DAY, 0, 11_666_666), (20 * DAY, 0, 12_666_666)],
    );
}

#[test]
fn a_raise_counts_although_only_the_values_before_a_change_show_it() {
    // Basic, and Max from day 20 on. The change was read with a catalog that has raised Basic.
    let up = changed_from(sells(6 * M, month(0)), has("max_monthly", month(0)));
    // 20 days of 6M and 10 of 15M: 270M / 30.
    check(
        &[starts("basic_monthly"), on(20, up)],
        &[(0, 0, 5 * M), (20 * DAY, 0, 9 * M)],
    );
}

#[test]
fn a_change_of_the_price_is_not_a_change_of_the_catalog() {
    // Plus for 10 days, then Basic, credited, for which the catalog has raised the limit since.
    let events = [
        starts("plus_monthly"),
        on(10, changed(sells(5 * M, month(0)))),
        (10 * DAY, prorated(-500)),
        on(25, changed(sells(8 * M, month(0)))),
    ];
    // 10 days of 10M and 20 of 5M: 200M / 30; then 20 of 8M: 260M / 30.
    check(
        &events,
        &[(0, 0, 10 * M), (10 * DAY, 0, 6_666_666), (25 * DAY, 0, 8_666_666)],
    );
}

#[test]
fn a_meter_that_is_not_prorated_has_its_whole_limit_at_once() {
    let whole = |key| {
        with_plan(has(key, month(0)), |plan| {
            plan.unprorated.insert("tokens".to_owned());
        })
    };
    let events = [
        on(0, created(whole("basic_monthly"))),
        on(20, changed(whole("max_monthly"))),
    ];
    check(&events, &[(0, 0, 5 * M), (20 * DAY, 0, 15 * M)]);
    // 20 days of 5M and 10 of 15M roll over: 250M / 30.
    assert_eq!(terms(&events)[1].limits["tokens"].allowance, Some(8_333_333));
    // 20 days of 0 and 10 of 3M voice characters, prorated.
    assert_eq!(terms(&events)[1].limits_of("voice_chars").own, Some(M));
}

#[test]
fn a_first_period_that_a_fixed_day_of_billing_shortens_sells_its_part_of_a_month() {
    // T0 is 14 November 2023. 12 days to 26 November, of the 31 days since 26 October.
    let (first, second) = (days(0, 12), days(12, 42));
    let events = [
        on(0, created(has("basic_monthly", first))),
        on(12, changed(has("basic_monthly", second))),
    ];
    // 5M * 12 / 31
    check(&events, &[(0, 0, 1_935_483), (12 * DAY, 12, 5 * M)]);
    // A shorter period after a renewal is what it is.
    let shorter = on(42, changed(has("basic_monthly", days(42, 52))));
    let later = [&events[..], &[shorter]].concat();
    check(
        &later,
        &[(0, 0, 1_935_483), (12 * DAY, 12, 5 * M), (42 * DAY, 42, 5 * M)],
    );
}

#[test]
fn a_limit_names_the_parts_from_which_it_comes_about() {
    let terms = terms(&[starts("basic_monthly"), to("max_monthly", 27)]);
    let limit = &terms[1].limits["tokens"];
    let parts: Vec<_> = limit.parts.iter().map(|p| (p.limit, p.seconds / DAY)).collect();
    assert_eq!(parts, [(Some(5 * M), 27), (Some(15 * M), 3)]);
    assert_eq!((limit.limit, limit.seconds), (Some(6 * M), 30 * DAY));
}
