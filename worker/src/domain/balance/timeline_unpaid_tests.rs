//! What periods leave whose invoice was not paid, and what a trial leaves until then.

use super::*;
use crate::domain::fact::InvoiceStep::ActionRequired;

#[test]
fn an_unpaid_period_rolls_over_only_once_it_is_paid() {
    let retried = (65 * DAY, cycle(Paid, month(0), month(1)));
    let months = |first: &[TimedFact]| all(&[&[starts("basic_monthly")], first, &renews("basic_monthly", 2, Paid)]);
    for first in [
        &renews("basic_monthly", 1, Failed)[..],
        &renews("basic_monthly", 1, ActionRequired),
        &renews("basic_monthly", 1, Paid)[..1],
    ] {
        let events = months(first);
        check_rollover(&events, &[(40, 2 * M)], &[]);
        // Once it is paid, the unused units of month 0 and of month 1 roll over.
        let late = all(&[&events, std::slice::from_ref(&retried)]);
        let replayed = meter(&late, "tokens", &[(40, 2 * M)]);
        let entries = replayed
            .entries
            .iter()
            .map(|e| (e.cause.clone(), (e.at - T0) / DAY, e.change.rollover));
        let expected = [(month(2), 60, 3 * M), (month(1), 65, 5 * M)];
        let expected = expected.map(|(p, day, units)| (format!("in_{}", p.start), day, units));
        assert_eq!(entries.collect::<Vec<_>>(), expected);
    }
}

#[test]
fn a_first_period_whose_invoice_failed_rolls_nothing_over() {
    let fails = |step, at| {
        on(
            at,
            FactBody::Invoice(invoice("in_first", step, "subscription_create", month(0))),
        )
    };
    let events = all(&[
        &[starts("basic_monthly"), fails(Failed, 0)],
        &renews("basic_monthly", 1, Paid),
    ]);
    check_rollover(&events, &[], &[]);
    check_rollover(&all(&[&events, &[fails(Paid, 2)]]), &[], &[5 * M]);
}

/// A trial of Plus by the year for 3 days. The year's invoice fails.
fn trial_with_dead_card() -> Vec<TimedFact> {
    let (trial, year) = (days(0, 3), days(3, 368));
    vec![
        on(0, created(status("trialing", has("plus_yearly", trial)))),
        on(3, changed(status("past_due", has("plus_yearly", year)))),
        (3 * DAY + HOUR, cycle(Failed, trial, year)),
    ]
}

#[test]
fn a_card_that_dies_at_the_end_of_the_trial_buys_nothing() {
    let events = trial_with_dead_card();
    // The trial left 6M; 7M are used after it.
    check(&events, &[(1, 4 * M), (10, 7 * M)], (10 * M, 10 * M, -M, 0));
}

#[test]
fn a_late_payment_after_a_trial_begins_the_periods_own_counter() {
    let mut events = trial_with_dead_card();
    events.push(on(20, cycle(Paid, days(0, 3), days(3, 368))));
    // What was used before the payment stays with the trial, by the limit of that time.
    check(&events, &[(1, 4 * M), (10, 5 * M), (25, 8 * M)], (120 * M, 8 * M, 0, 0));
    let replayed = meter(&events, "tokens", &[(1, 4 * M), (10, 5 * M), (25, 8 * M)]);
    let used: Vec<i64> = replayed.used.values().copied().collect();
    assert_eq!(used, [9 * M, 8 * M]);
}

#[test]
fn an_unpaid_year_leaves_nothing_and_a_returned_one_neither() {
    let (first, second) = (days(0, 365), days(365, 730));
    let mut events = vec![
        on(0, created(has("basic_yearly", first))),
        on(
            0,
            FactBody::Invoice(invoice("in_first", Failed, "subscription_create", first)),
        ),
        on(365, changed(has("basic_yearly", second))),
        on(365, cycle(Paid, first, second)),
    ];
    check_rollover(&events, &[(9, 2 * M)], &[]);
    let mut paid = invoice("in_first", Paid, "subscription_create", first);
    paid.payment_intent = Some("pi_first".to_owned());
    events.push(on(20, FactBody::Invoice(paid)));
    check_rollover(&events, &[(25, 52 * M)], &[8 * M]);
    // Refunded in full: the access and its limit stay, but nothing rolls over.
    events.push(on(30, refunded("first", 1_000)));
    check_rollover(&events, &[(25, 52 * M)], &[]);
    check(&events[..2], &[], (5 * M, 0, 0, 0));
    let known = [&events[..2], &events[4..]].concat();
    check(&known, &[], (60 * M, 0, 0, 0));
}
