//! Periods that a change cuts short: a new period begins before their end.

use super::*;
use crate::domain::testkit::prorated;

/// Plus by the month, paid, then by the year from day 10 on, paid.
fn month_to_year() -> Vec<TimedFact> {
    let year = days(10, 375);
    vec![
        starts("plus_monthly"),
        pays(month(0)),
        on(10, changed(has("plus_yearly", year))),
        pays(year),
    ]
}

/// The change on this day gave money back.
fn credit(day: i64) -> TimedFact {
    (day * DAY + 1, prorated(-500))
}

#[track_caller]
fn entries(events: &[TimedFact], usage: &[UsageOnDay]) -> Vec<(EntryKind, i64, i64)> {
    let replayed = meter(events, "tokens", usage);
    let entry = |e: &super::super::TimelineEntry| (e.kind, e.amount, e.change.rollover);
    replayed.entries.iter().map(entry).collect()
}

#[test]
fn what_is_left_of_a_period_that_was_not_credited_is_carried() {
    check(&month_to_year(), &[(5, 4 * M)], (120 * M, 0, 6 * M, 0));
    assert_eq!(
        entries(&month_to_year(), &[(5, 4 * M)]),
        [(EntryKind::Carried, 6 * M, 6 * M)]
    );
    // All of it was used.
    check(&month_to_year(), &[(5, 10 * M)], (120 * M, 0, 0, 0));
    // It pays a debt first.
    check(
        &month_to_year(),
        &[(5, 10 * M), (11, 121 * M)],
        (120 * M, 120 * M, -M, 0),
    );
}

#[test]
fn what_is_carried_has_no_cap() {
    // Eleven months of Max: 180M less 30M.
    let events = [
        on(0, created(has("max_yearly", days(0, 365)))),
        pays(days(0, 365)),
        on(30, changed(has("max_monthly", days(30, 60)))),
        pays(days(30, 60)),
    ];
    check(&events, &[(5, 30 * M)], (15 * M, 0, 150 * M, 0));
}

#[test]
fn what_was_used_beyond_a_credited_part_is_debt() {
    // 10 of 30 days of 10M: 3,333,333.
    let events = all(&[&month_to_year(), &[credit(10)]]);
    check(&events, &[(5, 10 * M)], (120 * M, 0, 3_333_333 - 10 * M, 0));
    assert_eq!(
        entries(&events, &[(5, 10 * M)]),
        [(EntryKind::Overused, 6_666_667, -6_666_667)]
    );
    // Nothing of it is left for later: the money went back.
    check(&events, &[(5, 3 * M)], (120 * M, 0, 0, 0));
    // Purchased credits are not touched.
    let bought = all(&[&events, &[purchase(1, "cs", 2 * M)]]);
    check(&bought, &[(5, 10 * M)], (120 * M, 0, -6_666_667, 2 * M));
}

#[test]
fn a_credited_year_is_weighted_up_to_the_cut() {
    // 73 of 365 days of 120M: 24M.
    let events = [
        on(0, created(has("plus_yearly", days(0, 365)))),
        pays(days(0, 365)),
        on(73, changed(has("plus_monthly", days(73, 103)))),
        credit(73),
    ];
    check(&events, &[(5, 30 * M)], (10 * M, 0, -6 * M, 0));
    check(&events, &[(5, 20 * M)], (10 * M, 0, 0, 0));
}

#[test]
fn switching_back_and_forth_with_credits_gives_no_month_anew() {
    let events = [
        starts("plus_monthly"),
        pays(month(0)),
        on(1, changed(has("plus_yearly", days(1, 366)))),
        pays(days(1, 366)),
        credit(1),
        on(5, changed(has("plus_monthly", days(5, 35)))),
        pays(days(5, 35)),
        (5 * DAY + 1, FactBody::InvoiceItem(credit_item())),
    ];
    // A day of the month is 333,333; 4 days of the year are 1,315,068.
    let debt = 333_333 - 10 * M + 1_315_068 - 10 * M;
    check(&events, &[(0, 10 * M), (2, 10 * M)], (10 * M, 0, debt, 0));
}

fn credit_item() -> crate::domain::fact::InvoiceItemFact {
    match crate::domain::testkit::item(-15_000, true) {
        FactBody::InvoiceItem(item) => item,
        _ => panic!("an item"),
    }
}

#[test]
fn a_cut_within_the_first_hundredth_is_weighted_too() {
    let year = Period {
        start: T0 + HOUR,
        end: T0 + HOUR + 365 * DAY,
    };
    let events = [
        starts("plus_monthly"),
        pays(month(0)),
        (HOUR, changed(has("plus_yearly", year))),
        (HOUR, prorated(-1_900)),
        pays(year),
    ];
    // An hour of 720 sold 13,888.
    check(&events, &[(0, 20_000)], (120 * M, 0, 13_888 - 20_000, 0));
    check(&events, &[(0, 5_000)], (120 * M, 0, 0, 0));
}

#[test]
fn a_period_that_was_not_paid_leaves_nothing() {
    let fails = on(
        30,
        FactBody::Invoice(invoice("in_1", Failed, "subscription_cycle", month(1))),
    );
    let events = [
        starts("plus_monthly"),
        on(30, changed(status("past_due", has("plus_monthly", month(1))))),
        fails,
        on(40, changed(has("plus_yearly", days(40, 405)))),
        pays(days(40, 405)),
    ];
    check(&events, &[(35, M)], (120 * M, 0, 0, 0));
}

#[test]
fn a_trial_that_ends_early_leaves_neither_units_nor_debt() {
    let events = [
        on(0, created(status("trialing", has("plus_monthly", days(0, 3))))),
        on(1, changed(has("plus_monthly", days(1, 31)))),
        pays(days(1, 31)),
    ];
    check(&events, &[(0, 4 * M)], (10 * M, 0, 0, 0));
    let credited = all(&[&events, &[(DAY, prorated(-1))]]);
    check(&credited, &[(0, 4 * M)], (10 * M, 0, 0, 0));
}

#[test]
fn a_renewal_cuts_nothing_short() {
    let events = all(&[&[starts("plus_monthly")], &renews("plus_monthly", 1, Failed)]);
    assert_eq!(timeline_of(&facts(&events)).cuts, []);
}

#[test]
fn a_meter_without_a_limit_leaves_nothing() {
    let replayed = meter(&month_to_year(), "basic_chars", &[(5, 4 * M)]);
    assert_eq!(replayed.entries, []);
}

#[test]
fn a_failed_switch_that_is_taken_back_leaves_its_usage_in_the_month() {
    let (year, again) = (days(2, 367), days(21, 51));
    let bill = |id: &str, step, period| FactBody::Invoice(invoice(id, step, "subscription_update", period));
    let events = [
        starts("basic_monthly"),
        pays(month(0)),
        on(2, changed(has("basic_yearly", year))),
        (2 * DAY + 5, bill("in_year", InvoiceStep::Failed, year)),
        on(21, changed(has("basic_monthly", again))),
        on(21, bill("in_again", InvoiceStep::Paid, again)),
    ];
    // 5M of the month less 2M; the held year never began.
    check(&events, &[(5, M), (15, M)], (5 * M, 0, 3 * M, 0));
}

#[test]
fn a_renewal_that_frees_a_failed_upgrade_leaves_the_month_before_it_as_it_was() {
    let mut failed = invoice("in_up", InvoiceStep::Failed, "subscription_update", days(9, 30));
    failed.lines[0].proration = true;
    let upgraded = [
        starts("basic_monthly"),
        pays(month(0)),
        to("plus_monthly", 9),
        (9 * DAY + 1, FactBody::Invoice(failed)),
    ];
    let later = renews("plus_monthly", 1, InvoiceStep::Paid);
    let at_once = later.clone().map(|(_, body)| on(30, body));
    for renewal in [later, at_once] {
        let events = all(&[&upgraded, &renewal]);
        // 9M were used of 5M, so nothing is left of the first month.
        check(&events, &[(3, 9 * M)], (10 * M, 0, -4 * M, 0));
        check(&events, &[(3, 3 * M)], (10 * M, 0, 2 * M, 0));
    }
}

#[test]
fn a_renewal_that_is_paid_before_its_snapshot_takes_no_second_of_the_grace() {
    // Max from day 0, Basic with grace from day 10: 15M for the whole month.
    let [snapshot, paid] = renews("basic_monthly", 1, InvoiceStep::Paid).map(|(_, body)| on(30, body));
    let events = [
        starts("max_monthly"),
        pays(month(0)),
        to("basic_monthly", 10),
        paid,
        snapshot,
    ];
    check(&events, &[(3, 9 * M)], (5 * M, 0, 6 * M, 0));
}

#[test]
fn a_downgrade_after_a_switch_within_an_unpaid_month_keeps_what_the_switch_paid() {
    let switched = 30 * DAY + HOUR + 1;
    let year = Period {
        start: T0 + switched,
        end: T0 + switched + 365 * DAY,
    };
    let events = [
        starts("max_monthly"),
        pays(month(0)),
        on(30, changed(has("max_monthly", month(1)))),
        (30 * DAY + HOUR, cycle(InvoiceStep::Failed, month(0), month(1))),
        (switched, changed(has("plus_yearly", year))),
        (
            switched,
            FactBody::Invoice(invoice("in_year", Paid, "subscription_update", year)),
        ),
        (switched + 2 * HOUR, changed(has("basic_yearly", year))),
    ];
    check(&events, &[], (120 * M, 0, 0, 0));
}

#[test]
fn a_new_day_of_billing_is_credited_by_a_credit_within_a_minute_alone() {
    let reset = |credit: Option<i64>| {
        let mut events = vec![
            starts("plus_monthly"),
            pays(month(0)),
            on(10, changed(has("plus_monthly", days(10, 40)))),
        ];
        events.extend(credit.map(|seconds| (10 * DAY + seconds, prorated(-500))));
        events.push((
            10 * DAY + 4_000,
            FactBody::Invoice(invoice("in_2", Paid, "subscription_update", days(10, 40))),
        ));
        events
    };
    // 10 of 30 days of 10M were sold, and 9M used.
    check(&reset(Some(1)), &[(5, 9 * M)], (10 * M, 0, 3_333_333 - 9 * M, 0));
    // Not credited: what is left is carried.
    check(&reset(None), &[(5, 9 * M)], (10 * M, 0, M, 0));
    check(&reset(Some(3_600)), &[(5, 9 * M)], (10 * M, 0, M, 0));
}
