//! The waterfall in tables: the carried units, what happens, and the change.

use super::{BalanceChange, CarriedBalance, Overflow, UnitLimit};
use crate::domain::testkit::random;
use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};

const M: i64 = 1_000_000;
const CAP: i64 = 10 * M;

fn carried(rollover: i64, purchased: i64) -> CarriedBalance {
    CarriedBalance { rollover, purchased }
}

fn changes(used: i64, rollover: i64, purchased: i64) -> BalanceChange {
    BalanceChange {
        used,
        rollover,
        purchased,
    }
}

#[track_caller]
fn spends(amount: i64, (limit, used): (UnitLimit, i64), carried: CarriedBalance, expected: BalanceChange) {
    assert_eq!(carried.spend(amount, limit, used), Ok(expected));
}

#[test]
fn one_usage_takes_from_the_limit_then_rollover_then_purchased_credits_then_becomes_debt() {
    let basic = (Some(5 * M), 4 * M);
    spends(M, basic, carried(2 * M, 3 * M), changes(M, 0, 0));
    spends(M + 1, basic, carried(2 * M, 3 * M), changes(M, -1, 0));
    spends(3 * M, basic, carried(2 * M, 3 * M), changes(M, -2 * M, 0));
    spends(3 * M + 1, basic, carried(2 * M, 3 * M), changes(M, -2 * M, -1));
    spends(6 * M, basic, carried(2 * M, 3 * M), changes(M, -2 * M, -3 * M));
    spends(7 * M, basic, carried(2 * M, 3 * M), changes(M, -3 * M, -3 * M));
    spends(0, basic, carried(2 * M, 3 * M), changes(0, 0, 0));
}

#[test]
fn a_debt_grows_by_the_units_that_no_bucket_pays() {
    spends(M, (Some(5 * M), 5 * M), carried(0, 0), changes(0, -M, 0));
    spends(M, (Some(5 * M), 5 * M), carried(-M, 0), changes(0, -M, 0));
    spends(3 * M, (Some(5 * M), 3 * M), carried(-M, 0), changes(2 * M, -M, 0));
}

#[test]
fn usage_pays_no_earlier_debt() {
    spends(M, (Some(0), 0), carried(-4 * M, 3 * M), changes(0, 0, -M));
    spends(M, (Some(M), 0), carried(-4 * M, 3 * M), changes(M, 0, 0));
}

#[test]
fn a_limit_below_the_usage_pays_nothing() {
    spends(M, (Some(5 * M), 9 * M), carried(2 * M, 0), changes(0, -M, 0));
    spends(M, (Some(0), 9 * M), carried(0, 2 * M), changes(0, 0, -M));
}

#[track_caller]
fn rolls_over(unused: i64, rollover: i64, into: i64) {
    let change = carried(rollover, 7).roll_over(unused, CAP).expect("in range");
    assert_eq!(change, changes(0, into - rollover, 0));
}

#[test]
fn rollover_pays_a_debt_first() {
    rolls_over(2 * M, -5 * M, -3 * M);
    rolls_over(5 * M, -5 * M, 0);
    rolls_over(9 * M, -5 * M, 4 * M);
    // The cap limits the rollover that results.
    rolls_over(20 * M, -5 * M, CAP);
}

#[test]
fn a_period_that_was_cut_short_leaves_units_beyond_any_cap_or_debt_beside_purchased_credits() {
    let before = carried(-5 * M, 7);
    assert_eq!(before.carry_over(20 * M), Ok(changes(0, 20 * M, 0)));
    assert_eq!(before.owe(2 * M), Ok(changes(0, -2 * M, 0)));
    assert_eq!(carried(i64::MAX, 0).carry_over(1), Err(Overflow));
    assert_eq!(carried(i64::MIN, 0).owe(1), Err(Overflow));
}

#[test]
fn a_result_beyond_64_bits_is_refused() {
    let (max, min) = (i64::MAX, i64::MIN);
    assert_eq!(carried(0, 0).spend(max, None, 1), Err(Overflow));
    assert_eq!(carried(0, 0).spend(max, Some(max), 1), Ok(changes(max - 1, -1, 0)));
    let half = 1 << 62;
    assert_eq!(carried(0, 0).spend(half, Some(0), 0), Ok(changes(0, -half, 0)));
    assert_eq!(carried(min, 0).spend(1, Some(0), 0), Err(Overflow));
    assert_eq!(carried(-half, 0).spend(half, Some(0), 0), Ok(changes(0, -half, 0)));
    assert_eq!(carried(-half, 1).spend(1, Some(0), 0), Ok(changes(0, 0, -1)));
    assert_eq!(carried(-half, 0).take_back(half), Ok(changes(0, -half, 0)));
    assert_eq!(carried(max, max).spend(max, Some(0), 0), Ok(changes(0, -max, 0)));
    // A limit far below the usage, and credits far above the debt.
    assert_eq!(carried(0, 0).spend(1, Some(min), max), Ok(changes(0, -1, 0)));
    assert_eq!(carried(0, max).grant(1), Err(Overflow));
    assert_eq!(carried(-1, max).grant(1), Ok(changes(0, 1, 0)));
    assert_eq!(carried(min, 0).grant(1), Err(Overflow));
    assert_eq!(carried(-2, 0).take_back(max), Err(Overflow));
    assert_eq!(carried(min, 0).roll_over(1, CAP), Err(Overflow));
    assert_eq!(carried(0, 0).roll_over(max, max), Ok(changes(0, max, 0)));
    assert_eq!(changes(max, 0, 0).plus(changes(1, 0, 0)), Err(Overflow));
    assert_eq!(changes(0, max, 0).plus(changes(0, 1, 0)), Err(Overflow));
    assert_eq!(changes(0, 0, max).plus(changes(0, 0, 1)), Err(Overflow));
    assert_eq!(changes(min, 0, 0).minus(changes(1, 0, 0)), Err(Overflow));
    assert_eq!(changes(0, min, 0).minus(changes(0, 1, 0)), Err(Overflow));
    assert_eq!(changes(0, 0, min).minus(changes(0, 0, 1)), Err(Overflow));
    assert_eq!(carried(max, 0).after(changes(0, 1, 0)), Err(Overflow));
    assert_eq!(carried(0, max).after(changes(0, 0, 1)), Err(Overflow));
}

#[test]
fn changes_are_added_and_subtracted() {
    let (one, other) = (changes(1, 20, 300), changes(4, -50, 600));
    assert_eq!(one.plus(other), Ok(changes(5, -30, 900)));
    assert_eq!(one.minus(other), Ok(changes(-3, 70, -300)));
    assert_eq!(carried(7, 8).after(one), Ok(carried(27, 308)));
}

/// What may happen to carried units.
#[derive(Debug, Clone, Copy)]
enum WaterfallStep {
    Spend(i64),
    RollOver(i64),
    Grant(i64),
    TakeBack(i64),
}

fn any_step() -> impl Strategy<Value = WaterfallStep> {
    (0..20 * M).prop_flat_map(|units| {
        prop_oneof![
            3 => Just(WaterfallStep::Spend(units)),
            1 => Just(WaterfallStep::RollOver(units)),
            1 => Just(WaterfallStep::Grant(units)),
            1 => Just(WaterfallStep::TakeBack(units)),
        ]
    })
}

/// The carried units and the usage after some steps under a limit.
fn after_steps(limit: UnitLimit, steps: &[WaterfallStep]) -> (CarriedBalance, i64) {
    steps
        .iter()
        .fold((CarriedBalance::default(), 0), |(carried, used), step| {
            let change = match *step {
                WaterfallStep::Spend(units) => carried.spend(units, limit, used),
                WaterfallStep::RollOver(units) => carried.roll_over(units, CAP),
                WaterfallStep::Grant(units) => carried.grant(units),
                WaterfallStep::TakeBack(units) => carried.take_back(units),
            };
            let change = change.expect("in range");
            (carried.after(change).expect("in range"), used + change.used)
        })
}

fn limit() -> impl Strategy<Value = UnitLimit> {
    prop_oneof![3 => (0..20 * M).prop_map(Some), 1 => Just(None)]
}

proptest! {
    #![proptest_config(random(4_000))]

    #[test]
    fn nobody_has_purchased_credits_and_a_debt(limit in limit(), steps in proptest::collection::vec(any_step(), 0..20)) {
        let (carried, used) = after_steps(limit, &steps);
        prop_assert!(carried.purchased >= 0 && (carried.purchased == 0 || carried.rollover >= 0), "{:?}", carried);
        prop_assert!(used >= 0 && limit.is_none_or(|limit| used <= limit));
    }

    #[test]
    fn usage_in_parts_is_paid_like_the_whole(
        limit in limit(),
        steps in proptest::collection::vec(any_step(), 0..9),
        parts in (0..20 * M, 0..20 * M),
    ) {
        let (carried, used) = after_steps(limit, &steps);
        let one = carried.spend(parts.0, limit, used).expect("in range");
        let other = carried.after(one).and_then(|p| p.spend(parts.1, limit, used + one.used)).expect("in range");
        prop_assert_eq!(one.plus(other), carried.spend(parts.0 + parts.1, limit, used));
        prop_assert_eq!(-(parts.0 + parts.1), [one, other].iter().map(|c| c.rollover + c.purchased - c.used).sum::<i64>());
    }

    #[test]
    fn no_amount_makes_it_panic(units_before in any::<(i64, i64)>(), units in 0..=i64::MAX, limit in any::<Option<i64>>(), used in 0..=i64::MAX) {
        let carried = carried(units_before.0, units_before.1 & i64::MAX);
        let changes = [carried.spend(units, limit, used), carried.roll_over(units, CAP), carried.grant(units), carried.take_back(units)];
        for change in changes.into_iter().flatten() {
            let after = carried.after(change);
            prop_assert!(after.is_ok_and(|p| p.purchased >= 0), "{:?} by {:?}", carried, change);
        }
    }
}
