//! Limits weighted by time, in tables.

use super::{LimitPart, counts_from, seconds_of, weighted};
use crate::domain::{
    fact::{BillingInterval, IntervalUnit, Period},
    testkit::{DAY, days, month},
};
use proptest::prelude::{Strategy, prop_assert, prop_assert_eq, proptest};

const M: i64 = 1_000_000;

fn parts(parts: &[(Option<i64>, i64)]) -> Vec<LimitPart> {
    let part = |(limit, days): &(Option<i64>, i64)| LimitPart {
        limit: *limit,
        seconds: days * DAY,
    };
    parts.iter().map(part).collect()
}

#[test]
fn a_limit_is_weighted_by_time_and_rounded_down() {
    for (of, days, expected) in [
        (&[(Some(5 * M), 30)][..], 30, Some(5 * M)),
        (&[(Some(5 * M), 27), (Some(15 * M), 3)], 30, Some(6 * M)),
        // (5M * 10 + 15M * 20) / 30 = 350M / 30
        (&[(Some(5 * M), 10), (Some(15 * M), 20)], 30, Some(11_666_666)),
        (&[(Some(1), 29), (Some(0), 1)], 30, Some(0)),
        (&[(Some(5 * M), 12)], 30, Some(2 * M)),
        (&[], 30, Some(0)),
        (&[(Some(5 * M), 29), (None, 1)], 30, None),
        (&[(None, 0), (Some(5 * M), 30)], 30, Some(5 * M)),
        (&[(Some(i64::MAX), 30)], 30, Some(i64::MAX)),
        (&[(Some(i64::MAX), 60)], 30, Some(i64::MAX)),
    ] {
        assert_eq!(weighted(&parts(of), days * DAY), expected, "{of:?}");
    }
    assert_eq!(weighted(&parts(&[(Some(5), 1)]), 0), Some(5 * DAY));
}

#[test]
fn a_change_within_the_first_hundredth_counts_from_the_beginning() {
    // A hundredth of 30 days is 7 hours and 12 minutes: 25,920 seconds.
    let start = month(0).start;
    for (after, expected) in [(-5, 0), (0, 0), (1, 0), (25_920, 0), (25_921, 25_921), (DAY, DAY)] {
        assert_eq!(counts_from(start + after, month(0)) - start, expected, "{after}");
    }
    // A hundredth of 365 days is 3.65 days.
    assert_eq!(counts_from(start + 3 * DAY, days(0, 365)), start);
    assert_eq!(counts_from(start + 4 * DAY, days(0, 365)), start + 4 * DAY);
}

/// 2024-MM-DD in seconds since 1970; 2024 is a leap year.
fn in_2024(month: usize, day: i64) -> i64 {
    let lengths = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let before: i64 = lengths[..month - 1].iter().sum();
    1_704_067_200 + (before + day - 1) * DAY
}

#[test]
fn a_first_period_shorter_by_more_than_a_tenth_is_weighted_by_its_interval() {
    let interval = |unit, count| Some(BillingInterval { unit, count });
    let monthly = interval(IntervalUnit::Month, 1);
    let period = |start, end| Period { start, end };
    for (of, interval, expected) in [
        // 20 March to 1 April is 12 of the 31 days of March.
        (period(in_2024(3, 20), in_2024(4, 1)), monthly, 31),
        // 15 to 29 February is 14 days; the month before 29 February has 31.
        (period(in_2024(2, 15), in_2024(2, 29)), monthly, 31),
        // A month before 31 March begins on 29 February.
        (period(in_2024(3, 20), in_2024(3, 31)), monthly, 31),
        // Shorter by a tenth at most: 28 of 31 days are more than 27.9.
        (period(in_2024(1, 4), in_2024(2, 1)), monthly, 28),
        (period(in_2024(1, 5), in_2024(2, 1)), monthly, 31),
        (period(in_2024(1, 1), in_2024(2, 1)), monthly, 31),
        (period(in_2024(1, 1), in_2024(4, 1)), monthly, 91),
        (
            period(in_2024(6, 1), in_2024(10, 1)),
            interval(IntervalUnit::Year, 1),
            366,
        ),
        (
            period(in_2024(6, 1), in_2024(7, 1)),
            interval(IntervalUnit::Month, 3),
            91,
        ),
        (
            period(in_2024(6, 1), in_2024(6, 5)),
            interval(IntervalUnit::Week, 2),
            14,
        ),
        (
            period(in_2024(6, 1), in_2024(6, 5)),
            interval(IntervalUnit::Day, 10),
            10,
        ),
        (
            period(in_2024(6, 1), in_2024(6, 5)),
            interval(IntervalUnit::Year, i64::MAX),
            4,
        ),
        (
            period(in_2024(6, 1), in_2024(6, 5)),
            interval(IntervalUnit::Day, i64::MAX),
            4,
        ),
        (
            period(in_2024(6, 1), in_2024(6, 5)),
            interval(IntervalUnit::Month, -1),
            4,
        ),
        (period(in_2024(6, 1), in_2024(6, 5)), None, 4),
    ] {
        assert_eq!(seconds_of(of, interval, true), expected * DAY, "{of:?} {interval:?}");
        let own = of.end - of.start;
        assert_eq!(seconds_of(of, interval, false), own, "a later period");
    }
}

proptest! {
    #[test]
    fn a_weighted_limit_lies_between_the_least_and_the_greatest(
        of in proptest::collection::vec((0..100 * M, 1..400_i64), 1..8)
            .prop_map(|parts| parts.into_iter().map(|(limit, seconds)| LimitPart { limit: Some(limit), seconds }).collect::<Vec<_>>()),
    ) {
        let seconds: i64 = of.iter().map(|p| p.seconds).sum();
        let limits = || of.iter().filter_map(|p| p.limit);
        let limit = weighted(&of, seconds).expect("limited");
        prop_assert!(limits().min() <= Some(limit) && Some(limit) <= limits().max());
        // Second by second.
        let by_second: i64 = of.iter().flat_map(|p| (0..p.seconds).map(|_| p.limit.expect("limited"))).sum();
        prop_assert_eq!(limit, by_second / seconds);
    }
}
