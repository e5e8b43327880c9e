//! The entitlement of a user, from all their subscriptions.

#[path = "ends_tests.rs"]
mod ends;

use crate::domain::{
    fact::{Period, Seconds, Snapshot},
    ids::UserId,
    subscription::entitlement::{Entitlement, of_user},
    testkit::{
        DAY, T0, TimedFact, changed, created, deleted, entitlement, fold_all, month, of, plan, renewed, session, sub,
        user,
    },
};

fn has(story: &[TimedFact]) -> Entitlement {
    entitlement(story).expect("a snapshot is known")
}

/// Checks which subscription of the story is the current one.
#[track_caller]
fn check_current(story: &[TimedFact], expected: &str) {
    assert_eq!(has(story).subscription.as_deref(), Some(expected), "{story:#?}");
}

/// A snapshot of a subscription that began some days after the story.
fn begun(day: i64, status: &str, tier: &str) -> Snapshot {
    Snapshot {
        subscribed_at: T0 + day * DAY,
        ..sub(status, tier)
    }
}

#[test]
fn a_user_without_a_snapshot_has_no_row() {
    assert_eq!(of_user(&UserId::new("u1"), &[], "free"), None);
    assert_eq!(
        entitlement(&[(0, renewed(month(0))), (0, session(user("u1"), None))]),
        None
    );
}

#[test]
fn all_fields_of_a_subscription_are_shown() {
    let now = Snapshot {
        trial_end: Some(T0 + 3 * DAY),
        latest_invoice: Some("in_1".to_owned()),
        ..sub("trialing", "plus")
    };
    let expected = Entitlement {
        since: None,
        user: UserId::new("u1"),
        entitled: true,
        status: "trialing".to_owned(),
        tier: "plus".to_owned(),
        base_tier: "plus".to_owned(),
        grace: None,
        period: Some(month(0)),
        trial_end: Some(T0 + 3 * DAY),
        is_canceling: false,
        cancel_at: None,
        canceled_at: None,
        ever_paid: false,
        highest: Some(plan("plus")),
        customer: Some("cus_1".to_owned()),
        subscription: Some("sub_1".to_owned()),
    };
    assert_eq!(has(&[(0, created(now))]), expected);
}

#[test]
fn without_access_the_base_tier_is_free_and_the_other_fields_keep_their_values() {
    for status in [
        "incomplete",
        "incomplete_expired",
        "unpaid",
        "paused",
        "canceled",
        "new_status",
    ] {
        let unknown_price = Snapshot {
            plan: None,
            ..sub(status, "max")
        };
        for last in [sub(status, "max"), unknown_price] {
            let row = has(&[(0, created(sub("active", "max"))), (1, changed(last))]);
            assert!(!row.entitled);
            assert_eq!(
                (row.status.as_str(), row.tier.as_str(), row.base_tier.as_str()),
                (status, "max", "free")
            );
            assert_eq!((row.period, row.grace), (Some(month(0)), None));
        }
    }
}

#[test]
fn a_plan_that_was_never_known_is_shown_as_free() {
    let unknown = Snapshot {
        plan: None,
        ..sub("incomplete", "max")
    };
    assert_eq!(has(&[(0, created(unknown))]).tier, "free");
}

#[test]
fn a_downgrade_shows_the_lower_tier_and_the_grace_beside_it() {
    let row = has(&[
        (0, created(sub("active", "max"))),
        (DAY, changed(sub("active", "basic"))),
    ]);
    assert_eq!((row.tier.as_str(), row.base_tier.as_str()), ("basic", "basic"));
    assert_eq!(
        row.grace.map(|g| (g.plan.tier, g.until)),
        Some(("max".to_owned(), T0 + 30 * DAY))
    );
}

#[test]
fn a_scheduled_cancellation_is_a_flag_or_a_date() {
    type Case = (&'static str, bool, Option<Seconds>, Option<Period>, bool);
    let end = T0 + 30 * DAY;
    let cases: [Case; 11] = [
        ("active", false, None, Some(month(0)), false),
        ("active", true, None, Some(month(0)), true),
        ("active", true, None, None, true),
        ("active", false, Some(end - 1), Some(month(0)), true),
        ("active", false, Some(end), Some(month(0)), true),
        ("active", false, Some(end + 1), Some(month(0)), false),
        ("active", false, Some(end), None, false),
        ("trialing", false, Some(end), Some(month(0)), true),
        ("past_due", true, None, Some(month(0)), true),
        // Without access there is nothing to cancel.
        ("canceled", true, Some(end), Some(month(0)), false),
        ("unpaid", true, Some(end), Some(month(0)), false),
    ];
    for (status, cancel_at_period_end, cancel_at, period, expected) in cases {
        let now = Snapshot {
            period,
            cancel_at_period_end,
            cancel_at,
            ..sub(status, "plus")
        };
        let row = has(&[(0, created(now.clone()))]);
        assert_eq!(row.is_canceling, expected, "{now:?}");
        assert_eq!(row.cancel_at, cancel_at);
    }
}

#[test]
fn a_reactivation_clears_the_cancellation() {
    let canceled_at = T0 + DAY;
    let canceling = Snapshot {
        cancel_at_period_end: true,
        cancel_at: Some(T0 + 30 * DAY),
        canceled_at: Some(canceled_at),
        ..sub("active", "plus")
    };
    let story = [
        (0, created(sub("active", "plus"))),
        (DAY, changed(canceling)),
        (2 * DAY, changed(sub("active", "plus"))),
    ];
    let row = has(&story[..2]);
    assert_eq!((row.is_canceling, row.canceled_at), (true, Some(canceled_at)));
    let row = has(&story);
    assert_eq!((row.is_canceling, row.cancel_at, row.canceled_at), (false, None, None));
}

#[test]
fn canceled_at_is_stripes_field_and_not_the_events_time() {
    let over = Snapshot {
        canceled_at: Some(T0 + 7),
        ..sub("canceled", "plus")
    };
    assert_eq!(
        has(&[(0, created(sub("active", "plus"))), (99, deleted(over))]).canceled_at,
        Some(T0 + 7)
    );
}

#[test]
fn a_cancellation_date_is_compared_with_the_latest_known_period() {
    let dated = Snapshot {
        cancel_at: Some(T0 + 60 * DAY),
        ..sub("active", "plus")
    };
    let next = Snapshot {
        period: Some(month(1)),
        ..dated.clone()
    };
    let story = [(0, created(dated)), (30 * DAY, changed(next))];
    assert!(!has(&story[..1]).is_canceling);
    assert!(has(&story).is_canceling);
}

#[test]
fn an_entitled_subscription_is_current_before_any_other() {
    let over = [
        (0, created(begun(0, "active", "max"))),
        (1, deleted(begun(0, "canceled", "max"))),
    ];
    let again = [&over[..], &[(DAY, of("sub_2", created(begun(1, "active", "basic"))))]].concat();
    check_current(&again, "sub_2");
    assert_eq!(has(&again).base_tier, "basic");
    let failed = [
        (0, created(begun(0, "active", "basic"))),
        (1, of("sub_2", created(begun(1, "incomplete", "max")))),
    ];
    check_current(&failed, "sub_1");
}

#[test]
fn of_two_with_access_the_higher_tier_is_current_then_the_one_that_goes_on_then_the_newer() {
    let two = |one: Snapshot, other: Snapshot| [(0, created(one)), (1, of("sub_2", created(other)))];
    check_current(&two(begun(0, "active", "max"), begun(5, "active", "basic")), "sub_1");
    check_current(
        &two(begun(0, "past_due", "basic"), begun(5, "trialing", "plus")),
        "sub_2",
    );
    check_current(&two(begun(0, "active", "plus"), begun(5, "active", "plus")), "sub_2");
    check_current(&two(begun(5, "active", "plus"), begun(0, "active", "plus")), "sub_1");
    // Both of the same second: the id decides, because it does not depend on the order of arrival.
    check_current(&two(begun(0, "active", "plus"), begun(0, "active", "plus")), "sub_2");
}

#[test]
fn of_two_without_access_the_newer_is_current() {
    let two = |one: Snapshot, other: Snapshot| [(0, created(one)), (1, of("sub_2", created(other)))];
    check_current(&two(begun(0, "canceled", "max"), begun(5, "paused", "basic")), "sub_2");
    check_current(&two(begun(0, "canceled", "plus"), begun(5, "unpaid", "plus")), "sub_2");
}

#[test]
fn events_of_a_replaced_subscription_change_nothing() {
    let story = [
        (0, created(begun(0, "active", "plus"))),
        (DAY, of("sub_2", created(begun(1, "active", "max")))),
    ];
    let before = has(&story);
    for late in [
        changed(begun(0, "past_due", "plus")),
        changed(begun(0, "active", "basic")),
        changed(begun(0, "unpaid", "plus")),
        deleted(begun(0, "canceled", "plus")),
    ] {
        let after = has(&[&story[..], &[(2 * DAY, late)]].concat());
        assert_eq!(after, before);
    }
}

#[test]
fn only_the_grace_of_the_current_subscription_counts() {
    let row = has(&[
        (0, created(begun(0, "active", "max"))),
        (DAY, changed(begun(0, "active", "basic"))),
        (2 * DAY, of("sub_2", created(begun(2, "active", "plus")))),
    ]);
    assert_eq!((row.subscription.as_deref(), row.grace), (Some("sub_2"), None));
}

#[test]
fn ever_paid_and_the_highest_tier_count_over_all_subscriptions() {
    let row = has(&[
        (0, created(begun(0, "trialing", "max"))),
        (1, renewed(month(0))),
        (2, deleted(begun(0, "canceled", "max"))),
        (DAY, of("sub_2", created(begun(1, "active", "basic")))),
    ]);
    assert_eq!((row.subscription.as_deref(), row.ever_paid), (Some("sub_2"), true));
    assert_eq!(row.highest.map(|p| p.tier), Some("max".to_owned()));
}
