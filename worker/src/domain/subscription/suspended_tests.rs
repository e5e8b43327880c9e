//! Upgrades whose payment failed. The snapshot shows them, but they do not count.

#[path = "release_tests.rs"]
mod release;

use super::*;
use crate::domain::fact::BillingReason;

/// Basic, and an upgrade to Max on day 10 whose invoice failed.
fn failed_upgrade() -> Vec<TimedFact> {
    vec![starts("basic"), to("max", 10, "in_1"), settles("in_1", Failed, 10)]
}

#[test]
fn an_upgrade_whose_payment_failed_is_shown_but_does_not_count() {
    check(&failed_upgrade(), "max", "basic", None);
    let asked = [
        starts("basic"),
        to("max", 10, "in_1"),
        settles("in_1", ActionRequired, 10),
    ];
    check(&asked, "max", "basic", None);
    // On whatever day the payment fails.
    for day in [10, 13, 29] {
        let story = [starts("basic"), to("max", 10, "in_1"), settles("in_1", Failed, day)];
        check(&story, "max", "basic", None);
    }
}

#[test]
fn only_the_failed_invoice_of_a_change_suspends_it() {
    for reason in [
        "subscription_cycle",
        "manual",
        "subscription_create",
        "subscription_threshold",
    ] {
        let other = InvoiceFact {
            billing_reason: BillingReason(Some(reason.to_owned())),
            ..settling("in_1", Failed, days(10, 30))
        };
        let story = [starts("basic"), to("max", 10, "in_1"), on(10, FactBody::Invoice(other))];
        check(&story, "max", "max", None);
    }
}

#[test]
fn a_failed_invoice_suspends_the_upgrade_that_names_it_even_if_another_is_nearer() {
    let story = [
        starts("basic"),
        to("plus", 10, "in_1"),
        to("max", 12, "in_2"),
        settles("in_1", Failed, 12),
    ];
    // Max is not suspended by the invoice of Plus.
    check(&story, "max", "max", None);
    let story = [
        starts("basic"),
        to("plus", 10, "in_1"),
        to("max", 12, "in_2"),
        settles("in_2", Failed, 10),
    ];
    check(&story, "max", "plus", None);
}

#[test]
fn a_failed_invoice_that_no_change_names_suspends_the_nearest_upgrade() {
    let upgrades = [starts("basic"), to("plus", 10, "in_0"), to("max", 12, "in_0")];
    check(&with(&upgrades, &[settles("in_9", Failed, 12)]), "max", "plus", None);
    check(&with(&upgrades, &[settles("in_9", Failed, 10)]), "max", "max", None);
    // The failure may come a minute before the upgrade, but not longer.
    let at = |day: i64, apart| {
        let failed = settles("in_9", Failed, day).1;
        [starts("basic"), to("max", 10, "in_0"), (10 * DAY + apart, failed)]
    };
    check(&at(10, -60), "max", "basic", None);
    check(&at(10, -61), "max", "max", None);
    check(&at(10, 3 * DAY), "max", "basic", None);
}

#[test]
fn an_upgrade_with_an_invoice_of_its_own_is_not_suspended_by_another_invoice() {
    let story = [starts("basic"), to("max", 10, "in_1"), settles("in_9", Failed, 10)];
    check(&story, "max", "max", None);
}

#[test]
fn an_upgrade_whose_invoice_is_named_seconds_later_is_suspended() {
    let story = [
        starts("basic"),
        to("max", 10, "in_0"),
        (10 * DAY + 2, changed(names("in_1", "max"))),
        (10 * DAY + 3, settles("in_1", Failed, 10).1),
    ];
    check(&story, "max", "basic", None);
}

#[test]
fn an_upgrade_is_suspended_even_if_the_event_before_it_is_missing() {
    let whole = [
        starts("basic"),
        on(5, changed(names("in_5", "basic"))),
        to("max", 10, "in_5"),
        settles("in_9", Failed, 10),
    ];
    check(&whole, "max", "basic", None);
    // The invoice that it names was the latest one before it too, so it is not its own.
    for missing in [vec![1], vec![0], vec![0, 1]] {
        check_has(&without(&whole, &missing), "max", "basic", None, &whole);
    }
}

#[test]
fn a_failed_pending_change_suspends_nothing() {
    // `payment_behavior=pending_if_incomplete`: the price changes only with the payment.
    let pending = [starts("plus"), to("plus", 10, "in_1"), settles("in_1", Failed, 10)];
    check(&pending, "plus", "plus", None);
    // It does not suspend an upgrade of another time either.
    let earlier = [
        starts("basic"),
        to("plus", 5, "in_0"),
        to("plus", 10, "in_1"),
        settles("in_1", Failed, 10),
    ];
    check(&earlier, "plus", "plus", None);
    // The paid period stays paid.
    check(
        &with(&pending, &[to("basic", 12, "in_1")]),
        "basic",
        "basic",
        Some(("plus", 30)),
    );
    let year = [
        starts("plus"),
        to("plus", 10, "in_1"),
        settles_year("in_1", Failed, 10),
        to("basic", 12, "in_1"),
    ];
    check(&year, "basic", "basic", Some(("plus", 30)));
}

#[test]
fn a_paid_upgrade_of_long_ago_is_not_suspended_by_a_later_failure() {
    let upgrade = [starts("basic"), to("max", 10, "in_0")];
    let later = |day| {
        let failed = FactBody::Invoice(settling("in_9", Failed, days(day, day + 5)));
        (day * DAY, failed)
    };
    check(&with(&upgrade, &[later(25)]), "max", "basic", None);
    let paid = with(&upgrade, &[settles("in_1", Paid, 10), later(25)]);
    check(&paid, "max", "max", None);
    // A payment ten days later was for another change.
    let other = with(&upgrade, &[settles("in_1", Paid, 20), later(25)]);
    check(&other, "max", "basic", None);
    let next = on(
        30,
        changed(Snapshot {
            period: Some(month(1)),
            ..names("in_0", "max")
        }),
    );
    let renewed = with(&upgrade, &[next, on(30, renewed(month(1))), later(50)]);
    check(&renewed, "max", "max", None);
}

#[test]
fn a_downgrade_or_another_price_of_the_tier_is_never_suspended() {
    for tier in ["basic", "plus"] {
        let story = [starts("plus"), to(tier, 10, "in_1"), settles("in_1", Failed, 10)];
        assert_eq!(has(&story).base_tier, tier);
    }
}

#[test]
fn a_return_from_a_suspended_upgrade_leaves_no_grace() {
    check(
        &with(&failed_upgrade(), &[to("basic", 12, "in_1")]),
        "basic",
        "basic",
        None,
    );
    let past_due = Snapshot {
        status: "past_due".to_owned(),
        ..names("in_1", "max")
    };
    let story = with(&failed_upgrade(), &[on(11, changed(past_due)), to("basic", 12, "in_1")]);
    check(&story, "basic", "basic", None);
}

#[test]
fn a_downgrade_below_the_paid_plan_leaves_the_grace_of_the_paid_plan() {
    for (id, bill) in [
        ("in_1", settles("in_1", Failed, 10)),
        ("in_9", settles("in_9", Failed, 10)),
    ] {
        let latest = if id == "in_1" { "in_1" } else { "in_0" };
        let past_due = Snapshot {
            status: "past_due".to_owned(),
            ..names(latest, "max")
        };
        let story = [
            starts("plus"),
            to("max", 10, latest),
            bill,
            on(11, changed(past_due)),
            to("basic", 12, latest),
        ];
        check(&story[..4], "max", "plus", None);
        check(&story, "basic", "basic", Some(("plus", 30)));
    }
    // An upgrade to a yearly price begins a period of its own.
    let year = [
        starts("plus"),
        year_from(10, "max", "in_1"),
        settles_year("in_1", Failed, 10),
        on(
            12,
            changed(Snapshot {
                period: Some(days(12, 42)),
                ..names("in_1", "basic")
            }),
        ),
    ];
    check(&year[..3], "max", "plus", None);
    check(&year, "basic", "basic", Some(("plus", 30)));
    // Even if that period begins together with the paid one.
    let at_once = [
        year[0].clone(),
        year_from(0, "max", "in_1"),
        settles_year("in_1", Failed, 0),
        year[3].clone(),
    ];
    check(&at_once, "basic", "basic", Some(("plus", 30)));
}

#[test]
fn a_downgrade_to_a_tier_above_the_paid_plan_stays_suspended_unless_it_is_paid() {
    let story = with(&failed_upgrade(), &[to("plus", 12, "in_1")]);
    check(&story, "plus", "basic", None);
    check(
        &with(&story, &[settles("in_1", Paid, 14)]),
        "plus",
        "plus",
        Some(("max", 30)),
    );
    // A credit is no payment. A change with a paid invoice of its own counts.
    let mut credit = settling("in_2", Paid, days(12, 30));
    credit.total = 0;
    let credited = with(
        &failed_upgrade(),
        &[to("plus", 12, "in_2"), on(12, FactBody::Invoice(credit))],
    );
    check(&credited, "plus", "basic", None);
    let paid = with(&failed_upgrade(), &[to("plus", 12, "in_2"), settles("in_2", Paid, 12)]);
    check(&paid, "plus", "plus", None);
}

#[test]
fn the_next_upgrade_counts_unless_its_payment_fails_too() {
    let story = [
        starts("basic"),
        to("plus", 10, "in_1"),
        settles("in_1", Failed, 10),
        to("max", 12, "in_2"),
    ];
    let paid = with(&story, &[settles("in_2", Paid, 12)]);
    check(&paid, "max", "max", None);
    let failed = with(&story, &[settles("in_2", Failed, 12)]);
    check(&failed, "max", "basic", None);
    check(&with(&failed, &[settles("in_1", Paid, 14)]), "max", "plus", None);
    check(&with(&failed, &[settles("in_2", Paid, 14)]), "max", "max", None);
}

#[test]
fn a_running_grace_stays_while_an_upgrade_to_its_tier_or_above_is_suspended() {
    for tier in ["plus", "max"] {
        let story = [
            starts("plus"),
            to("basic", 5, "in_0"),
            to(tier, 10, "in_1"),
            settles("in_1", Failed, 10),
        ];
        check(&story, tier, "basic", Some(("plus", 30)));
        check(&with(&story, &[settles("in_1", Paid, 12)]), tier, tier, None);
        check(
            &with(&story, &[to("basic", 12, "in_1")]),
            "basic",
            "basic",
            Some(("plus", 30)),
        );
    }
    // The invoice of an own year does not make the paid month unpaid.
    let year = [
        starts("plus"),
        to("basic", 5, "in_0"),
        year_from(10, "max", "in_1"),
        settles_year("in_1", Failed, 10),
    ];
    check(&year, "max", "basic", Some(("plus", 30)));
}

#[test]
fn a_suspension_ends_with_the_access() {
    for last in [changed(sub("unpaid", "max")), deleted(sub("canceled", "max"))] {
        let story = with(&failed_upgrade(), &[on(12, last)]);
        check(&story, "max", "free", None);
    }
}

#[test]
fn a_suspended_upgrade_does_not_make_its_subscription_current() {
    let other = on(1, of("sub_2", created(sub("active", "plus"))));
    assert_eq!(
        has(&with(&failed_upgrade(), std::slice::from_ref(&other)))
            .subscription
            .as_deref(),
        Some("sub_2")
    );
    let paid = with(&failed_upgrade(), &[other, settles("in_1", Paid, 12)]);
    assert_eq!(has(&paid).subscription.as_deref(), Some("sub_1"));
}

#[test]
fn the_highest_tier_counts_a_suspended_upgrade() {
    assert_eq!(has(&failed_upgrade()).highest.map(|p| p.tier), Some("max".to_owned()));
    assert!(!has(&failed_upgrade()).ever_paid);
}
