//! Compares the rows of `billing.ledger_sum` with the rows of the ledger.

use super::difference::Difference;
use crate::{domain::moment::Moment, store::audit::ledger::OddSum};

/// The differences of sums that are not those of their ledger rows. Both sides are
/// printed as the columns of `billing.ledger_sum`, in its order.
#[must_use]
pub fn odd_sums(sums: &[OddSum]) -> Vec<Difference> {
    let differences = sums.iter().map(|sum| {
        let hour = Moment(sum.hour);
        let what = match (&sum.stored, &sum.expected) {
            (Some(stored), Some(expected)) => {
                format!("the hour from {hour} is {stored}, its ledger rows say {expected}")
            }
            (Some(_), None) => format!("there is a row for the hour from {hour}, but it has no ledger rows"),
            (None, _) => format!("there is no row for the hour from {hour}, but it has ledger rows"),
        };
        Difference::of(
            format!("ledger_sum of {} {}, period '{}'", sum.user, sum.meter, sum.period),
            what,
        )
    });
    differences.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_sum_is_printed_with_its_hour_and_what_the_ledger_says() {
        let sum = |stored: Option<&str>, expected: Option<&str>| OddSum {
            user: "u1".to_owned(),
            meter: "tokens".to_owned(),
            hour: 7_200,
            period: "sub_1 0".to_owned(),
            stored: stored.map(str::to_owned),
            expected: expected.map(str::to_owned),
        };
        let row = "ledger_sum of u1 tokens, period 'sub_1 0'";
        let hour = "the hour from 1970-01-01T02:00:00Z";
        let found = odd_sums(&[
            sum(Some("1 2"), Some("1 3")),
            sum(Some("1"), None),
            sum(None, Some("1")),
        ]);
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                format!("{row}: {hour} is 1 2, its ledger rows say 1 3"),
                format!("{row}: there is a row for {hour}, but it has no ledger rows"),
                format!("{row}: there is no row for {hour}, but it has ledger rows"),
            ]
        );
    }
}
