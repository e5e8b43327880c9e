//! The sums that are kept of the ledger, beside its lines.

use super::compare::Difference;
use crate::{domain::explain::Moment, store::audit::ledger::OddSum};

/// Words for sums of the ledger that are not those of its lines. What is kept is
/// told as its columns stand in the table.
#[must_use]
pub fn odd_sums(sums: &[OddSum]) -> Vec<Difference> {
    let told = sums.iter().map(|sum| {
        let hour = Moment(sum.hour);
        let what = match (&sum.kept, &sum.said) {
            (Some(kept), Some(said)) => format!("the hour from {hour} holds {kept}, its lines say {said}"),
            (Some(_), None) => format!("there is a row of the hour from {hour}, no line is in it"),
            (None, _) => format!("there is no row of the hour from {hour}, lines are in it"),
        };
        Difference::of(
            format!("ledger_sum of {} {}, period '{}'", sum.user, sum.meter, sum.period),
            what,
        )
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_is_told_with_its_hour_and_what_its_lines_say() {
        let sum = |kept: Option<&str>, said: Option<&str>| OddSum {
            user: "u1".to_owned(),
            meter: "tokens".to_owned(),
            hour: 7_200,
            period: "sub_1 0".to_owned(),
            kept: kept.map(str::to_owned),
            said: said.map(str::to_owned),
        };
        let row = "ledger_sum of u1 tokens, period 'sub_1 0'";
        let hour = "the hour from 1970-01-01T02:00:00Z";
        let told = odd_sums(&[
            sum(Some("1 2"), Some("1 3")),
            sum(Some("1"), None),
            sum(None, Some("1")),
        ]);
        let told: Vec<String> = told.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                format!("{row}: {hour} holds 1 2, its lines say 1 3"),
                format!("{row}: there is a row of {hour}, no line is in it"),
                format!("{row}: there is no row of {hour}, lines are in it"),
            ]
        );
    }
}
