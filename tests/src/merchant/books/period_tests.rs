//! Graces and unpaid changes, by the billing rules' sections on them.

use super::hand::{Hand, day};
use super::{Meter, Plan, PriceList};
use crate::fixtures::DAY;
use crate::fixtures::price::{
    BASIC_MONTHLY, BASIC_YEARLY, MAX_MONTHLY, MAX_YEARLY, PLUS_MONTHLY, PLUS_YEARLY, TEAM_MONTHLY,
};

type PlanRow = (String, String, Option<(String, i64)>);

fn is(tier: &str, effective: &str, grace: Option<(&str, i64)>) -> PlanRow {
    let grace = grace.map(|(tier, until)| (tier.to_owned(), until));
    (tier.to_owned(), effective.to_owned(), grace)
}

#[test]
fn the_highest_paid_tier_of_a_period_is_kept_until_its_end() {
    let mut hand = Hand::bought(MAX_MONTHLY);
    hand.change(day(5), PLUS_MONTHLY);
    hand.change(day(10), BASIC_MONTHLY);
    assert_eq!(hand.plan(11), is("basic", "max", Some(("max", 30))));
    hand.change(day(15), PLUS_MONTHLY);
    assert_eq!(hand.plan(16), is("plus", "max", Some(("max", 30))), "below the grace");
    hand.change(day(20), MAX_MONTHLY);
    assert_eq!(hand.plan(21), is("max", "max", None), "the grace's tier");
    let mut over = Hand::bought(MAX_MONTHLY);
    over.change(day(5), BASIC_MONTHLY);
    assert_eq!(
        over.plan(30),
        is("basic", "basic", None),
        "at its time, without any event"
    );
}

#[test]
fn a_yearly_tier_is_kept_until_the_year_ends() {
    let mut hand = Hand::bought(MAX_YEARLY);
    hand.begin_period(40, BASIC_MONTHLY, false, "month");
    hand.record().pay("month", day(40));
    hand.renewed();
    assert_eq!(hand.plan(75), is("basic", "max", Some(("max", 365))));
    let mut month = Hand::bought(MAX_MONTHLY);
    month.begin_period(10, BASIC_YEARLY, false, "year");
    month.record().pay("year", day(10));
    assert_eq!(month.plan(11), is("basic", "max", Some(("max", 30))));
    assert_eq!(month.plan(31), is("basic", "basic", None));
}

#[test]
fn what_was_not_paid_or_credited_or_returned_is_not_kept() {
    let mut trial = Hand::trying(PriceList::shipped(), Plan::of(PLUS_MONTHLY));
    trial.change(day(1), BASIC_MONTHLY);
    assert_eq!(trial.plan(2), is("basic", "basic", None));

    let mut credited = Hand::bought(MAX_MONTHLY);
    credited.show(day(5), |next| {
        next.plan = Plan::of(BASIC_MONTHLY);
        next.is_credited = true;
    });
    assert_eq!(credited.plan(6), is("basic", "basic", None));

    let mut failed = Hand::bought(MAX_MONTHLY);
    let id = failed.renew();
    failed.record().fail(&id, day(30) + 60);
    failed.change(day(32), BASIC_MONTHLY);
    assert_eq!(failed.plan(33), is("basic", "basic", None));
    failed.record().pay(&id, day(34));
    assert_eq!(failed.plan(35), is("basic", "max", Some(("max", 60))), "paid since");
    assert_eq!(failed.plan(33), is("basic", "basic", None), "as it was then");

    let mut returned = Hand::bought(MAX_MONTHLY);
    returned.change(day(5), BASIC_MONTHLY);
    returned.record().give_back("first", true);
    assert_eq!(returned.plan(6), is("basic", "basic", None));
    assert_eq!(
        returned.tokens(6).0,
        Some(6_666_666),
        "5 days of 15 and 25 of 5 million"
    );
    returned.record().give_back("first", false);
    assert_eq!(returned.plan(6), is("basic", "max", Some(("max", 30))));
}

#[test]
fn a_lower_tier_that_begins_with_a_new_period_keeps_nothing() {
    let mut hand = Hand::bought(MAX_MONTHLY);
    let id = hand.renew();
    let last = hand.record().snapshots.len() - 1;
    hand.record().snapshots[last].plan = Plan::of(BASIC_MONTHLY);
    hand.record().pay(&id, day(30));
    assert_eq!(hand.plan(31), is("basic", "basic", None));
}

#[test]
fn an_end_of_access_ends_the_grace() {
    let mut hand = Hand::bought(MAX_MONTHLY);
    hand.change(day(5), BASIC_MONTHLY);
    hand.show(day(6), |next| next.status = "unpaid");
    assert_eq!(hand.plan(7), is("basic", "free", None));
}

#[test]
fn a_failed_upgrade_gives_nothing_until_it_is_paid() {
    let mut hand = Hand::bought(BASIC_MONTHLY);
    let number = hand.change(day(10), MAX_MONTHLY);
    hand.billed("upgrade", None, Some(number)).fail("upgrade", day(10) + 5);
    assert_eq!(hand.plan(11), is("max", "basic", None));
    assert_eq!(hand.tokens(11).0, Some(5_000_000));
    hand.show(day(12), |next| next.status = "past_due");
    assert_eq!(hand.tokens(12).0, Some(5_000_000));
    hand.record().pay("upgrade", day(15));
    assert_eq!(hand.plan(15), is("max", "max", None));
    assert_eq!(hand.tokens(14).0, Some(5_000_000));
    assert_eq!(hand.tokens(15).0, Some(11_666_666), "from the upgrade on");
}

#[test]
fn a_failed_upgrade_that_is_taken_back_leaves_what_was_there_before() {
    let mut hand = Hand::bought(PLUS_MONTHLY);
    let number = hand.change(day(10), MAX_MONTHLY);
    hand.billed("upgrade", None, Some(number)).fail("upgrade", day(10));
    hand.change(day(11), PLUS_MONTHLY);
    assert_eq!(hand.plan(12), is("plus", "plus", None));
    assert_eq!(hand.tokens(12).0, Some(10_000_000));
    hand.change(day(13), BASIC_MONTHLY);
    assert_eq!(hand.plan(14), is("basic", "plus", Some(("plus", 30))));
}

#[test]
fn a_failed_switch_of_the_interval_leaves_period_and_counter() {
    let mut hand = Hand::bought(PLUS_MONTHLY);
    hand.used(5, Meter::Tokens, 10_000_000);
    let switch = hand.begin_period(10, PLUS_YEARLY, false, "year");
    hand.record().snapshots[switch].status = "past_due";
    hand.record().fail("year", day(10) + 5);
    assert_eq!(hand.tokens(12), (Some(10_000_000), 10_000_000, 0, 0));
    let row = hand.books.entitlement(super::hand::USER, day(12)).expect("a row");
    assert_eq!(
        row.current_period_end,
        Some(day(375)),
        "the columns show Stripe's period"
    );
    hand.used(13, Meter::Tokens, 400);
    assert_eq!(hand.tokens(14), (Some(10_000_000), 10_000_000, -400, 0));
    hand.record().pay("year", day(15));
    // The month was used up, so nothing of it is carried.
    assert_eq!(hand.tokens(15), (Some(120_000_000), 0, -400, 0));
}

#[test]
fn a_renewal_that_is_paid_settles_a_failed_upgrade_from_its_own_period_on() {
    let mut hand = Hand::bought(BASIC_MONTHLY);
    let number = hand.change(day(10), MAX_MONTHLY);
    hand.billed("upgrade", None, Some(number)).fail("upgrade", day(10));
    let id = hand.renew();
    assert_eq!(hand.plan(30), is("max", "basic", None));
    assert_eq!(hand.tokens(30).0, Some(5_000_000));
    hand.record().pay(&id, day(31));
    assert_eq!(hand.plan(31), is("max", "max", None));
    assert_eq!(hand.tokens(31), (Some(15_000_000), 0, 5_000_000, 0));
}

#[test]
fn a_later_change_that_begins_a_paid_period_settles_a_failed_upgrade() {
    let mut hand = Hand::bought(PLUS_MONTHLY);
    let number = hand.change(day(10), MAX_MONTHLY);
    hand.billed("upgrade", None, Some(number)).fail("upgrade", day(10));
    hand.begin_period(15, MAX_MONTHLY, true, "reset");
    hand.record().pay("reset", day(15));
    assert_eq!(hand.plan(16), is("max", "max", None));
    assert_eq!(hand.tokens(16).0, Some(15_000_000));
}

#[test]
fn a_failed_rise_of_seats_is_held_too() {
    let plan = Plan {
        price: TEAM_MONTHLY,
        quantity: 1,
    };
    let mut hand = Hand::subscribed(PriceList::extended(), plan);
    let number = hand.show(day(10), |next| next.plan.quantity = 10);
    hand.billed("seats", None, Some(number)).fail("seats", day(10));
    assert_eq!(hand.tokens(11).0, Some(3_000_000));
    hand.record().pay("seats", day(12));
    // 10 days of 3 million and 20 of 30 million.
    assert_eq!(hand.tokens(12).0, Some(21_000_000));
}

#[test]
fn an_end_that_nobody_told_of_is_one_after_an_hour() {
    let mut hand = Hand::bought(PLUS_MONTHLY);
    hand.show(day(5), |next| next.cancel_at = Some(day(20)));
    let at = |hand: &Hand, now: i64| {
        let row = hand.books.entitlement(super::hand::USER, now).expect("a row");
        (row.entitled, row.is_canceling, row.status, row.effective_tier)
    };
    let is = |entitled: bool, effective: &str| (entitled, entitled, "active".to_owned(), effective.to_owned());
    assert_eq!(at(&hand, day(20) + 3_600), is(true, "plus"));
    assert_eq!(at(&hand, day(20) + 3_601), is(false, "free"));
    assert_eq!(hand.tokens(21).0, Some(0));
    hand.show(day(21), |next| next.cancel_at = Some(day(21) + 40 * DAY));
    assert!(
        !at(&hand, day(22)).1,
        "an end after the period is no cancellation of it"
    );
}
