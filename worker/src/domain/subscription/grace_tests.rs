//! Grace, story by story: what happened, and the grace that is left of it.

use crate::domain::{
    fact::{FactBody, InvoiceStep, Period, Seconds, Snapshot},
    testkit::{
        DAY, T0, Told, active, changed, created, days, deleted, fold, invoice, item, month, not_renewed, prorated,
        renewed, sub,
    },
};

/// A yearly plan's first year.
fn year() -> Period {
    days(0, 365)
}

/// Begins with an active tier in the first month.
fn starts(tier: &str) -> Told {
    (0, created(sub("active", tier)))
}

/// Changes the tier on a day, within the first month.
fn to(tier: &str, day: i64) -> Told {
    (day * DAY, changed(sub("active", tier)))
}

fn on(day: i64, said: FactBody) -> Told {
    (day * DAY, said)
}

/// After the story, the grace is of this tier and until this day.
#[track_caller]
fn check(story: &[Told], expected: Option<(&str, i64)>) {
    let grace = fold(story).grace;
    let shown = grace
        .as_ref()
        .map(|g| (g.plan.tier.as_str(), (g.until - T0).div_euclid(DAY)));
    assert_eq!(shown, expected, "{story:#?}");
}

#[test]
fn a_downgrade_within_the_paid_period_keeps_what_was_paid_until_its_end() {
    check(&[starts("max"), to("basic", 10)], Some(("max", 30)));
    check(&[starts("plus"), to("basic", 29)], Some(("plus", 30)));
}

#[test]
fn without_a_fall_there_is_no_grace() {
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
fn a_rise_below_the_grace_tier_leaves_it_running() {
    check(&[starts("max"), to("basic", 5), to("plus", 10)], Some(("max", 30)));
}

#[test]
fn a_rise_to_the_grace_tier_or_above_ends_it() {
    check(&[starts("max"), to("basic", 5), to("max", 10)], None);
    check(&[starts("plus"), to("basic", 5), to("max", 10)], None);
    // And a fall after it is a new grace.
    check(
        &[starts("max"), to("basic", 5), to("max", 10), to("plus", 12)],
        Some(("max", 30)),
    );
}

#[test]
fn a_period_that_was_not_paid_leaves_no_grace() {
    for status in ["trialing", "past_due", "unpaid", "paused", "incomplete", "new_word"] {
        check(&[on(0, created(sub(status, "max"))), to("basic", 10)], None);
    }
    check(&[starts("max"), on(1, not_renewed(month(0))), to("basic", 10)], None);
    let asked = invoice("in_2", InvoiceStep::ActionRequired, "subscription_create", month(0));
    check(&[starts("max"), on(1, FactBody::Invoice(asked)), to("basic", 10)], None);
}

#[test]
fn an_invoice_that_failed_and_was_paid_since_does_not_stand_in_the_way() {
    let story = [
        starts("max"),
        on(1, not_renewed(month(0))),
        on(3, renewed(month(0))),
        to("basic", 10),
    ];
    check(&story, Some(("max", 30)));
}

#[test]
fn a_failure_and_a_payment_of_one_invoice_in_one_second_leave_it_paid() {
    let story = [
        starts("max"),
        on(1, not_renewed(month(0))),
        on(1, renewed(month(0))),
        to("basic", 10),
    ];
    check(&story, Some(("max", 30)));
}

#[test]
fn an_unpaid_invoice_of_another_period_does_not_stand_in_the_way() {
    let story = [starts("max"), on(1, not_renewed(days(-30, 0))), to("basic", 10)];
    check(&story, Some(("max", 30)));
}

#[test]
fn each_unpaid_invoice_stands_in_the_way_until_it_is_paid_itself() {
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
    // Also when the renewal's event was made a little early.
    check(
        &[starts("max"), (30 * DAY - 5, changed(active("basic", month(1))))],
        None,
    );
}

#[test]
fn a_lower_tier_that_starts_a_period_of_its_own_within_the_paid_one_has_grace() {
    check(
        &[starts("max"), on(10, changed(active("basic", days(10, 40))))],
        Some(("max", 30)),
    );
}

#[test]
fn a_snapshot_that_tells_no_period_is_within_the_latest_known() {
    let unsaid = Snapshot {
        period: None,
        ..sub("active", "basic")
    };
    check(&[starts("max"), on(10, changed(unsaid))], Some(("max", 30)));
}

#[test]
fn a_yearly_tier_left_for_a_monthly_one_stays_until_the_year_ends() {
    let story = [
        on(0, created(active("max", year()))),
        on(100, changed(active("basic", days(100, 130)))),
        on(130, changed(active("basic", days(130, 160)))),
        on(130, renewed(days(130, 160))),
    ];
    check(&story[..2], Some(("max", 365)));
    check(&story, Some(("max", 365)));
    // A further fall in one of the months keeps the year's grace, with its end.
    let mut fall = story.to_vec();
    fall.insert(2, on(101, changed(active("plus", days(100, 130)))));
    fall.insert(3, on(102, changed(active("basic", days(100, 130)))));
    check(&fall, Some(("max", 365)));
}

#[test]
fn a_monthly_tier_left_for_a_yearly_one_stays_until_the_month_ends() {
    let left = on(10, changed(active("basic", days(10, 375))));
    check(&[starts("max"), left.clone()], Some(("max", 30)));
    check(&[starts("max"), left, on(40, renewed(days(40, 405)))], None);
}

#[test]
fn another_price_of_the_tier_begins_no_grace_and_the_period_it_begins_is_the_one_that_counts() {
    let monthly = on(100, changed(active("max", days(100, 130))));
    let story = [on(0, created(active("max", year()))), monthly];
    check(&story, None);
    let left = on(110, changed(active("basic", days(100, 130))));
    check(&[&story[..], &[left]].concat(), Some(("max", 130)));
}

#[test]
fn a_trial_leaves_no_grace_and_the_period_that_was_paid_after_it_does() {
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
    // Left in the moment in which it ends, early or not.
    check(&[trial.clone(), on(3, changed(active("basic", days(3, 33))))], None);
    check(&[trial, on(1, changed(active("basic", days(1, 31))))], None);
}

#[test]
fn a_paid_renewal_ends_every_grace_that_ran_until_it() {
    let downgrade = [starts("max"), to("basic", 10)];
    let then = |said: FactBody| [&downgrade[..], &[on(30, said)]].concat();
    check(&then(renewed(month(1))), None);
    check(&then(renewed(days(29, 59))), Some(("max", 30)));
    check(&then(not_renewed(month(1))), Some(("max", 30)));
    let manual = invoice("in_2", InvoiceStep::Paid, "manual", month(1));
    check(&then(FactBody::Invoice(manual)), Some(("max", 30)));
}

#[test]
fn a_renewal_is_known_by_its_subscription_line_whatever_stands_before_it() {
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
fn a_grace_that_is_over_by_time_makes_room_for_a_new_one() {
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
fn the_end_of_the_entitlement_ends_the_grace() {
    for status in ["unpaid", "paused", "canceled", "incomplete_expired", "new_word"] {
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
fn past_due_keeps_a_grace_that_was_earned() {
    let story = [
        starts("max"),
        to("basic", 10),
        on(11, changed(sub("past_due", "basic"))),
    ];
    check(&story, Some(("max", 30)));
}

#[test]
fn a_change_of_anything_else_leaves_the_grace_alone() {
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
fn a_grace_says_since_when_it_runs() {
    let grace = fold(&[starts("max"), to("plus", 5), to("basic", 10)]).grace;
    let since: Option<Seconds> = grace.map(|g| g.since);
    assert_eq!(since, Some(T0 + 5 * DAY));
}
