//! Balances: the waterfall, rollover, cut periods and packs.

use super::hand::{Hand, USER, day};
use super::{Meter, MoneyBack, Plan, PriceList, Reading};
use crate::fixtures::price::{BASIC_MONTHLY, MAX_MONTHLY, MAX_YEARLY, PLUS_MONTHLY, PLUS_YEARLY};

#[test]
fn usage_takes_the_limit_then_rollover_then_what_was_bought_then_makes_debt() {
    let mut hand = Hand::bought(BASIC_MONTHLY);
    hand.used(1, Meter::Tokens, 4_000_000);
    hand.renewed();
    assert_eq!(hand.tokens(31), (Some(5_000_000), 0, 1_000_000, 0));
    hand.pack(32).units = 2_000_000;
    hand.used(33, Meter::Tokens, 9_000_000);
    assert_eq!(hand.tokens(33), (Some(5_000_000), 5_000_000, -1_000_000, 0));
    hand.pack(34);
    assert_eq!(hand.tokens(34), (Some(5_000_000), 5_000_000, 0, 4_000_000));
    hand.used(35, Meter::Basic, 77);
    assert_eq!(hand.on(35, Meter::Basic), (None, 77, 0, 0));
    hand.used(35, Meter::Voice, 9);
    assert_eq!(hand.on(35, Meter::Voice), (Some(0), 0, -9, 0));
}

#[test]
fn what_a_paid_period_left_rolls_over_up_to_the_cap_and_a_debt_is_paid_first() {
    let mut hand = Hand::bought(MAX_MONTHLY);
    hand.used(1, Meter::Tokens, 17_000_000);
    assert_eq!(hand.tokens(2), (Some(15_000_000), 15_000_000, -2_000_000, 0));
    hand.renewed();
    assert_eq!(hand.tokens(31).2, -2_000_000, "nothing was left");
    hand.used(40, Meter::Tokens, 6_000_000);
    hand.renewed();
    assert_eq!(hand.tokens(61).2, 7_000_000);
    hand.renewed();
    assert_eq!(hand.tokens(91).2, 10_000_000);
    assert_eq!(hand.on(91, Meter::Voice).2, 1_000_000);
}

#[test]
fn usage_belongs_to_the_period_of_its_time_even_before_the_renewal_is_paid() {
    let mut hand = Hand::bought(BASIC_MONTHLY);
    hand.used(31, Meter::Tokens, 1_000_000);
    let id = hand.renew();
    assert_eq!(hand.tokens(32), (Some(5_000_000), 1_000_000, 0, 0));
    hand.record().pay(&id, day(33));
    assert_eq!(hand.tokens(33), (Some(5_000_000), 1_000_000, 5_000_000, 0));
}

#[test]
fn trials_and_unpaid_and_returned_periods_roll_nothing_over() {
    let mut trial = Hand::trying(PriceList::shipped(), Plan::of(PLUS_MONTHLY));
    trial.renewed();
    assert_eq!(trial.tokens(4), (Some(10_000_000), 0, 0, 0));

    let mut unpaid = Hand::bought(PLUS_MONTHLY);
    let failed = unpaid.renew();
    unpaid.record().fail(&failed, day(30));
    unpaid.renewed();
    assert_eq!(
        unpaid.tokens(61).2,
        0,
        "neither of the first, whose renewal was never paid, nor of the second"
    );

    let mut returned = Hand::bought(BASIC_MONTHLY);
    let second = returned.renewed();
    returned.record().give_back("first", true);
    assert_eq!(returned.tokens(31), (Some(5_000_000), 0, 0, 0));
    returned.record().give_back("first", false);
    returned.record().give_back(&second, true);
    assert_eq!(
        returned.tokens(31),
        (Some(5_000_000), 0, 5_000_000, 0),
        "the first was paid"
    );
    returned.renewed();
    assert_eq!(returned.tokens(61).2, 5_000_000, "the second was not");
}

#[test]
fn a_cut_period_that_was_not_credited_is_carried_beyond_the_cap() {
    let mut hand = Hand::bought(MAX_YEARLY);
    hand.used(20, Meter::Tokens, 15_000_000);
    hand.begin_period(30, MAX_MONTHLY, false, "month");
    hand.record().pay("month", day(30));
    // 180 million less what was used.
    assert_eq!(hand.tokens(31), (Some(15_000_000), 0, 165_000_000, 0));
    assert_eq!(hand.on(31, Meter::Voice), (Some(3_000_000), 0, 36_000_000, 0));
    assert_eq!(hand.on(31, Meter::Basic), (None, 0, 0, 0));
    hand.renewed();
    assert_eq!(hand.tokens(61).2, 165_000_000, "above the cap already");
}

#[test]
fn a_cut_period_that_was_credited_leaves_its_overuse_as_debt() {
    let mut hand = Hand::bought(PLUS_MONTHLY);
    hand.used(5, Meter::Tokens, 5_000_000);
    hand.begin_period(6, PLUS_YEARLY, true, "year");
    hand.record().pay("year", day(6));
    // 6 days of 30 sold 2 million.
    assert_eq!(hand.tokens(7), (Some(120_000_000), 0, -3_000_000, 0));
    hand.begin_period(10, PLUS_MONTHLY, true, "month");
    hand.record().pay("month", day(10));
    assert_eq!(
        hand.tokens(11),
        (Some(10_000_000), 0, -3_000_000, 0),
        "nothing was used of the year"
    );
    assert_eq!(hand.on(11, Meter::Voice), (Some(1_000_000), 0, 0, 0));
}

#[test]
fn a_credited_cut_within_the_first_hundredth_is_weighted_like_any() {
    let mut hand = Hand::bought(MAX_YEARLY);
    hand.used(1, Meter::Tokens, 2_000_000);
    // 3 days of 365 sold 1,479,452.
    hand.begin_period(3, MAX_YEARLY, true, "again");
    hand.record().pay("again", day(3));
    assert_eq!(hand.tokens(4), (Some(180_000_000), 0, -520_548, 0));
}

#[test]
fn a_failed_switch_that_is_taken_back_cuts_once_when_it_is_taken_back() {
    let mut hand = Hand::bought(PLUS_YEARLY);
    hand.begin_period(79, PLUS_MONTHLY, true, "month");
    hand.record().fail("month", day(79) + 1);
    hand.used(80, Meter::Tokens, 30_000_000);
    assert_eq!(hand.tokens(81), (Some(120_000_000), 30_000_000, 0, 0));
    hand.begin_period(84, PLUS_YEARLY, false, "year");
    hand.record().pay("year", day(84));
    assert_eq!(hand.tokens(85), (Some(120_000_000), 0, 90_000_000, 0));
}

#[test]
fn a_cut_that_nobody_paid_carries_nothing() {
    let mut hand = Hand::bought(PLUS_MONTHLY);
    let id = hand.renew();
    hand.record().fail(&id, day(30));
    hand.begin_period(35, MAX_YEARLY, false, "year");
    hand.record().pay("year", day(35));
    assert_eq!(hand.tokens(36), (Some(180_000_000), 0, 0, 0));
}

#[test]
fn a_pack_goes_back_in_proportion_and_what_is_spent_becomes_debt() {
    let mut hand = Hand::bought(BASIC_MONTHLY);
    hand.pack(1);
    hand.used(2, Meter::Tokens, 9_000_000);
    assert_eq!(hand.tokens(2), (Some(5_000_000), 5_000_000, 0, 1_000_000));
    let pack = hand.books.purchases.last_mut().expect("a pack");
    pack.moves = vec![
        (day(3), MoneyBack::Refunded(500)),
        (day(4), MoneyBack::RefundFailed(500)),
        (day(5), MoneyBack::WithdrawnAll),
        (day(6), MoneyBack::Refunded(500)),
        (day(7), MoneyBack::Reinstated),
    ];
    assert_eq!(hand.tokens(3), (Some(5_000_000), 5_000_000, -1_500_000, 0));
    assert_eq!(hand.tokens(4), (Some(5_000_000), 5_000_000, 0, 1_000_000));
    assert_eq!(hand.tokens(5), (Some(5_000_000), 5_000_000, -4_000_000, 0));
    assert_eq!(hand.tokens(6), hand.tokens(5), "never more than the grant");
    assert_eq!(hand.tokens(7), (Some(5_000_000), 5_000_000, -1_500_000, 0));
}

#[test]
fn a_third_of_a_pack_is_rounded_down() {
    let mut hand = Hand::bought(BASIC_MONTHLY);
    let pack = hand.pack(1);
    pack.cents = 3_000;
    pack.moves.push((day(2), MoneyBack::Refunded(1_000)));
    assert_eq!(hand.tokens(2).3, 3_333_334);
}

#[test]
fn balances_that_depend_on_the_reading_are_not_compared() {
    let mut hand = Hand::bought(PLUS_MONTHLY);
    hand.pack(1);
    hand.used(5, Meter::Tokens, 5_000_000);
    hand.begin_period(6, PLUS_YEARLY, true, "year");
    hand.record().pay("year", day(6));
    assert_eq!(hand.books.balances(USER, day(5)).map(|rows| rows.len()), Some(3));
    assert_eq!(hand.books.balances(USER, day(7)), None);
    let other = hand.books.balances_read(USER, day(7), Reading::OveruseSpends);
    assert_eq!((other["tokens"].rollover, other["tokens"].purchased), (0, 2_000_000));
}
