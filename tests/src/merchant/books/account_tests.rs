//! Users, customers and several subscriptions.

use super::hand::{Hand, START, USER, day, days};
use super::{Books, Meter, Plan, PriceList};
use crate::fixtures::price::{BASIC_MONTHLY, MAX_MONTHLY, PLUS_MONTHLY};
use crate::harness::{Balance, Entitlement};

#[test]
fn a_first_period_gives_a_whole_row() {
    let hand = Hand::bought(PLUS_MONTHLY);
    let expected = Entitlement {
        user_id: USER.to_owned(),
        entitled: true,
        status: "active".to_owned(),
        tier: "plus".to_owned(),
        effective_tier: "plus".to_owned(),
        current_period_start: Some(START),
        current_period_end: Some(day(30)),
        ever_paid: true,
        highest_tier_subscribed: Some("plus".to_owned()),
        stripe_customer_id: Some("cus_0".to_owned()),
        stripe_subscription_id: Some("sub_0".to_owned()),
        ..Entitlement::default()
    };
    assert_eq!(hand.books.entitlement(USER, day(3)), Some(expected));
    let rows = hand.books.rows(day(3));
    assert_eq!(rows.len(), 1);
    let balances = rows[0].balances.clone().expect("one reading");
    assert_eq!(balances["tokens"], Balance::new(10_000_000, 0, 0, 0, 10_000_000));
    assert_eq!(balances["basic_chars"], Balance::unlimited(0));
}

#[test]
fn who_only_bought_a_pack_has_a_row_of_the_free_tier() {
    let mut hand = Hand {
        books: Books::new(PriceList::shipped()),
    };
    hand.pack(1);
    let row = hand.books.entitlement(USER, day(2)).expect("a row");
    assert_eq!(
        (row.status.as_str(), row.tier.as_str(), row.entitled),
        ("none", "free", false)
    );
    let balances = hand.books.balances(USER, day(2)).expect("one reading");
    assert_eq!(balances.len(), 1);
    assert_eq!(balances["tokens"], Balance::new(0, 0, 0, 5_000_000, 5_000_000));
    assert_eq!(hand.books.entitlement(USER, START), None, "not yet");
}

#[test]
fn an_entitled_subscription_comes_first_then_the_higher_tier_then_the_one_that_stays() {
    let mut hand = Hand::bought(MAX_MONTHLY);
    hand.begin("active", Plan::of(PLUS_MONTHLY), days(5, 35));
    let shown = |hand: &Hand, on| {
        let row = hand.books.entitlement(USER, day(on)).expect("a row");
        row.stripe_subscription_id.expect("a subscription")
    };
    assert_eq!(shown(&hand, 6), "sub_0");
    hand.books.records[0].snapshots[0].status = "canceled";
    assert_eq!(shown(&hand, 6), "sub_1");
    hand.books.records[1].snapshots[0].status = "unpaid";
    assert_eq!(shown(&hand, 6), "sub_1", "none is entitled: the newest");
    let mut same = Hand::bought(PLUS_MONTHLY);
    same.begin("active", Plan::of(PLUS_MONTHLY), days(5, 35));
    assert_eq!(shown(&same, 6), "sub_1");
    same.show(day(7), |next| next.cancel_at_period_end = true);
    assert_eq!(shown(&same, 8), "sub_0", "the newer one is canceling");
}

#[test]
fn a_hand_over_moves_the_subscription_and_leaves_packs() {
    let mut hand = Hand::bought(BASIC_MONTHLY);
    hand.books.name(0, "bob", START);
    assert_eq!(hand.books.entitlement(USER, day(1)), None);
    assert_eq!(hand.books.entitlement("bob", day(1)).expect("a row").tier, "basic");
    hand.pack(1);
    let rows = hand.books.rows(day(2));
    let [ada, bob] = &rows[..] else { panic!("{rows:?}") };
    assert_eq!(ada.entitlement.as_ref().map(|row| row.status.as_str()), Some("none"));
    assert_eq!(
        ada.balances.as_ref().map(|rows| rows["tokens"].purchased),
        Some(5_000_000)
    );
    assert_eq!(bob.balances.as_ref().map(|rows| rows["tokens"].purchased), Some(0));
}

#[test]
fn a_subscription_that_names_nobody_is_of_its_customers_user() {
    let mut books = Books::new(PriceList::shipped());
    let mut hand = Hand::bought(BASIC_MONTHLY);
    books.records.push(hand.record().clone());
    assert_eq!(books.owner(0), None);
    assert!(books.rows(day(1)).is_empty());
    books.link_customer("cus_0", "zoe");
    books.link_customer("cus_0", "later");
    assert_eq!(books.owner(0), Some("zoe"));
}

#[test]
fn voice_is_a_meter_of_its_own() {
    let mut hand = Hand::bought(PLUS_MONTHLY);
    hand.used(1, Meter::Voice, 300_000);
    hand.renewed();
    assert_eq!(hand.on(31, Meter::Voice), (Some(1_000_000), 0, 700_000, 0));
    assert_eq!(hand.tokens(31), (Some(10_000_000), 0, 10_000_000, 0));
}
