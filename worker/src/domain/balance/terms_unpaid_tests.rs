//! Terms after an upgrade whose payment failed.

use super::*;

/// An upgrade to this price and period on this day. Its payment fails.
fn unpaid_upgrade(day: i64, key: &str, period: Period, reason: &str) -> [TimedFact; 2] {
    let mut up = has(key, period);
    up.latest_invoice = Some("in_up".to_owned());
    let mut bill = invoice("in_up", Failed, reason, period);
    bill.lines[0].proration = true;
    [on(day, changed(up)), (day * DAY + 1, FactBody::Invoice(bill))]
}

#[test]
fn an_unpaid_upgrade_raises_no_limit() {
    let fails = unpaid_upgrade(10, "max_monthly", month(0), "subscription_update");
    let events = [&[starts("basic_monthly")], &fails[..]].concat();
    check(&events, &[(0, 0, 5 * M)]);
    let mut paid = events.clone();
    let FactBody::Invoice(bill) = &fails[1].1 else {
        panic!("an invoice")
    };
    let mut bill = bill.clone();
    bill.step = Paid;
    paid.push(on(12, FactBody::Invoice(bill)));
    check(&paid, &[(0, 0, 5 * M), (10 * DAY, 0, 11_666_666)]);
    let renews = [
        on(30, changed(has("max_monthly", month(1)))),
        (30 * DAY + 3_600, cycle(Paid, month(0), month(1))),
    ];
    check(
        &[&events[..], &renews].concat(),
        &[
            (0, 0, 5 * M),
            // The cycle settles it for the whole month.
            (30 * DAY, 30, 15 * M),
        ],
    );
}

#[test]
fn an_unpaid_upgrade_to_a_year_begins_no_new_period() {
    let year = unpaid_upgrade(10, "max_yearly", days(10, 375), "subscription_update");
    let events = [&[starts("basic_monthly")], &year[..]].concat();
    check(&events, &[(0, 0, 5 * M)]);
}

#[test]
fn a_trial_stays_a_trial_after_an_unpaid_upgrade() {
    let [(_, up), bill] = unpaid_upgrade(1, "max_monthly", days(0, 3), "subscription_update");
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
fn after_an_unpaid_upgrade_a_downgrade_lifts_no_limit_of_it() {
    let year = days(10, 375);
    let fails = unpaid_upgrade(10, "max_yearly", year, "subscription_update");
    let lower = on(15, changed(has("basic_yearly", year)));
    let events = [&[starts("plus_monthly")], &fails[..], &[lower]].concat();
    // The year is not paid: it has a month's limit.
    check(&events, &[(0, 0, 10 * M), (10 * DAY, 10, 5 * M)]);
    assert_eq!(terms(&events)[1].limits_of("voice_chars").own, Some(0));
}
