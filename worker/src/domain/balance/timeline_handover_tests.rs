//! Hand-overs: a subscription goes from `u1` to another user, and the running period is
//! divided between both by time.

use super::*;
use crate::domain::{
    fact::CustomerFact,
    testkit::{prorated, user},
};

fn theirs(name: &str, now: Snapshot) -> Snapshot {
    Snapshot {
        user: user(name),
        ..now
    }
}

/// The subscription goes to another user on this day, and nothing else changes.
fn goes_to(name: &str, day: i64, now: Snapshot) -> TimedFact {
    on(day, changed(theirs(name, now)))
}

/// The plan of this price in this month, of a user.
fn plus(name: &str, number: i64) -> Snapshot {
    theirs(name, has("plus_monthly", month(number)))
}

/// Plus by the month: `u1` has it for 12 of 30 days, then `u2`.
fn handed_over() -> Vec<TimedFact> {
    vec![starts("plus_monthly"), pays(month(0)), goes_to("u2", 12, plus("u2", 0))]
}

/// The tokens of a user at the end. No order of arrival changes them.
#[track_caller]
fn tokens_of(name: &str, events: &[TimedFact], usage: &[UsageOnDay]) -> ReplayedMeter {
    let (id, facts) = (UserId::new(name), facts(events));
    let timeline = Timeline::of(&id, &facts);
    let mut arrived: Vec<&Fact> = facts.iter().chain(&facts).collect();
    for _ in 0..arrived.len() {
        arrived.rotate_left(1);
        assert_eq!(Timeline::of(&id, arrived.iter().copied()), timeline);
        assert_eq!(Timeline::of(&id, arrived.iter().rev().copied()), timeline);
    }
    let usage = usage.iter().map(|(day, amount)| UsageSum {
        at: T0 + day * DAY,
        amount: *amount,
    });
    replay(&timeline, "tokens", &usage.collect::<Vec<_>>()).expect("in range")
}

/// Checks the tokens of a user at the end: limit, used, rollover, purchased.
#[track_caller]
fn check_of(name: &str, events: &[TimedFact], usage: &[UsageOnDay], expected: (i64, i64, i64, i64)) {
    let replayed = tokens_of(name, events, usage);
    let (balance, carried) = (&replayed.balance, replayed.balance.carried);
    let limit = balance.limits.at(balance.since).expect("a limit");
    let shown = (limit, balance.used, carried.rollover, carried.purchased);
    assert_eq!(shown, expected, "{name}: {replayed:#?}");
}

#[test]
fn the_running_period_is_divided_by_time() {
    let events = handed_over();
    // Of 30 days at 10M, u1 has 12: 4M. The rest lapses, as when a subscription ends.
    check_of("u1", &events, &[(5, 3 * M)], (0, 3 * M, 0, 0));
    check_of("u2", &events, &[(15, 2 * M)], (6 * M, 2 * M, 0, 0));
    // What u1 used beyond their part is debt, and costs u2 nothing.
    check_of("u1", &events, &[(5, 9 * M)], (0, 9 * M, -5 * M, 0));
    check_of("u2", &events, &[(15, 7 * M)], (6 * M, 6 * M, -M, 0));
    // Nothing is included for u1 after it, nor for u2 before it.
    check_of("u1", &events, &[(20, M)], (0, 0, -M, 0));
    check_of("u2", &events, &[(5, M)], (6 * M, 0, -M, 0));
}

#[test]
fn before_the_hand_over_the_whole_limit_pays_and_the_debt_has_the_event_as_its_cause() {
    let replayed = tokens_of("u1", &handed_over(), &[(5, 9 * M)]);
    let entries: Vec<_> = replayed
        .entries
        .iter()
        .map(|e| (e.kind, e.cause.as_str(), e.amount))
        .collect();
    // The event ids of a story fall with time.
    assert_eq!(entries, [(EntryKind::Overused, "evt_00001", 5 * M)]);
}

#[test]
fn earlier_periods_stay_with_the_old_user_and_later_ones_are_the_new_users() {
    let mut events = all(&[
        &[starts("plus_monthly"), pays(month(0))],
        &renews("plus_monthly", 1, Paid),
        &[goes_to("u2", 45, plus("u2", 1))],
    ]);
    let renewal = cycle(Paid, month(1), month(2));
    events.push(on(60, changed(plus("u2", 2))));
    events.push((60 * DAY + HOUR, renewal));
    // Month 0 leaves 7M to u1; of month 1 they have a half.
    check_of("u1", &events, &[(5, 3 * M), (40, 5 * M)], (0, 5 * M, 7 * M, 0));
    // Their half of month 1 leaves u2 4M.
    check_of("u2", &events, &[(50, M)], (10 * M, 0, 4 * M, 0));
    // The paid renewal closes nothing of u1's.
    assert_eq!(tokens_of("u1", &events, &[]).entries.len(), 1);
}

#[test]
fn a_hand_over_in_the_first_hundredth_counts_from_the_beginning() {
    let events = [
        starts("plus_monthly"),
        pays(month(0)),
        (5 * HOUR, changed(plus("u2", 0))),
    ];
    check_of("u2", &events, &[], (10 * M, 0, 0, 0));
    check_of("u1", &events, &[(0, M)], (0, M, -M, 0));
    // An unlimited meter only counts.
    let used = [UsageSum { at: T0, amount: M }];
    let timeline = Timeline::of(&UserId::new("u1"), &facts(&events));
    let replayed = replay(&timeline, "basic_chars", &used).expect("in range");
    assert_eq!(replayed.balance.carried.rollover, 0);
}

#[test]
fn a_subscription_that_comes_back_counts_anew() {
    let mut events = handed_over();
    events[2] = goes_to("u2", 6, plus("u2", 0));
    events.push(goes_to("u1", 18, plus("u1", 0)));
    // 6 days, then 12 of u2, then 12.
    check_of("u1", &events, &[(3, 5 * M), (20, M)], (4 * M, M, -3 * M, 0));
    check_of("u2", &events, &[(10, 4 * M)], (0, 4 * M, 0, 0));
    // The renewal closes the second part alone.
    let next = all(&[&events, &renews("plus_monthly", 1, Paid)]);
    check_of("u1", &next, &[(3, 2 * M), (20, M)], (10 * M, 0, 3 * M, 0));
}

#[test]
fn two_hand_overs_in_one_period_make_three_parts() {
    let mut events = handed_over();
    events.push(goes_to("u3", 21, plus("u3", 0)));
    check_of("u1", &events, &[(1, 4 * M)], (0, 4 * M, 0, 0));
    check_of("u2", &events, &[(13, 4 * M)], (0, 4 * M, -M, 0));
    check_of("u3", &events, &[(22, M)], (3 * M, M, 0, 0));
    // In one second `previous_attributes` tell the order, and u2 had it for no time.
    let events = [
        starts("plus_monthly"),
        pays(month(0)),
        goes_to("u2", 12, plus("u2", 0)),
        goes_to("u3", 12, plus("u3", 0)),
    ];
    assert!(Timeline::of(&UserId::new("u2"), &facts(&events)).is_empty());
    check_of("u3", &events, &[], (6 * M, 0, 0, 0));
}

#[test]
fn a_trial_is_divided_too_and_leaves_nothing_to_who_comes_after_it() {
    let trial = |name: &str| theirs(name, status("trialing", has("plus_monthly", days(0, 3))));
    let begins = |name: &str| theirs(name, has("plus_monthly", days(3, 33)));
    let tried = on(0, created(trial("u1")));
    let within = [tried.clone(), on(1, changed(trial("u2")))];
    check_of("u1", &within, &[(0, 4 * M)], (0, 4 * M, 3_333_333 - 4 * M, 0));
    check_of("u2", &within, &[(1, M)], (6_666_666, M, 0, 0));
    // The first period is not paid yet: what is left of u2's part of the trial.
    let unpaid = all(&[&within, &[on(3, changed(begins("u2")))]]);
    check_of("u2", &unpaid, &[(1, M)], (6_666_666, M, 0, 0));
    // The trial was u1's.
    let after = [tried, on(3, changed(begins("u1"))), on(5, changed(begins("u2")))];
    check_of("u2", &after, &[], (0, 0, 0, 0));
    check_of("u1", &after, &[(4, 9 * M)], (0, 9 * M, 0, 0));
    // What has no limit stays without one.
    let timeline = Timeline::of(&UserId::new("u2"), &facts(&after));
    let replayed = replay(&timeline, "basic_chars", &[]).expect("in range");
    assert_eq!(replayed.balance.limits.at(replayed.balance.since), None);
    // 28 of 30 days, from the payment on.
    let bill = invoice("in_first", Paid, "subscription_cycle", days(3, 33));
    let paid = all(&[&after, &[on(6, FactBody::Invoice(bill))]]);
    check_of("u2", &paid, &[], (9_333_333, 0, 0, 0));
}

#[test]
fn a_period_that_is_cut_after_a_hand_over_leaves_what_is_left_of_the_new_users_part() {
    let year = theirs("u2", has("plus_yearly", days(15, 380)));
    let switched = all(&[&handed_over(), &[on(15, changed(year)), pays(days(15, 380))]]);
    check_of("u2", &switched, &[(13, 2 * M)], (120 * M, 0, 4 * M, 0));
    check_of("u1", &switched, &[(5, 3 * M)], (0, 3 * M, 0, 0));
    // With credit, three days were sold: 1M.
    let credited = all(&[&switched, &[(15 * DAY + 1, prorated(-500))]]);
    check_of("u2", &credited, &[(13, 2 * M)], (120 * M, 0, -M, 0));
}

#[test]
fn what_gives_no_access_is_handed_over_without_a_debt() {
    let over = status("canceled", has("plus_monthly", month(0)));
    let ended = [
        starts("plus_monthly"),
        on(10, deleted(over.clone())),
        goes_to("u2", 20, over),
    ];
    check_of("u1", &ended, &[(5, 9 * M)], (0, 9 * M, 0, 0));
    check_of("u2", &ended, &[], (0, 0, 0, 0));
}

#[test]
fn a_customer_hands_all_of_its_subscriptions_over_with_one_entry_for_the_debts() {
    let customer = |day, name: &str| on(day, FactBody::Customer(CustomerFact { user: user(name) }));
    let nobodys = |key| theirs("", has(key, month(0)));
    let events = [
        customer(0, "u1"),
        on(0, created(nobodys("plus_monthly"))),
        on(6, of("sub_2", created(theirs("", has("max_monthly", days(6, 36)))))),
        customer(12, "u2"),
    ];
    // 12 days of 10M, and 6 days of 15M: 5M and 2M were used beyond that.
    let usage = [(5, 9 * M), (8, 5 * M)];
    check_of("u1", &events, &usage, (0, 5 * M, -7 * M, 0));
    assert_eq!(tokens_of("u1", &events, &usage).entries.len(), 1);
    // 24 days of 15M are left.
    check_of("u2", &events, &[], (12 * M, 0, 0, 0));
}

#[test]
fn a_better_source_names_the_user_from_the_beginning() {
    let nobodys = theirs("", has("plus_monthly", month(0)));
    let session = crate::domain::testkit::session(user("u1"), None);
    let events = [
        on(0, created(nobodys)),
        on(0, session),
        pays(month(0)),
        goes_to("u2", 12, plus("u2", 0)),
    ];
    assert!(Timeline::of(&UserId::new("u1"), &facts(&events)).is_empty());
    check_of("u2", &events, &[(5, 3 * M)], (10 * M, 3 * M, 0, 0));
}

#[test]
fn a_users_other_subscription_counts_after_the_hand_over() {
    let other = of("sub_2", created(theirs("u1", has("basic_monthly", days(5, 35)))));
    let events = all(&[&handed_over(), &[on(5, other)]]);
    check_of("u1", &events, &[(6, 2 * M), (14, M)], (5 * M, M, 0, 0));
    // Also one that gives no access and is older.
    let unpaid = status("unpaid", theirs("u1", has("basic_monthly", days(-40, -10))));
    let other = of(
        "sub_2",
        created(Snapshot {
            subscribed_at: T0 - 40 * DAY,
            ..unpaid
        }),
    );
    let events = all(&[&handed_over(), &[on(-40, other)]]);
    let window = tokens_of("u1", &events, &[]).balance.window.expect("a period");
    assert_eq!(window.subscription, SubscriptionId::new("sub_2"));
}

#[test]
fn an_event_that_shows_the_user_before_it_hands_over_although_nothing_older_is_known() {
    let events = handed_over();
    let facts: Vec<Fact> = facts(&events).into_iter().skip(1).collect();
    let of = |name: &str| Timeline::of(&UserId::new(name), &facts);
    let limits = |name: &str| -> Vec<_> {
        let terms = of(name).terms.into_iter();
        terms
            .map(|t| ((t.since - T0) / DAY, t.limits_of("tokens").own))
            .collect()
    };
    assert_eq!(limits("u1"), [(0, Some(10 * M)), (12, Some(0))]);
    assert_eq!(limits("u2"), [(12, Some(6 * M))]);
}

#[test]
fn an_end_in_the_event_of_the_hand_over_divides_what_was_there_before_it() {
    let ended = goes_to("u2", 12, status("canceled", has("plus_monthly", month(0))));
    let events = [starts("plus_monthly"), pays(month(0)), ended];
    // 12 of 30 days of 10M are u1's.
    check_of("u1", &events, &[(5, 9 * M)], (0, 9 * M, -5 * M, 0));
    check_of("u2", &events, &[], (0, 0, 0, 0));
}
