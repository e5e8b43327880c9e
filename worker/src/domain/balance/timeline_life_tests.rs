//! Balances beyond one subscription that is renewed: odd invoices, ends and
//! returns, several subscriptions, late usage, and the largest amounts.

use super::*;

#[test]
fn what_is_not_a_paid_cycle_rolls_nothing_over() {
    for (step, reason) in [
        (Failed, "subscription_cycle"),
        (ActionRequired, "subscription_cycle"),
        (Paid, "subscription_update"),
        (Paid, "subscription_create"),
        (Paid, "manual"),
    ] {
        let mut other = invoice("in_1", step, reason, month(1));
        other.period = Some(month(0));
        rolled(&[starts("basic_monthly"), on(30, FactBody::Invoice(other))], &[], &[]);
    }
    let mut empty = invoice("in_1", Paid, "subscription_cycle", month(1));
    empty.period = Some(days(30, 30));
    rolled(&[starts("basic_monthly"), on(30, FactBody::Invoice(empty))], &[], &[]);
}

#[test]
fn two_cycle_invoices_of_one_period_roll_it_over_once() {
    let mut again = invoice("in_again", Paid, "subscription_cycle", month(1));
    again.period = Some(month(0));
    let story = all(&[
        &[starts("basic_monthly")],
        &renews("basic_monthly", 1, Paid),
        &[on(40, FactBody::Invoice(again))],
    ]);
    rolled(&story, &[], &[5 * M]);
}

#[test]
fn an_invoice_whose_events_differ_in_its_period_counts_as_the_first_told() {
    let mut odd = invoice(&format!("in_{}", month(1).start), Paid, "subscription_cycle", month(1));
    odd.period = Some(days(20, 30));
    let story = all(&[
        &[starts("basic_monthly")],
        &renews("basic_monthly", 1, Paid),
        &[on(40, FactBody::Invoice(odd))],
    ]);
    rolled(&story, &[], &[5 * M]);
}

#[test]
fn who_is_not_entitled_has_no_limit_and_keeps_the_rest() {
    let ends = on(40, deleted(status("canceled", has("basic_monthly", month(1)))));
    let story = all(&[
        &[starts("basic_monthly")],
        &renews("basic_monthly", 1, Paid),
        &[bought(31, "cs", 2 * M), ends],
    ]);
    check(&story, &[(35, 2 * M)], (0, 2 * M, 5 * M, 2 * M));
    check(&story, &[(35, 2 * M), (41, 6 * M)], (0, 2 * M, 0, M));
    // Back again: a period of its own, and what was left.
    let back = all(&[
        &story,
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
fn of_two_parallel_subscriptions_the_one_that_counts_is_used() {
    let second = |day, said| on(day, of("sub_2", said));
    let story = [
        starts("basic_monthly"),
        second(10, created(has("max_monthly", days(10, 40)))),
        second(20, deleted(status("canceled", has("max_monthly", days(10, 40))))),
    ];
    check(&story[..2], &[(5, 2 * M), (15, 9 * M)], (15 * M, 9 * M, 0, 0));
    // Back in the first one's month, with what was used of it.
    check(&story, &[(5, 2 * M), (15, 9 * M), (25, 4 * M)], (5 * M, 5 * M, -M, 0));
    // It gave 5M for 20 of its 30 days.
    let story = all(&[&story, &renews("basic_monthly", 1, Paid)]);
    rolled(&story, &[(5, 2 * M), (15, 9 * M)], &[3_333_333 - 2 * M]);
}

#[test]
fn a_failed_upgrade_begins_no_new_count() {
    let mut year = has("max_yearly", days(10, 375));
    year.latest_invoice = Some("in_up".to_owned());
    let fails = FactBody::Invoice(invoice("in_up", Failed, "subscription_update", days(10, 375)));
    let story = [starts("basic_monthly"), on(10, changed(year)), (10 * DAY + 1, fails)];
    check(&story, &[(5, 5 * M), (15, M)], (5 * M, 5 * M, -M, 0));
}

#[test]
fn a_late_usage_counts_in_the_current_period_once_its_own_is_closed() {
    let story = all(&[&[starts("basic_monthly")], &renews("basic_monthly", 1, Paid)]);
    let at = |story: &[Told], time| story_of(&facts(story)).counts_at(T0 + time) - T0;
    let closed = 30 * DAY + HOUR;
    assert_eq!(at(&story, 0), closed);
    assert_eq!(at(&story, 29 * DAY), closed);
    assert_eq!(at(&story, 30 * DAY - 1), closed);
    for open in [-1, 30 * DAY, 40 * DAY, 70 * DAY] {
        assert_eq!(at(&story, open), open);
    }
    // Nobody paid for the next period yet: it is open.
    let unpaid = all(&[&[starts("basic_monthly")], &renews("basic_monthly", 1, Failed)]);
    assert_eq!(at(&unpaid, 29 * DAY), 29 * DAY);
    // Two periods later, and after a change: in the current one.
    let later = all(&[
        &story,
        &renews("basic_monthly", 2, Paid),
        &[on(70, changed(has("max_monthly", month(2))))],
    ]);
    assert_eq!(at(&later, 29 * DAY), 70 * DAY);
    assert_eq!(at(&later, 59 * DAY), 70 * DAY);
}

#[test]
fn a_late_usage_of_a_closed_period_of_which_nothing_else_is_known_counts_in_the_current_one() {
    let story = [
        on(30, created(has("basic_monthly", month(1)))),
        on(30, cycle(Paid, month(0), month(1))),
    ];
    assert_eq!(story_of(&facts(&story)).counts_at(T0 + 10 * DAY), T0 + 30 * DAY);
}

#[test]
fn a_period_that_began_by_a_change_is_paid_unless_an_invoice_of_it_failed() {
    let (year, next) = (days(40, 405), days(405, 770));
    let begins = on(40, changed(has("basic_yearly", year)));
    let ends = [
        on(405, changed(has("basic_yearly", next))),
        on(405, cycle(Paid, year, next)),
    ];
    let story = all(&[
        &[starts("basic_monthly")],
        &renews("basic_monthly", 1, Paid),
        &[begins],
        &ends,
    ]);
    rolled(&story, &[(50, 57 * M)], &[5 * M, 3 * M]);
    let fails = on(
        40,
        FactBody::Invoice(invoice("in_year", Failed, "subscription_update", year)),
    );
    rolled(&all(&[&story, &[fails]]), &[(50, 57 * M)], &[5 * M]);
}

#[test]
fn a_failure_that_is_told_after_its_payment_leaves_it_paid() {
    let mut story = all(&[&[starts("basic_monthly")], &renews("basic_monthly", 1, Paid)]);
    story.push(on(31, cycle(Failed, month(0), month(1))));
    rolled(&all(&[&story, &renews("basic_monthly", 2, Paid)]), &[], &[5 * M, 5 * M]);
}

#[test]
fn a_payment_that_a_test_clock_told_early_counts_when_its_period_begins() {
    let story = [starts("basic_monthly"), on(1, cycle(Paid, month(0), month(1)))];
    assert_eq!(meter(&story, "tokens", &[(20, 2 * M)]).entries[0].at, month(1).start);
    rolled(&story, &[(20, 2 * M)], &[3 * M]);
}

#[test]
fn what_rolls_over_is_there_for_the_usage_of_its_second() {
    let renewal = [
        on(30, changed(has("basic_monthly", month(1)))),
        on(30, cycle(Paid, month(0), month(1))),
    ];
    let story = all(&[&[starts("basic_monthly"), bought(1, "cs", 2 * M)], &renewal]);
    check(&story, &[(10, M), (30, 7 * M)], (5 * M, 5 * M, 2 * M, 2 * M));
}

#[test]
fn usage_is_not_summed_up_over_the_end_of_what_was_lent() {
    let story = story_of(&facts(&[starts("max_monthly"), to("basic_monthly", 10)]));
    assert_eq!(story.boundaries(), [T0, T0 + 10 * DAY, month(0).end]);
}

#[test]
fn a_paid_renewal_closes_no_period_of_another_subscription() {
    // The year of `sub_2` counts; months of `sub_1` are closed beside it.
    let second = |day, said| on(day, of("sub_2", said));
    let mut story = all(&[&[starts("basic_monthly")], &renews("basic_monthly", 1, Paid)]);
    story.push(second(10, created(has("max_yearly", days(10, 375)))));
    let story = story_of(&facts(&story));
    assert_eq!(story.counts_at(T0 + 20 * DAY), T0 + 20 * DAY);
    assert_eq!(story.counts_at(T0 + 5 * DAY), T0 + 30 * DAY + HOUR);
}

#[test]
fn what_is_told_before_its_subscription_waits_for_it() {
    let story = all(&[&[starts("basic_monthly")], &renews("basic_monthly", 1, Paid)]);
    let facts = facts(&story);
    let invoice: Vec<Fact> = facts
        .iter()
        .filter(|f| matches!(f.body, FactBody::Invoice(_)))
        .cloned()
        .collect();
    assert!(story_of(&invoice).is_empty());
    assert!(!story_of(&facts).is_empty());
    // Usage that nothing covered yet is a debt until it is known what does.
    let used = [UsageSum {
        at: T0 + DAY,
        amount: M,
    }];
    let none = replay(&Timeline::default(), "tokens", &used).expect("in range");
    assert_eq!((none.balance.used, none.balance.carried.rollover), (0, -M));
    let known = replay(&story_of(&facts), "tokens", &used).expect("in range");
    assert_eq!((known.balance.used, known.balance.carried.rollover), (0, 4 * M));
}

#[test]
fn what_is_another_users_changes_nothing() {
    let mut theirs = has("max_monthly", month(0));
    theirs.user = Some(UserId::new("u2"));
    let other = of("sub_2", created(theirs));
    check(&[starts("basic_monthly"), on(1, other)], &[], (5 * M, 0, 0, 0));
}

#[test]
fn the_balance_names_its_window_and_from_when_usage_is_newest() {
    let story = all(&[
        &[starts("basic_monthly")],
        &renews("basic_monthly", 1, Paid),
        &[bought(40, "cs", M)],
    ]);
    let balance = meter(&story, "tokens", &[(50, M)]).balance;
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
fn what_64_bits_do_not_hold_is_refused_and_changes_nothing() {
    let most = |session, day| bought(day, session, i64::MAX);
    let story = story_of(&facts(&[most("cs_1", 0), most("cs_2", 1)]));
    assert_eq!(replay(&story, "tokens", &[]), Err(Overflow));
    assert!(replay(&story, "voice_chars", &[]).is_ok());
}

#[test]
fn usage_has_an_end_in_all_whatever_pays_for_it() {
    let most = 1 << 62;
    let bought_much = [bought(0, "cs_1", i64::MAX)];
    for (story, name) in [
        (&bought_much[..], "tokens"),
        (&[starts("basic_monthly")], "basic_chars"),
        (&[], "tokens"),
    ] {
        let mut balance = meter(story, name, &[(1, most - 1)]).balance;
        assert_eq!(balance.reported, most - 1);
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
    let mut most = has("basic_monthly", month(0));
    let plan = most.plan.insert(shipped("basic_monthly"));
    plan.limits.insert("tokens".to_owned(), Some(i64::MAX));
    plan.caps.insert("tokens".to_owned(), i64::MAX);
    let ended = Period {
        start: T0,
        end: T0 + 36_500 * DAY,
    };
    most.period = Some(ended);
    let next = Period {
        start: ended.end,
        end: ended.end + DAY,
    };
    let story = [on(0, created(most)), on(36_500, cycle(Paid, ended, next))];
    rolled(&story, &[(1, 5)], &[i64::MAX - 5]);
}
