//! Grace: stories, and the grace at their end.

use crate::domain::{
    fact::{FactBody, InvoiceStep, Period, Seconds, Snapshot},
    testkit::{
        DAY, T0, TimedFact, active, changed, created, days, deleted, fold, invoice, item, month, not_renewed, prorated,
        renewed, sub,
    },
};

/// The first year of a yearly plan.
fn year() -> Period {
    days(0, 365)
}

/// An active subscription of this tier begins, in month 0.
fn starts(tier: &str) -> TimedFact {
    (0, created(sub("active", tier)))
}

/// The tier changes on a day of month 0.
fn to(tier: &str, day: i64) -> TimedFact {
    (day * DAY, changed(sub("active", tier)))
}

fn on(day: i64, body: FactBody) -> TimedFact {
    (day * DAY, body)
}

/// Checks the tier and the last day of the grace at the end of the story.
#[track_caller]
fn check(story: &[TimedFact], expected: Option<(&str, i64)>) {
    let grace = fold(story).grace;
    let shown = grace
        .as_ref()
        .map(|g| (g.plan.tier.as_str(), (g.until - T0).div_euclid(DAY)));
    assert_eq!(shown, expected, "{story:#?}");
}

#[test]
fn a_downgrade_within_the_paid_period_keeps_the_paid_tier_until_its_end() {
    check(&[starts("max"), to("basic", 10)], Some(("max", 30)));
    check(&[starts("plus"), to("basic", 29)], Some(("plus", 30)));
}

#[test]
fn without_a_downgrade_there_is_no_grace() {
    check(&[starts("max")], None);
    check(&[starts("max"), to("max", 10)], None);
    check(&[starts("basic"), to("max", 10)], None);
}

#[test]
fn the_highest_tier_of_several_downgrades_stays() {
    check(&[starts("max"), to("plus", 5), to("basic", 10)], Some(("max", 30)));
    check(
        &[starts("max"), to("plus", 5), to("basic", 10), to("basic", 11)],
        Some(("max", 30)),
    );
}

#[test]
fn an_upgrade_below_the_grace_tier_leaves_the_grace_running() {
    check(&[starts("max"), to("basic", 5), to("plus", 10)], Some(("max", 30)));
}

#[test]
fn an_upgrade_to_the_grace_tier_or_above_ends_the_grace() {
    check(&[starts("max"), to("basic", 5), to("max", 10)], None);
    check(&[starts("plus"), to("basic", 5), to("max", 10)], None);
    // A downgrade after it begins a new grace.
    check(
        &[starts("max"), to("basic", 5), to("max", 10), to("plus", 12)],
        Some(("max", 30)),
    );
}

#[test]
fn a_period_that_was_not_paid_leaves_no_grace() {
    for status in ["trialing", "unpaid", "paused", "incomplete", "new_status"] {
        check(&[on(0, created(sub(status, "max"))), to("basic", 10)], None);
    }
    // `past_due` alone does not say which invoice failed.
    check(
        &[on(0, created(sub("past_due", "max"))), to("basic", 10)],
        Some(("max", 30)),
    );
    check(&[starts("max"), on(1, not_renewed(month(0))), to("basic", 10)], None);
    let asked = invoice("in_2", InvoiceStep::ActionRequired, "subscription_create", month(0));
    check(&[starts("max"), on(1, FactBody::Invoice(asked)), to("basic", 10)], None);
}

#[test]
fn a_failed_invoice_that_was_paid_since_does_not_prevent_the_grace() {
    let story = [
        starts("max"),
        on(1, not_renewed(month(0))),
        on(3, renewed(month(0))),
        to("basic", 10),
    ];
    check(&story, Some(("max", 30)));
}

#[test]
fn an_invoice_that_failed_and_was_paid_in_one_second_is_paid() {
    let story = [
        starts("max"),
        on(1, not_renewed(month(0))),
        on(1, renewed(month(0))),
        to("basic", 10),
    ];
    check(&story, Some(("max", 30)));
}

#[test]
fn an_unpaid_invoice_of_another_period_does_not_prevent_the_grace() {
    let story = [starts("max"), on(1, not_renewed(days(-30, 0))), to("basic", 10)];
    check(&story, Some(("max", 30)));
}

#[test]
fn an_unpaid_invoice_prevents_the_grace_even_if_another_invoice_is_paid() {
    let other = |step| FactBody::Invoice(invoice("in_other", step, "manual", days(2, 3)));
    let story = [
        starts("max"),
        on(1, not_renewed(month(0))),
        on(2, other(InvoiceStep::Failed)),
        on(3, other(InvoiceStep::Paid)),
        to("basic", 10),
    ];
    check(&story, None);
}

#[test]
fn an_old_invoice_that_is_paid_late_does_not_pay_a_later_period() {
    let story = [
        starts("max"),
        on(1, not_renewed(month(0))),
        on(30, changed(active("max", month(1)))),
        on(31, not_renewed(month(1))),
        on(32, renewed(month(0))),
        on(40, changed(active("basic", month(1)))),
    ];
    check(&story, None);
}

#[test]
fn a_change_that_was_credited_within_a_minute_leaves_no_grace() {
    let at = 10 * DAY;
    let credits: [fn() -> FactBody; 2] = [|| prorated(-700), || item(-700, true)];
    for credit in credits {
        for apart in [-60, -1, 0, 1, 60] {
            check(&[starts("max"), to("basic", 10), (at + apart, credit())], None);
        }
        for apart in [-3_600, -61, 61, 3_600] {
            check(
                &[starts("max"), to("basic", 10), (at + apart, credit())],
                Some(("max", 30)),
            );
        }
    }
}

#[test]
fn only_a_negative_proration_is_a_credit() {
    let downgrade = [starts("max"), to("basic", 10)];
    let mut discount = invoice("in_2", InvoiceStep::Paid, "manual", month(0));
    discount.lines[0].amount = -500;
    for no_credit in [
        item(700, true),
        item(-700, false),
        prorated(700),
        FactBody::Invoice(discount),
    ] {
        let story = [&downgrade[..], &[on(10, no_credit)]].concat();
        check(&story, Some(("max", 30)));
    }
}

#[test]
fn a_credited_second_downgrade_leaves_the_grace_of_the_first() {
    let story = [starts("max"), to("plus", 5), to("basic", 10), on(10, item(-300, true))];
    check(&story, Some(("max", 30)));
}

#[test]
fn a_lower_tier_that_begins_with_a_new_period_has_no_grace() {
    check(&[starts("max"), on(30, changed(active("basic", month(1))))], None);
    // Also if the event of the renewal comes seconds before the period ends.
    check(
        &[starts("max"), (30 * DAY - 5, changed(active("basic", month(1))))],
        None,
    );
}

#[test]
fn a_lower_tier_whose_period_begins_within_the_paid_one_has_grace() {
    check(
        &[starts("max"), on(10, changed(active("basic", days(10, 40))))],
        Some(("max", 30)),
    );
}

#[test]
fn a_snapshot_without_a_period_lies_in_the_latest_known_one() {
    let without_period = Snapshot {
        period: None,
        ..sub("active", "basic")
    };
    check(&[starts("max"), on(10, changed(without_period))], Some(("max", 30)));
}

#[test]
fn after_a_change_from_yearly_to_monthly_the_grace_lasts_until_the_year_ends() {
    let story = [
        on(0, created(active("max", year()))),
        on(100, changed(active("basic", days(100, 130)))),
        on(130, changed(active("basic", days(130, 160)))),
        on(130, renewed(days(130, 160))),
    ];
    check(&story[..2], Some(("max", 365)));
    check(&story, Some(("max", 365)));
    // Another downgrade in a month keeps the year's grace and its end.
    let mut downgrades = story.to_vec();
    downgrades.insert(2, on(101, changed(active("plus", days(100, 130)))));
    downgrades.insert(3, on(102, changed(active("basic", days(100, 130)))));
    check(&downgrades, Some(("max", 365)));
}

#[test]
fn after_a_change_from_monthly_to_yearly_the_grace_lasts_until_the_month_ends() {
    let left = on(10, changed(active("basic", days(10, 375))));
    check(&[starts("max"), left.clone()], Some(("max", 30)));
    check(&[starts("max"), left, on(40, renewed(days(40, 405)))], None);
}

#[test]
fn another_price_of_the_tier_begins_no_grace_and_its_period_replaces_the_old_one() {
    let monthly = on(100, changed(active("max", days(100, 130))));
    let story = [on(0, created(active("max", year()))), monthly];
    check(&story, None);
    let left = on(110, changed(active("basic", days(100, 130))));
    check(&[&story[..], &[left]].concat(), Some(("max", 130)));
}

#[test]
fn a_trial_leaves_no_grace_and_the_paid_period_after_it_does() {
    let trial = on(
        0,
        created(Snapshot {
            period: Some(days(0, 3)),
            ..sub("trialing", "max")
        }),
    );
    let paid = on(3, changed(active("max", days(3, 33))));
    let left = on(10, changed(active("basic", days(3, 33))));
    check(&[trial.clone(), paid, left], Some(("max", 33)));
    // A downgrade at the moment when the trial ends, or that ends the trial early.
    check(&[trial.clone(), on(3, changed(active("basic", days(3, 33))))], None);
    check(&[trial, on(1, changed(active("basic", days(1, 31))))], None);
}

#[test]
fn a_paid_renewal_ends_a_grace_that_ends_at_its_start_or_before() {
    let downgrade = [starts("max"), to("basic", 10)];
    let then = |invoice: FactBody| [&downgrade[..], &[on(30, invoice)]].concat();
    check(&then(renewed(month(1))), None);
    check(&then(renewed(days(29, 59))), Some(("max", 30)));
    check(&then(not_renewed(month(1))), Some(("max", 30)));
    let manual = invoice("in_2", InvoiceStep::Paid, "manual", month(1));
    check(&then(FactBody::Invoice(manual)), Some(("max", 30)));
}

#[test]
fn the_line_of_the_subscription_decides_the_period_of_a_renewal() {
    let mut cycle = invoice("in_2", InvoiceStep::Paid, "subscription_cycle", month(1));
    let mut extra = cycle.lines[0].clone();
    extra.period = Some(days(12, 12));
    cycle.lines.insert(0, extra);
    check(
        &[starts("max"), to("basic", 10), on(30, FactBody::Invoice(cycle))],
        None,
    );
}

#[test]
fn a_grace_whose_time_is_over_does_not_prevent_a_new_one() {
    let story = [
        starts("max"),
        to("plus", 10),
        on(31, changed(active("plus", month(1)))),
        on(40, changed(active("basic", month(1)))),
    ];
    check(&story[..2], Some(("max", 30)));
    check(&story, Some(("plus", 60)));
}

#[test]
fn the_end_of_access_ends_the_grace() {
    for status in ["unpaid", "paused", "canceled", "incomplete_expired", "new_status"] {
        check(
            &[starts("max"), to("basic", 10), on(11, changed(sub(status, "basic")))],
            None,
        );
    }
    check(
        &[
            starts("max"),
            to("basic", 10),
            on(11, deleted(sub("canceled", "basic"))),
        ],
        None,
    );
    let back = [
        starts("max"),
        to("basic", 10),
        on(11, changed(sub("unpaid", "basic"))),
        to("basic", 12),
    ];
    check(&back, None);
}

#[test]
fn past_due_keeps_a_running_grace() {
    let story = [
        starts("max"),
        to("basic", 10),
        on(11, changed(sub("past_due", "basic"))),
    ];
    check(&story, Some(("max", 30)));
}

#[test]
fn a_change_of_another_field_leaves_the_grace_as_it_is() {
    let canceling = Snapshot {
        cancel_at_period_end: true,
        ..sub("active", "basic")
    };
    check(
        &[starts("max"), to("basic", 10), on(11, changed(canceling))],
        Some(("max", 30)),
    );
}

#[test]
fn a_grace_begins_at_the_time_of_its_downgrade() {
    let grace = fold(&[starts("max"), to("plus", 5), to("basic", 10)]).grace;
    let since: Option<Seconds> = grace.map(|g| g.since);
    assert_eq!(since, Some(T0 + 5 * DAY));
}
