//! Balances in unusual cases: odd invoices, cancelled and new subscriptions, several
//! subscriptions, late usage, and the largest amounts.

use super::*;
use crate::domain::fact::InvoiceStep::ActionRequired;

#[test]
fn only_a_paid_renewal_rolls_units_over() {
    for (step, reason) in [
        (Failed, "subscription_cycle"),
        (ActionRequired, "subscription_cycle"),
        (Paid, "subscription_update"),
        (Paid, "subscription_create"),
        (Paid, "manual"),
    ] {
        let mut other = invoice("in_1", step, reason, month(1));
        other.period = Some(month(0));
        check_rollover(&[starts("basic_monthly"), on(30, FactBody::Invoice(other))], &[], &[]);
    }
    // An invoice whose own period is that of another item closes the plan's period.
    let mut other = invoice("in_1", Paid, "subscription_cycle", month(1));
    other.period = Some(days(23, 30));
    check_rollover(
        &[starts("basic_monthly"), on(30, FactBody::Invoice(other))],
        &[],
        &[5 * M],
    );
}

#[test]
fn two_renewal_invoices_of_one_period_roll_it_over_once() {
    let mut again = invoice("in_again", Paid, "subscription_cycle", month(1));
    again.period = Some(month(0));
    let events = all(&[
        &[starts("basic_monthly")],
        &renews("basic_monthly", 1, Paid),
        &[on(40, FactBody::Invoice(again))],
    ]);
    check_rollover(&events, &[], &[5 * M]);
}

#[test]
fn an_invoice_closes_the_known_period_that_ends_where_the_paid_one_begins() {
    let mut odd = invoice(&format!("in_{}", month(1).start), Paid, "subscription_cycle", month(1));
    odd.period = Some(days(20, 30));
    let events = all(&[
        &[starts("basic_monthly")],
        &renews("basic_monthly", 1, Paid),
        &[on(40, FactBody::Invoice(odd))],
    ]);
    check_rollover(&events, &[], &[5 * M]);
}

#[test]
fn a_canceled_user_has_no_limit_and_keeps_rollover_and_purchases() {
    let ends = on(40, deleted(status("canceled", has("basic_monthly", month(1)))));
    let events = all(&[
        &[starts("basic_monthly")],
        &renews("basic_monthly", 1, Paid),
        &[purchase(31, "cs", 2 * M), ends],
    ]);
    check(&events, &[(35, 2 * M)], (0, 2 * M, 5 * M, 2 * M));
    check(&events, &[(35, 2 * M), (41, 6 * M)], (0, 2 * M, 0, M));
    // A new subscription has a new period; the carried units stay.
    let back = all(&[
        &events,
        &[on(50, of("sub_2", created(has("plus_monthly", days(50, 80)))))],
    ]);
    check(&back, &[(35, 2 * M), (41, 6 * M), (60, 3 * M)], (10 * M, 3 * M, 0, M));
}

#[test]
fn usage_between_the_end_of_a_period_and_its_cancellation_is_within_its_limit() {
    let ends = (
        30 * DAY + 2 * HOUR,
        deleted(status("canceled", has("basic_monthly", month(0)))),
    );
    check(&[starts("basic_monthly"), ends], &[(30, 2 * M)], (0, 2 * M, 0, 0));
}

#[test]
fn of_two_parallel_subscriptions_usage_takes_from_the_one_that_counts() {
    let second = |day, body| on(day, of("sub_2", body));
    let events = [
        starts("basic_monthly"),
        second(10, created(has("max_monthly", days(10, 40)))),
        second(20, deleted(status("canceled", has("max_monthly", days(10, 40))))),
    ];
    check(&events[..2], &[(5, 2 * M), (15, 9 * M)], (15 * M, 9 * M, 0, 0));
    // The month of the first one goes on, with its earlier usage.
    check(&events, &[(5, 2 * M), (15, 9 * M), (25, 4 * M)], (5 * M, 5 * M, -M, 0));
    // Each has what it sold itself.
    let events = all(&[&events, &renews("basic_monthly", 1, Paid)]);
    check_rollover(&events, &[(5, 2 * M), (15, 9 * M)], &[3 * M]);
}

#[test]
fn late_usage_counts_in_the_current_period_once_its_own_is_closed() {
    let events = all(&[&[starts("basic_monthly")], &renews("basic_monthly", 1, Paid)]);
    let at = |events: &[TimedFact], time| timeline_of(&facts(events)).counts_at(T0 + time) - T0;
    let closed = 30 * DAY + HOUR;
    assert_eq!(at(&events, 0), closed);
    assert_eq!(at(&events, 29 * DAY), closed);
    assert_eq!(at(&events, 30 * DAY - 1), closed);
    for open in [-1, 30 * DAY, 40 * DAY, 70 * DAY] {
        assert_eq!(at(&events, open), open);
    }
    // The renewal is not paid yet, so the period is open.
    let unpaid = all(&[&[starts("basic_monthly")], &renews("basic_monthly", 1, Failed)]);
    assert_eq!(at(&unpaid, 29 * DAY), 29 * DAY);
    // Two periods later, and after a change, it counts in the current one.
    let later = all(&[
        &events,
        &renews("basic_monthly", 2, Paid),
        &[on(70, changed(has("max_monthly", month(2))))],
    ]);
    assert_eq!(at(&later, 29 * DAY), 70 * DAY);
    assert_eq!(at(&later, 59 * DAY), 70 * DAY);
}

#[test]
fn late_usage_of_a_closed_period_without_terms_counts_in_the_current_one() {
    let events = [
        on(30, created(has("basic_monthly", month(1)))),
        on(30, cycle(Paid, month(0), month(1))),
    ];
    assert_eq!(timeline_of(&facts(&events)).counts_at(T0 + 10 * DAY), T0 + 30 * DAY);
}

#[test]
fn a_period_that_began_with_a_change_rolls_over_a_months_limit_if_no_invoice_of_it_is_known() {
    let (year, next) = (days(40, 405), days(405, 770));
    let events = all(&[
        &[starts("basic_monthly")],
        &renews("basic_monthly", 1, Paid),
        &[on(40, changed(has("basic_yearly", year)))],
        &[
            on(405, changed(has("basic_yearly", next))),
            on(405, cycle(Paid, year, next)),
        ],
    ]);
    // Month 0 leaves 5M, month 1 nothing, and the year 3M of 5M.
    check_rollover(&events, &[(35, 5 * M), (50, 2 * M)], &[5 * M, 3 * M]);
}

#[test]
fn a_failure_event_after_the_payment_leaves_the_period_paid() {
    let mut events = all(&[&[starts("basic_monthly")], &renews("basic_monthly", 1, Paid)]);
    events.push(on(31, cycle(Failed, month(0), month(1))));
    check_rollover(
        &all(&[&events, &renews("basic_monthly", 2, Paid)]),
        &[],
        &[5 * M, 5 * M],
    );
}

#[test]
fn an_early_payment_by_a_test_clock_counts_when_its_period_begins() {
    let events = [starts("basic_monthly"), on(1, cycle(Paid, month(0), month(1)))];
    assert_eq!(meter(&events, "tokens", &[(20, 2 * M)]).entries[0].at, month(1).start);
    check_rollover(&events, &[(20, 2 * M)], &[3 * M]);
}

#[test]
fn rollover_pays_for_usage_of_the_same_second() {
    let renewal = [
        on(30, changed(has("basic_monthly", month(1)))),
        on(30, cycle(Paid, month(0), month(1))),
    ];
    let events = all(&[&[starts("basic_monthly"), purchase(1, "cs", 2 * M)], &renewal]);
    check(&events, &[(10, M), (30, 7 * M)], (5 * M, 5 * M, 2 * M, 2 * M));
}

#[test]
fn nothing_is_included_once_an_end_has_passed_untold() {
    let mut canceling = has("basic_monthly", month(0));
    canceling.cancel_at_period_end = true;
    let events = [starts("basic_monthly"), on(10, changed(canceling))];
    let end = month(0).end + HOUR;
    // Usage is not summed up across the end.
    assert_eq!(timeline_of(&facts(&events)).boundaries(), [T0, T0 + 10 * DAY, end]);
    check(&events, &[(29, 2 * M), (30, M)], (5 * M, 3 * M, 0, 0));
    check(&events, &[(29, 2 * M), (31, M)], (0, 2 * M, -M, 0));
    // It goes on after all.
    let on = all(&[&events, &renews("basic_monthly", 1, Paid)]);
    check(&on, &[(29, 2 * M), (31, M)], (5 * M, M, 3 * M, 0));
}

#[test]
fn a_paid_renewal_closes_no_period_of_another_subscription() {
    // The year of `sub_2` counts, while months of `sub_1` are closed.
    let second = |day, body| on(day, of("sub_2", body));
    let mut events = all(&[&[starts("basic_monthly")], &renews("basic_monthly", 1, Paid)]);
    events.push(second(10, created(has("max_yearly", days(10, 375)))));
    let timeline = timeline_of(&facts(&events));
    assert_eq!(timeline.counts_at(T0 + 20 * DAY), T0 + 20 * DAY);
    assert_eq!(timeline.counts_at(T0 + 5 * DAY), T0 + 30 * DAY + HOUR);
}

#[test]
fn an_invoice_before_its_subscription_waits_for_it() {
    let events = all(&[&[starts("basic_monthly")], &renews("basic_monthly", 1, Paid)]);
    let facts = facts(&events);
    let invoice: Vec<Fact> = facts
        .iter()
        .filter(|f| matches!(f.body, FactBody::Invoice(_)))
        .cloned()
        .collect();
    assert!(timeline_of(&invoice).is_empty());
    assert!(!timeline_of(&facts).is_empty());
    // Usage is a debt until a term for its time is known.
    let used = [UsageSum {
        at: T0 + DAY,
        amount: M,
    }];
    let none = replay(&Timeline::default(), "tokens", &used).expect("in range");
    assert_eq!((none.balance.used, none.balance.carried.rollover), (0, -M));
    let known = replay(&timeline_of(&facts), "tokens", &used).expect("in range");
    assert_eq!((known.balance.used, known.balance.carried.rollover), (0, 4 * M));
}

#[test]
fn another_users_subscription_changes_nothing() {
    let mut theirs = has("max_monthly", month(0));
    theirs.user = Some(UserId::new("u2"));
    let other = of("sub_2", created(theirs));
    check(&[starts("basic_monthly"), on(1, other)], &[], (5 * M, 0, 0, 0));
}

#[test]
fn the_balance_names_its_counting_period_and_its_latest_event() {
    let events = all(&[
        &[starts("basic_monthly")],
        &renews("basic_monthly", 1, Paid),
        &[purchase(40, "cs", M)],
    ]);
    let balance = meter(&events, "tokens", &[(50, M)]).balance;
    let window = balance.window.expect("a period");
    assert_eq!(
        (window.subscription, window.start),
        (SubscriptionId::new("sub_1"), month(1).start)
    );
    assert_eq!(balance.since, T0 + 40 * DAY);
    assert_eq!(
        replay(&Timeline::default(), "tokens", &[]).expect("nothing").balance,
        MeterBalance::default()
    );
}

#[test]
fn purchases_beyond_64_bits_are_refused() {
    let largest = |session, day| purchase(day, session, i64::MAX);
    let timeline = timeline_of(&facts(&[largest("cs_1", 0), largest("cs_2", 1)]));
    assert_eq!(replay(&timeline, "tokens", &[]), Err(Overflow));
    assert!(replay(&timeline, "voice_chars", &[]).is_ok());
}

#[test]
fn total_usage_has_a_maximum_whatever_pays_for_it() {
    let units_max = 1 << 62;
    let large_purchase = [purchase(0, "cs_1", i64::MAX)];
    for (events, name) in [
        (&large_purchase[..], "tokens"),
        (&[starts("basic_monthly")], "basic_chars"),
        (&[], "tokens"),
    ] {
        let mut balance = meter(events, name, &[(1, units_max - 1)]).balance;
        assert_eq!(balance.reported, units_max - 1);
        let before = balance.clone();
        for amount in [2, i64::MAX] {
            assert_eq!(balance.spend(T0 + DAY, amount), Err(Overflow));
            assert_eq!(balance, before);
        }
        balance.spend(T0 + DAY, 1).expect("the last of it");
        assert_eq!(balance.spend(T0 + DAY, 1), Err(Overflow));
    }
}

#[test]
fn the_largest_limit_over_the_longest_time_rolls_over_up_to_its_cap() {
    let mut largest = has("basic_monthly", month(0));
    let plan = largest.plan.insert(shipped("basic_monthly"));
    plan.limits.insert("tokens".to_owned(), Some(i64::MAX));
    plan.caps.insert("tokens".to_owned(), i64::MAX);
    let ended = Period {
        start: T0,
        end: T0 + 36_500 * DAY,
    };
    largest.period = Some(ended);
    let next = Period {
        start: ended.end,
        end: ended.end + DAY,
    };
    let events = [on(0, created(largest)), on(36_500, cycle(Paid, ended, next))];
    check_rollover(&events, &[(1, 5)], &[i64::MAX - 5]);
}
