//! Which of several subscriptions counts.

use super::*;

/// Two subscriptions of a user: each moment's millions, and whose they are.
#[track_caller]
fn check_both(story: &[TimedFact], expected: &[(i64, &str, i64)]) {
    let facts = facts(story);
    let lives = [known("sub_1", &facts), known("sub_2", &facts)];
    let terms = of_user(&lives);
    let [one, other] = lives;
    assert_eq!(of_user(&[other, one]), terms, "told the other way round");
    let shown: Vec<_> = terms
        .iter()
        .map(|t| ((t.since - T0) / DAY, t.subscription.as_str(), brief(t).2))
        .collect();
    assert_eq!(shown, expected, "{story:#?}");
}

#[test]
fn of_two_subscriptions_the_entitled_then_the_higher_then_the_later_counts() {
    let second = |day, said| on(day, of("sub_2", said));
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
fn what_changes_in_a_subscription_that_does_not_count_changes_nothing() {
    let second = |day, said| on(day, of("sub_2", said));
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
fn after_the_end_a_resubscription_counts() {
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
fn the_first_payment_is_for_all_of_its_period() {
    let awaited = created(status("incomplete", has("basic_monthly", month(0))));
    let terms = known(
        "sub_1",
        &facts(&[(0, awaited), (40, changed(has("basic_monthly", month(0))))]),
    );
    let shown: Vec<_> = terms.iter().map(|t| (t.since - T0, t.entitled)).collect();
    assert_eq!(shown, [(0, true)]);
}
