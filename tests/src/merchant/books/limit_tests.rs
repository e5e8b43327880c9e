//! Limits of a period, by the billing rules' section on meters.

use super::hand::{Hand, START, day, days};
use super::{Meter, Plan, PriceList};
use crate::fixtures::DAY;
use crate::fixtures::price::{
    BASIC_MONTHLY, BASIC_WEEKLY, BASIC_YEARLY, MAX_MONTHLY, MAX_YEARLY, PLUS_MONTHLY, PLUS_QUARTERLY, PLUS_YEARLY,
    TEAM_MONTHLY, TEAM_YEARLY,
};
use crate::merchant::PaidTier;

/// The limits of the first day: tokens and voice.
fn first_day(list: PriceList, plan: Plan) -> (Option<i64>, Option<i64>) {
    let hand = Hand::subscribed(list, plan);
    (hand.on(1, Meter::Tokens).0, hand.on(1, Meter::Voice).0)
}

#[test]
fn a_price_sells_a_months_limits_times_its_interval() {
    let seats = |quantity| Plan {
        price: TEAM_MONTHLY,
        quantity,
    };
    let cases = [
        (Plan::of(BASIC_MONTHLY), (5_000_000, 0)),
        (Plan::of(PLUS_YEARLY), (120_000_000, 12_000_000)),
        (Plan::of(BASIC_WEEKLY), (1_250_000, 0)),
        (Plan::of(PLUS_QUARTERLY), (30_000_000, 3_000_000)),
        (seats(1), (3_000_000, 300_000)),
        (seats(4), (12_000_000, 1_200_000)),
    ];
    for (plan, (tokens, voice)) in cases {
        let limits = first_day(PriceList::extended(), plan);
        assert_eq!(limits, (Some(tokens), Some(voice)), "{}", plan.price.lookup_key);
    }
    // The price says its own tokens, for each seat and the whole year.
    let years = Plan {
        price: TEAM_YEARLY,
        quantity: 2,
    };
    assert_eq!(
        first_day(PriceList::extended(), years),
        (Some(80_000_000), Some(7_200_000))
    );
    assert_eq!(Hand::bought(BASIC_MONTHLY).on(1, Meter::Basic).0, None);
}

#[test]
fn an_upgrade_gives_the_difference_for_the_rest_of_the_period_alone() {
    // 10 days of 5 million and 20 of 15 million.
    let mut hand = Hand::bought(BASIC_MONTHLY);
    hand.change(day(10), MAX_MONTHLY);
    assert_eq!(hand.tokens(9).0, Some(5_000_000));
    assert_eq!(hand.tokens(10).0, Some(11_666_666));
    assert_eq!(hand.on(10, Meter::Voice).0, Some(2_000_000));
    // An hour of 720 before the end: 5 million and a 720th of 10 million.
    let mut late = Hand::bought(BASIC_MONTHLY);
    late.change(day(30) - 3_600, MAX_MONTHLY);
    let row = late
        .books
        .balances(super::hand::USER, day(30) - 60)
        .expect("one reading");
    assert_eq!(row["tokens"].plan_limit, Some(5_013_888));
}

#[test]
fn a_change_within_the_first_hundredth_counts_from_the_beginning() {
    // A hundredth of 30 days is 7 hours and 12 minutes.
    let hundredth = 30 * DAY / 100;
    for (after, limit) in [(hundredth, 15_000_000), (hundredth + 1, 14_899_996)] {
        let mut hand = Hand::bought(BASIC_MONTHLY);
        hand.change(START + after, MAX_MONTHLY);
        assert_eq!(hand.tokens(1).0, Some(limit), "after {after} s");
    }
}

#[test]
fn a_meter_that_gives_the_whole_new_limit_rolls_over_the_weighted_one() {
    let mut hand = Hand::subscribed(PriceList::shipped().whole(), Plan::of(BASIC_MONTHLY));
    hand.change(day(10), MAX_MONTHLY);
    assert_eq!(hand.tokens(10).0, Some(15_000_000));
    // The other meter is weighted as ever.
    assert_eq!(hand.on(10, Meter::Voice).0, Some(2_000_000));
    hand.used(12, Meter::Tokens, 9_000_000);
    hand.renewed();
    assert_eq!(hand.tokens(31), (Some(15_000_000), 0, 2_666_666, 0));
}

#[test]
fn a_trial_has_a_months_limits_or_its_own_whatever_the_interval() {
    let yearly = Hand::trying(PriceList::shipped(), Plan::of(PLUS_YEARLY));
    assert_eq!(yearly.tokens(1).0, Some(10_000_000));
    assert_eq!(yearly.on(1, Meter::Voice).0, Some(1_000_000));
    let own = Hand::trying(PriceList::extended(), Plan::of(BASIC_YEARLY));
    assert_eq!(own.tokens(1).0, Some(1_000_000));
    assert_eq!(own.on(1, Meter::Basic).0, None);
    let weekly = Hand::trying(PriceList::shipped(), Plan::of(BASIC_WEEKLY));
    assert_eq!(weekly.tokens(1).0, Some(5_000_000));
}

#[test]
fn an_unpaid_period_has_no_more_than_a_month() {
    let mut hand = Hand::bought(PLUS_YEARLY);
    let id = hand.renew();
    hand.record().fail(&id, day(365) + 60);
    assert_eq!(hand.tokens(370).0, Some(10_000_000));
    hand.record().pay(&id, day(371));
    assert_eq!(hand.tokens(370).0, Some(10_000_000), "it was not paid then");
    assert_eq!(hand.tokens(371).0, Some(120_000_000));
    // A week is less than a month.
    let mut weekly = Hand::subscribed(PriceList::extended(), Plan::of(BASIC_WEEKLY));
    weekly.renew();
    assert_eq!(weekly.tokens(8).0, Some(1_250_000));
}

#[test]
fn after_a_trial_that_is_not_paid_the_trials_rest_is_all() {
    let mut hand = Hand::trying(PriceList::shipped(), Plan::of(PLUS_YEARLY));
    hand.used(1, Meter::Tokens, 4_000_000);
    let id = hand.renew();
    hand.record().fail(&id, day(3) + 60);
    hand.used(5, Meter::Tokens, 2_500_000);
    assert_eq!(hand.tokens(6), (Some(10_000_000), 6_500_000, 0, 0));
    hand.record().pay(&id, day(8));
    assert_eq!(hand.tokens(9), (Some(120_000_000), 0, 0, 0));
}

#[test]
fn a_first_period_that_is_cut_short_by_an_anchor_sells_its_part_of_the_interval() {
    let mut hand = Hand::subscribed(PriceList::shipped(), Plan::of(PLUS_MONTHLY));
    // 10 days of 30.
    hand.record().snapshots[0].period = days(0, 10);
    hand.record().invoices[0].covers = Some(days(0, 10));
    assert_eq!(hand.tokens(1).0, Some(3_333_333));
    // 27 days are a tenth less, which is a short month.
    hand.record().snapshots[0].period = days(0, 27);
    hand.record().invoices[0].covers = Some(days(0, 27));
    assert_eq!(hand.tokens(1).0, Some(10_000_000));
}

#[test]
fn grace_lifts_only_the_period_that_it_began_in() {
    let mut hand = Hand::bought(MAX_MONTHLY);
    hand.change(day(10), BASIC_MONTHLY);
    assert_eq!(hand.tokens(11).0, Some(15_000_000));
    // A yearly Max to a monthly Basic: the month has its own limit while the grace runs.
    let mut yearly = Hand::bought(MAX_YEARLY);
    yearly.begin_period(40, BASIC_MONTHLY, false, "month");
    yearly.record().pay("month", day(40));
    assert_eq!(yearly.tokens(41).0, Some(5_000_000));
    assert_eq!(yearly.plan(41).2, Some(("max".to_owned(), 365)));
}

#[test]
fn a_credited_downgrade_is_weighted_from_its_time() {
    let mut hand = Hand::bought(MAX_MONTHLY);
    hand.used(3, Meter::Tokens, 12_000_000);
    let number = hand.change(day(12), BASIC_MONTHLY);
    hand.record().snapshots[number].is_credited = true;
    // 12 days of 15 million and 18 of 5 million are 9 million; the report was decided before.
    assert_eq!(hand.tokens(13), (Some(9_000_000), 12_000_000, 0, 0));
    assert_eq!(hand.plan(13), ("basic".to_owned(), "basic".to_owned(), None));
}

#[test]
fn seats_that_come_and_go_are_weighted() {
    let plan = Plan {
        price: TEAM_MONTHLY,
        quantity: 2,
    };
    let mut hand = Hand::subscribed(PriceList::extended(), plan);
    hand.show(day(10), |next| next.plan.quantity = 5);
    // 10 days of 6 million and 20 of 15 million.
    assert_eq!(hand.tokens(11).0, Some(12_000_000));
    hand.show(day(20), |next| next.plan.quantity = 1);
    // 10 days of 6, 10 of 15 and 10 of 3 million. The tier does not fall, so there is no grace.
    assert_eq!(hand.tokens(21).0, Some(8_000_000));
}

#[test]
fn a_raised_catalog_counts_with_the_next_event_and_a_lowered_one_with_the_next_period() {
    let mut hand = Hand::bought(BASIC_MONTHLY);
    let raised = PriceList::shipped().with_tokens(PaidTier::Basic, 6_000_000);
    hand.books.lists.push(raised);
    assert_eq!(hand.tokens(5).0, Some(5_000_000), "no event was read with it");
    hand.show(day(6), |_| {});
    assert_eq!(hand.tokens(6).0, Some(6_000_000), "for the whole period");
    hand.books
        .lists
        .push(PriceList::shipped().with_tokens(PaidTier::Basic, 2_000_000));
    hand.show(day(8), |_| {});
    assert_eq!(hand.tokens(8).0, Some(6_000_000));
    hand.renewed();
    assert_eq!(hand.tokens(31).0, Some(2_000_000));
}

#[test]
fn a_raised_limit_of_a_plan_counts_wherever_that_plan_was_sold_in_the_period() {
    let mut hand = Hand::bought(BASIC_MONTHLY);
    hand.change(day(10), MAX_MONTHLY);
    hand.books
        .lists
        .push(PriceList::shipped().with_tokens(PaidTier::Basic, 8_000_000));
    let number = hand.change(day(20), BASIC_MONTHLY);
    hand.record().snapshots[number].is_credited = true;
    // 20 days of 8 million and 10 of 15 million.
    assert_eq!(hand.tokens(21).0, Some(10_333_333));
}

#[test]
fn who_has_no_access_has_limit_zero() {
    let mut hand = Hand::bought(PLUS_MONTHLY);
    hand.used(2, Meter::Tokens, 700);
    hand.show(day(5), |next| next.status = "canceled");
    assert_eq!(hand.tokens(6), (Some(0), 700, 0, 0));
    assert_eq!(hand.on(6, Meter::Basic).0, Some(0));
    hand.used(7, Meter::Tokens, 50);
    assert_eq!(hand.tokens(8), (Some(0), 700, -50, 0));
}
