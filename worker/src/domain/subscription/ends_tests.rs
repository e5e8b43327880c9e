//! Ends that pass without an event, and which subscription counts then.

use super::*;
use crate::domain::subscription::entitlement::{at, over_time};

const HOUR: Seconds = 3_600;

/// A snapshot of a tier that ends with month 0.
fn ending(tier: &str) -> Snapshot {
    Snapshot {
        cancel_at_period_end: true,
        ..sub("active", tier)
    }
}

/// The user's tier to enforce, their subscription and whether they are canceling, at some
/// seconds after the end of month 0.
fn then(story: &[TimedFact], after: Seconds) -> (String, String, bool) {
    let folded = fold_all(story);
    let row = at(
        &UserId::new("u1"),
        &folded.iter().collect::<Vec<_>>(),
        "free",
        month(0).end + after,
    );
    let row = row.expect("a snapshot is known");
    assert_eq!(row.entitled, row.base_tier != "free");
    (
        row.base_tier,
        row.subscription.expect("a subscription"),
        row.is_canceling,
    )
}

#[track_caller]
fn check(story: &[TimedFact], after: Seconds, tier: &str, subscription: &str, canceling: bool) {
    assert_eq!(
        then(story, after),
        (tier.to_owned(), subscription.to_owned(), canceling),
        "{after} s after"
    );
}

#[test]
fn an_end_that_has_passed_by_an_hour_counts_although_nobody_told() {
    let by_date = |cancel_at| Snapshot {
        cancel_at: Some(cancel_at),
        ..sub("active", "max")
    };
    let end = month(0).end;
    let both = Snapshot {
        cancel_at_period_end: true,
        ..by_date(end - 5)
    };
    for (now, end_after) in [
        (ending("max"), 0),
        (by_date(end), 0),
        (by_date(end - DAY), -DAY),
        (by_date(end + DAY), DAY),
        (both, -5),
    ] {
        let story = [(0, created(now.clone()))];
        let canceling = now.cancel_at != Some(end + DAY);
        check(&story, end_after, "max", "sub_1", canceling);
        check(&story, end_after + HOUR - 1, "max", "sub_1", canceling);
        check(&story, end_after + HOUR, "free", "sub_1", false);
        check(&story, end_after + 99 * DAY, "free", "sub_1", false);
    }
}

#[test]
fn a_subscription_that_goes_on_or_was_reactivated_has_no_untold_end() {
    check(&[(0, created(sub("active", "max")))], 99 * DAY, "max", "sub_1", false);
    let back = [(0, created(ending("max"))), (DAY, changed(sub("active", "max")))];
    check(&back, 99 * DAY, "max", "sub_1", false);
    // A newer period moves the end.
    let next = Snapshot {
        period: Some(month(1)),
        ..ending("max")
    };
    let renewed = [(0, created(ending("max"))), (30 * DAY, changed(next))];
    check(&renewed, 30 * DAY, "max", "sub_1", true);
    check(&renewed, 30 * DAY + HOUR, "free", "sub_1", false);
}

#[test]
fn after_an_untold_end_another_subscription_counts() {
    let story = [
        (0, created(ending("max"))),
        (1, of("sub_2", created(begun(1, "active", "basic")))),
    ];
    check(&story, HOUR - 1, "max", "sub_1", true);
    check(&story, HOUR, "basic", "sub_2", false);
}

#[test]
fn of_equal_tiers_the_one_that_goes_on_counts() {
    let newer = Snapshot {
        subscribed_at: T0 + DAY,
        ..ending("plus")
    };
    check_current(
        &[
            (0, created(sub("active", "plus"))),
            (DAY, of("sub_2", created(newer.clone()))),
        ],
        "sub_1",
    );
    check_current(
        &[(0, created(ending("plus"))), (DAY, of("sub_2", created(newer)))],
        "sub_2",
    );
    // A higher tier counts although it is canceling.
    check_current(
        &[
            (0, created(sub("active", "plus"))),
            (DAY, of("sub_2", created(ending("max")))),
        ],
        "sub_2",
    );
}

#[test]
fn an_old_canceled_max_is_not_shown_before_a_newer_subscription_without_access() {
    for status in ["unpaid", "paused", "incomplete", "canceled"] {
        let story = [
            (0, created(begun(0, "active", "max"))),
            (1, deleted(begun(0, "canceled", "max"))),
            (DAY, of("sub_2", created(begun(1, status, "basic")))),
        ];
        check_current(&story, "sub_2");
    }
}

#[test]
fn a_user_has_one_row_for_each_span_between_untold_ends() {
    let story = [
        (0, created(ending("max"))),
        (1, of("sub_2", created(begun(1, "active", "basic")))),
        // Its end changes nothing that the user sees.
        (
            2,
            of(
                "sub_3",
                created(Snapshot {
                    cancel_at: Some(T0 + DAY),
                    ..begun(0, "active", "basic")
                }),
            ),
        ),
    ];
    let folded = fold_all(&story);
    let subscriptions: Vec<&_> = folded.iter().collect();
    let rows = over_time(&UserId::new("u1"), &subscriptions, "free");
    let rows: Vec<_> = rows.iter().map(|r| (r.since, r.base_tier.as_str())).collect();
    assert_eq!(rows, [(None, "max"), (Some(month(0).end + HOUR), "basic")]);
    assert!(over_time(&UserId::new("u1"), &[], "free").is_empty());
}

#[test]
fn an_untold_end_ends_the_grace() {
    let story = [
        (
            0,
            created(Snapshot {
                cancel_at: Some(T0 + 20 * DAY),
                ..sub("active", "max")
            }),
        ),
        (
            DAY,
            changed(Snapshot {
                cancel_at: Some(T0 + 20 * DAY),
                ..sub("active", "basic")
            }),
        ),
    ];
    let folded = fold_all(&story);
    let row = |after| at(&UserId::new("u1"), &[&folded[0]], "free", T0 + 20 * DAY + after).expect("a row");
    assert!(row(0).grace.is_some());
    assert!(row(HOUR).grace.is_none());
}
