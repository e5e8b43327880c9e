//! Hand-overs, with numbers by hand.

use super::Meter;
use super::hand::{Hand, USER, day};
use super::price_list::PriceList;
use crate::fixtures::price::{PLUS_MONTHLY, PLUS_YEARLY};
use crate::merchant::books::Plan;

const M: i64 = 1_000_000;

fn tokens(hand: &Hand, user_id: &str, on: i64) -> (Option<i64>, i64, i64, i64) {
    hand.of(user_id, on, Meter::Tokens)
}

/// Plus by the month, Bob's from day 12 on.
fn bobs_from_day_12() -> Hand {
    let mut hand = Hand::bought(PLUS_MONTHLY);
    hand.books.name(0, "bob", day(12));
    hand
}

#[test]
fn the_period_is_divided_by_time() {
    let mut hand = bobs_from_day_12();
    hand.used(5, Meter::Tokens, 9 * M);
    hand.used_by("bob", 14, Meter::Tokens, 2 * M);
    // As it was on day 6.
    assert_eq!(tokens(&hand, USER, 6), (Some(10 * M), 9 * M, 0, 0));
    assert_eq!(tokens(&hand, USER, 15), (Some(0), 9 * M, -5 * M, 0));
    assert_eq!(tokens(&hand, "bob", 15), (Some(6 * M), 2 * M, 0, 0));
    hand.renewed();
    assert_eq!(tokens(&hand, USER, 31), (Some(0), 9 * M, -5 * M, 0));
    assert_eq!(tokens(&hand, "bob", 31), (Some(10 * M), 0, 4 * M, 0));
    let row = hand.books.entitlement(USER, day(31)).expect("a row");
    assert_eq!((row.status.as_str(), row.entitled), ("none", false));
}

#[test]
fn what_rolled_over_before_stays() {
    let mut hand = Hand::bought(PLUS_MONTHLY);
    hand.used(5, Meter::Tokens, 3 * M);
    hand.renewed();
    hand.books.name(0, "bob", day(45));
    assert_eq!(tokens(&hand, USER, 50), (Some(0), 0, 7 * M, 0));
    assert_eq!(tokens(&hand, "bob", 50), (Some(5 * M), 0, 0, 0));
}

#[test]
fn a_subscription_that_comes_back_is_counted_anew() {
    let mut hand = Hand::bought(PLUS_MONTHLY);
    hand.books.name(0, "bob", day(6));
    hand.books.name(0, USER, day(18));
    hand.used(3, Meter::Tokens, 5 * M);
    hand.used(20, Meter::Tokens, M);
    hand.used_by("bob", 10, Meter::Tokens, 3 * M);
    assert_eq!(tokens(&hand, USER, 25), (Some(4 * M), M, -3 * M, 0));
    assert_eq!(tokens(&hand, "bob", 25), (Some(0), 3 * M, 0, 0));
}

#[test]
fn nothing_of_a_trial_is_left_for_who_has_the_subscription_after_it() {
    let mut hand = Hand::trying(PriceList::shipped(), Plan::of(PLUS_MONTHLY));
    hand.renew();
    hand.books.name(0, "bob", day(5));
    assert_eq!(tokens(&hand, "bob", 6), (Some(0), 0, 0, 0));
    assert_eq!(hand.of("bob", 6, Meter::Basic).0, None);
    hand.record().pay("day 3", day(7));
    // 28 of 30 days.
    assert_eq!(tokens(&hand, "bob", 8), (Some(9_333_333), 0, 0, 0));
}

#[test]
fn a_cut_leaves_what_is_left_of_the_new_users_part() {
    let mut hand = bobs_from_day_12();
    hand.used_by("bob", 14, Meter::Tokens, 2 * M);
    hand.begin_period(15, PLUS_YEARLY, false, "year");
    hand.record().pay("year", day(15));
    assert_eq!(tokens(&hand, "bob", 16), (Some(120 * M), 0, 4 * M, 0));
    assert_eq!(tokens(&hand, USER, 16), (Some(0), 0, 0, 0));
}
