//! The waterfall, in tables: what a purse holds, what happens to it, and what
//! that changes.

use super::{BalanceChange, CarriedBalance, MeterLimits, Overflow, UnitLimit};
use crate::domain::testkit::random;
use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};

const M: i64 = 1_000_000;
const CAP: i64 = 10 * M;

fn purse(rollover: i64, purchased: i64) -> CarriedBalance {
    CarriedBalance { rollover, purchased }
}

/// How the used, the rollover and the purchased change.
fn changes(used: i64, rollover: i64, purchased: i64) -> BalanceChange {
    BalanceChange {
        used,
        rollover,
        purchased,
    }
}

#[track_caller]
fn spends(amount: i64, (limit, used): (UnitLimit, i64), carried: CarriedBalance, expected: BalanceChange) {
    assert_eq!(purse.spend(amount, limit, used), Ok(expected));
}

#[test]
fn one_usage_goes_through_the_limit_the_rollover_the_bought_and_into_debt() {
    let basic = (Some(5 * M), 4 * M);
    spends(M, basic, purse(2 * M, 3 * M), changes(M, 0, 0));
    spends(M + 1, basic, purse(2 * M, 3 * M), changes(M, -1, 0));
    spends(3 * M, basic, purse(2 * M, 3 * M), changes(M, -2 * M, 0));
    spends(3 * M + 1, basic, purse(2 * M, 3 * M), changes(M, -2 * M, -1));
    spends(6 * M, basic, purse(2 * M, 3 * M), changes(M, -2 * M, -3 * M));
    spends(7 * M, basic, purse(2 * M, 3 * M), changes(M, -3 * M, -3 * M));
    spends(0, basic, purse(2 * M, 3 * M), changes(0, 0, 0));
}

#[test]
fn a_debt_grows_by_what_nothing_pays_for() {
    spends(M, (Some(5 * M), 5 * M), purse(0, 0), changes(0, -M, 0));
    spends(M, (Some(5 * M), 5 * M), purse(-M, 0), changes(0, -M, 0));
    spends(3 * M, (Some(5 * M), 3 * M), purse(-M, 0), changes(2 * M, -M, 0));
}

#[test]
fn a_debt_does_not_touch_what_was_bought() {
    // The debt stays as it is, whatever else pays.
    spends(M, (Some(0), 0), purse(-4 * M, 3 * M), changes(0, 0, -M));
    spends(M, (Some(M), 0), purse(-4 * M, 3 * M), changes(M, 0, 0));
}

#[test]
fn nothing_is_left_of_a_limit_that_fell_below_what_was_used() {
    spends(M, (Some(5 * M), 9 * M), purse(2 * M, 0), changes(0, -M, 0));
    spends(M, (Some(0), 9 * M), purse(0, 2 * M), changes(0, 0, -M));
}

#[test]
fn without_a_limit_usage_is_only_counted() {
    spends(90 * M, (None, 5 * M), purse(2 * M, 3 * M), changes(90 * M, 0, 0));
    spends(M, (None, 0), purse(-2 * M, 0), changes(M, 0, 0));
}

#[track_caller]
fn rolls_over(unused: i64, rollover: i64, into: i64) {
    let change = purse(rollover, 7).roll_over(unused, CAP).expect("in range");
    assert_eq!(change, changes(0, into - rollover, 0));
}

#[test]
fn what_is_left_over_comes_in_up_to_the_cap() {
    rolls_over(5 * M, 0, 5 * M);
    rolls_over(5 * M, 5 * M, CAP);
    rolls_over(5 * M + 1, 5 * M, CAP);
    rolls_over(5 * M, 8 * M, CAP);
    rolls_over(0, 3 * M, 3 * M);
}

#[test]
fn what_is_above_the_cap_is_not_cut() {
    rolls_over(5 * M, 12 * M, 12 * M);
    rolls_over(0, 12 * M, 12 * M);
    rolls_over(5 * M, CAP, CAP);
}

#[test]
fn what_is_left_over_pays_a_debt_down_first() {
    rolls_over(2 * M, -5 * M, -3 * M);
    rolls_over(5 * M, -5 * M, 0);
    rolls_over(9 * M, -5 * M, 4 * M);
    // The cap is of what is there afterwards.
    rolls_over(20 * M, -5 * M, CAP);
}

#[test]
fn credits_pay_a_debt_down_first_and_the_rest_is_bought() {
    assert_eq!(purse(0, M).grant(5 * M), Ok(changes(0, 0, 5 * M)));
    assert_eq!(purse(2 * M, 0).grant(5 * M), Ok(changes(0, 0, 5 * M)));
    assert_eq!(purse(-2 * M, 0).grant(5 * M), Ok(changes(0, 2 * M, 3 * M)));
    assert_eq!(purse(-5 * M, 0).grant(5 * M), Ok(changes(0, 5 * M, 0)));
    assert_eq!(purse(-9 * M, 0).grant(5 * M), Ok(changes(0, 5 * M, 0)));
}

#[test]
fn bought_credits_have_no_cap() {
    assert_eq!(purse(CAP, 90 * CAP).grant(CAP), Ok(changes(0, 0, CAP)));
}

#[test]
fn what_is_taken_back_is_bought_credit_first_and_debt_for_what_is_spent() {
    assert_eq!(purse(M, 9 * M).take_back(5 * M), Ok(changes(0, 0, -5 * M)));
    assert_eq!(purse(0, 5 * M).take_back(5 * M), Ok(changes(0, 0, -5 * M)));
    assert_eq!(purse(0, 2 * M).take_back(5 * M), Ok(changes(0, -3 * M, -2 * M)));
    assert_eq!(purse(-M, 0).take_back(5 * M), Ok(changes(0, -5 * M, 0)));
}

#[test]
fn a_lifted_limit_is_over_at_its_second() {
    let limits = MeterLimits {
        own: Some(5),
        lifted: Some((Some(15), 100)),
    };
    assert_eq!((limits.at(99), limits.at(100)), (Some(15), Some(5)));
    assert_eq!(MeterLimits::NONE.at(0), Some(0));
}

#[test]
fn what_64_bits_do_not_hold_is_refused() {
    let (max, min) = (i64::MAX, i64::MIN);
    assert_eq!(purse(0, 0).spend(max, None, 1), Err(Overflow));
    assert_eq!(purse(0, 0).spend(max, Some(max), 1), Ok(changes(max - 1, -1, 0)));
    let most = 1 << 62;
    assert_eq!(purse(0, 0).spend(most, Some(0), 0), Ok(changes(0, -most, 0)));
    assert_eq!(purse(min, 0).spend(1, Some(0), 0), Err(Overflow));
    assert_eq!(purse(-most, 0).spend(most, Some(0), 0), Ok(changes(0, -most, 0)));
    assert_eq!(purse(-most, 1).spend(1, Some(0), 0), Ok(changes(0, 0, -1)));
    assert_eq!(purse(-most, 0).take_back(most), Ok(changes(0, -most, 0)));
    assert_eq!(purse(max, max).spend(max, Some(0), 0), Ok(changes(0, -max, 0)));
    // A limit far below what was used, and one far above.
    assert_eq!(purse(0, 0).spend(1, Some(min), max), Ok(changes(0, -1, 0)));
    assert_eq!(purse(0, max).grant(1), Err(Overflow));
    assert_eq!(purse(-1, max).grant(1), Ok(changes(0, 1, 0)));
    assert_eq!(purse(min, 0).grant(1), Err(Overflow));
    assert_eq!(purse(-2, 0).take_back(max), Err(Overflow));
    assert_eq!(purse(min, 0).roll_over(1, CAP), Err(Overflow));
    assert_eq!(purse(0, 0).roll_over(max, max), Ok(changes(0, max, 0)));
    assert_eq!(changes(max, 0, 0).plus(changes(1, 0, 0)), Err(Overflow));
    assert_eq!(changes(0, max, 0).plus(changes(0, 1, 0)), Err(Overflow));
    assert_eq!(changes(0, 0, max).plus(changes(0, 0, 1)), Err(Overflow));
    assert_eq!(changes(min, 0, 0).minus(changes(1, 0, 0)), Err(Overflow));
    assert_eq!(changes(0, min, 0).minus(changes(0, 1, 0)), Err(Overflow));
    assert_eq!(changes(0, 0, min).minus(changes(0, 0, 1)), Err(Overflow));
    assert_eq!(purse(max, 0).after(changes(0, 1, 0)), Err(Overflow));
    assert_eq!(purse(0, max).after(changes(0, 0, 1)), Err(Overflow));
}

#[test]
fn changes_add_up_and_come_apart() {
    let (one, other) = (changes(1, 20, 300), changes(4, -50, 600));
    assert_eq!(one.plus(other), Ok(changes(5, -30, 900)));
    assert_eq!(one.minus(other), Ok(changes(-3, 70, -300)));
    assert_eq!(purse(7, 8).after(one), Ok(purse(27, 308)));
}

/// A step of a purse's life.
#[derive(Debug, Clone, Copy)]
enum Step {
    Spend(i64),
    RollOver(i64),
    Grant(i64),
    TakeBack(i64),
}

fn step() -> impl Strategy<Value = Step> {
    (0..20 * M).prop_flat_map(|units| {
        prop_oneof![
            3 => Just(Step::Spend(units)),
            1 => Just(Step::RollOver(units)),
            1 => Just(Step::Grant(units)),
            1 => Just(Step::TakeBack(units)),
        ]
    })
}

/// A purse after steps under a limit, with what was used of it.
fn lived(limit: UnitLimit, steps: &[Step]) -> (CarriedBalance, i64) {
    steps
        .iter()
        .fold((CarriedBalance::default(), 0), |(purse, used), step| {
            let change = match *step {
                Step::Spend(units) => purse.spend(units, limit, used),
                Step::RollOver(units) => purse.roll_over(units, CAP),
                Step::Grant(units) => purse.grant(units),
                Step::TakeBack(units) => purse.take_back(units),
            };
            let change = change.expect("in range");
            (purse.after(change).expect("in range"), used + change.used)
        })
}

fn limit() -> impl Strategy<Value = UnitLimit> {
    prop_oneof![3 => (0..20 * M).prop_map(Some), 1 => Just(None)]
}

proptest! {
    #![proptest_config(random(4_000))]

    #[test]
    fn nobody_ever_has_bought_credits_and_a_debt(limit in limit(), steps in proptest::collection::vec(step(), 0..20)) {
        let (purse, used) = lived(limit, &steps);
        prop_assert!(purse.purchased >= 0 && (purse.purchased == 0 || purse.rollover >= 0), "{:?}", purse);
        prop_assert!(used >= 0 && limit.is_none_or(|limit| used <= limit));
    }

    #[test]
    fn usage_in_parts_is_paid_like_the_whole(
        limit in limit(),
        steps in proptest::collection::vec(step(), 0..9),
        parts in (0..20 * M, 0..20 * M),
    ) {
        let (purse, used) = lived(limit, &steps);
        let one = purse.spend(parts.0, limit, used).expect("in range");
        let other = purse.after(one).and_then(|p| p.spend(parts.1, limit, used + one.used)).expect("in range");
        prop_assert_eq!(one.plus(other), purse.spend(parts.0 + parts.1, limit, used));
        prop_assert_eq!(-(parts.0 + parts.1), [one, other].iter().map(|c| c.rollover + c.purchased - c.used).sum::<i64>());
    }

    #[test]
    fn no_amount_makes_it_panic(held in any::<(i64, i64)>(), units in 0..=i64::MAX, limit in any::<Option<i64>>(), used in 0..=i64::MAX) {
        let purse = purse(held.0, held.1 & i64::MAX);
        let changes = [purse.spend(units, limit, used), purse.roll_over(units, CAP), purse.grant(units), purse.take_back(units)];
        for change in changes.into_iter().flatten() {
            let after = purse.after(change);
            prop_assert!(after.is_ok_and(|p| p.purchased >= 0), "{:?} by {:?}", purse, change);
        }
    }
}
