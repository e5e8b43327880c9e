use super::*;

const DAY: Seconds = 86_400;
const HOUR: Seconds = 3_600;

fn limit(limit: UnitLimit, parts: &[(UnitLimit, Seconds)], seconds: Seconds) -> PeriodLimit {
    let parts = parts.iter().map(|(limit, seconds)| LimitPart {
        limit: *limit,
        seconds: *seconds,
    });
    PeriodLimit {
        limit,
        allowance: limit,
        parts: parts.collect(),
        seconds,
    }
}

#[test]
fn a_limit_is_told_as_the_sum_of_its_parts() {
    let month = 30 * DAY;
    let (basic, max) = (Some(5_000_000), Some(15_000_000));
    let cases = [
        (limit(basic, &[(basic, month)], month), "5,000,000"),
        (
            limit(Some(6_000_000), &[(basic, 27 * DAY), (max, 3 * DAY)], month),
            "27 days at 5,000,000, 3 days at 15,000,000: 6,000,000",
        ),
        // (719 h x 5M + 1 h x 15M) / 720 h = 5,013,888.
        (
            limit(Some(5_013_888), &[(basic, month - HOUR), (max, HOUR)], month),
            "29 days 23 hours at 5,000,000, 1 hour at 15,000,000: 5,013,888",
        ),
        // A first period of 10 days, of a month of 30: 5M / 3.
        (
            limit(Some(1_666_666), &[(basic, 10 * DAY)], month),
            "10 days at 5,000,000 (of 30 days): 1,666,666",
        ),
        // prorate = false: the limit in force counts in full.
        (
            limit(max, &[(basic, 27 * DAY), (max, 3 * DAY)], month),
            "27 days at 5,000,000, 3 days at 15,000,000: 15,000,000",
        ),
        (limit(None, &[(basic, 27 * DAY), (None, 3 * DAY)], month), "unlimited"),
        (limit(Some(0), &[(basic, 27 * DAY), (Some(0), 3 * DAY)], month), "0"),
        (limit(Some(0), &[], month), "0"),
    ];
    for (limit, words) in cases {
        assert_eq!(sum(&limit), words);
    }
}

#[test]
fn a_length_of_time_is_exact() {
    let cases = [
        (0, "0 seconds"),
        (1, "1 second"),
        (61, "1 minute 1 second"),
        (DAY, "1 day"),
        (2 * DAY + HOUR + 120, "2 days 1 hour 2 minutes"),
    ];
    for (seconds, words) in cases {
        assert_eq!(length(seconds), words);
    }
}
