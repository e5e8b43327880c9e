//! Which of several subscriptions counts at each moment.

use super::*;

/// Checks the terms of a user with two subscriptions: (day, subscription, limit in millions).
#[track_caller]
fn check_both(events: &[TimedFact], expected: &[(i64, &str, i64)]) {
    let facts = facts(events);
    let both = [known("sub_1", &facts), known("sub_2", &facts)];
    let terms = of_user(&both);
    let [one, other] = both;
    assert_eq!(of_user(&[other, one]), terms, "the order of the subscriptions");
    let shown: Vec<_> = terms
        .iter()
        .map(|t| ((t.since - T0) / DAY, t.subscription.as_str(), short(t).2 / M))
        .collect();
    assert_eq!(shown, expected, "{events:#?}");
}

#[test]
fn the_entitled_then_the_higher_then_the_newer_subscription_counts() {
    let second = |day, body| on(day, of("sub_2", body));
    let ends = |key| deleted(status("canceled", has(key, month(0))));
    check_both(
        &[
            starts("basic_monthly"),
            second(5, created(has("max_monthly", days(5, 35)))),
        ],
        &[(0, "sub_1", 5), (5, "sub_2", 15)],
    );
    check_both(
        &[
            starts("max_monthly"),
            second(5, created(has("basic_monthly", days(5, 35)))),
            on(20, ends("max_monthly")),
        ],
        &[(0, "sub_1", 15), (20, "sub_2", 5)],
    );
    check_both(
        &[
            starts("basic_monthly"),
            second(5, created(has("max_monthly", days(5, 35)))),
            second(20, deleted(status("canceled", has("max_monthly", days(5, 35))))),
        ],
        &[(0, "sub_1", 5), (5, "sub_2", 15), (20, "sub_1", 5)],
    );
    let mut later = has("basic_monthly", days(5, 35));
    later.subscribed_at += 5 * DAY;
    check_both(
        &[starts("basic_monthly"), second(5, created(later))],
        &[(0, "sub_1", 5), (5, "sub_2", 5)],
    );
}

#[test]
fn a_change_of_a_subscription_that_does_not_count_begins_no_term() {
    let second = |day, body| on(day, of("sub_2", body));
    check_both(
        &[
            starts("max_monthly"),
            second(5, created(has("basic_monthly", days(5, 35)))),
            second(9, changed(has("plus_monthly", days(5, 35)))),
        ],
        &[(0, "sub_1", 15)],
    );
}

#[test]
fn a_new_subscription_counts_after_the_end_of_the_old_one() {
    check_both(
        &[
            starts("max_monthly"),
            on(10, deleted(status("canceled", has("max_monthly", month(0))))),
            on(50, of("sub_2", created(has("basic_monthly", days(50, 80))))),
        ],
        &[(0, "sub_1", 15), (10, "sub_1", 0), (50, "sub_2", 5)],
    );
}

#[test]
fn the_first_payment_covers_the_whole_period() {
    let awaited = created(status("incomplete", has("basic_monthly", month(0))));
    let terms = known(
        "sub_1",
        &facts(&[(0, awaited), (40, changed(has("basic_monthly", month(0))))]),
    );
    let shown: Vec<_> = terms.iter().map(|t| (t.since - T0, t.entitled)).collect();
    assert_eq!(shown, [(0, true)]);
}
