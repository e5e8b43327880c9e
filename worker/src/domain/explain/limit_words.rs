//! How the limit of a period comes about, in words.
//!
//! Example: a month of 30 days has 5M for 27 days and 15M for 3 days: "27 days at 5,000,000, 3
//! days at 15,000,000: 6,000,000".

use super::{sold::SoldHistory, words::units};
use crate::domain::{
    balance::{
        period_limit::{LimitPart, PeriodLimit},
        terms::Term,
        waterfall::UnitLimit,
    },
    fact::Seconds,
};

/// What a term includes of a meter.
pub(super) fn included(term: &Term, meter: &str) -> String {
    match term.limits.get(meter) {
        Some(PeriodLimit { limit: None, .. }) => "usage is unlimited".to_owned(),
        Some(limit) if limit.limit != Some(0) => format!("{} are included", sum(limit)),
        _ => "nothing is included".to_owned(),
    }
}

/// How the limit of a term comes about; none if it is just the number of its plan.
pub(super) fn reason(term: &Term, meter: &str, sold: &SoldHistory) -> Option<String> {
    let limit = term.limits.get(meter)?;
    let (sum, why) = (sum(limit), sold.why(term, meter, true));
    if sum == amount(limit.limit) && why.is_empty() {
        return None;
    }
    Some([vec![sum], why].concat().join("; "))
}

/// The limit as a sum of its parts; only the number where there is nothing to add up.
pub(super) fn sum(limit: &PeriodLimit) -> String {
    let known: Seconds = limit.parts.iter().map(|p| p.seconds).sum();
    let whole = known >= limit.seconds;
    let is_plain = match limit.parts.as_slice() {
        [] => true,
        [part] => whole && part.limit == limit.limit,
        _ => false,
    };
    if is_plain || limit.limit.is_none() || limit.limit == Some(0) {
        return amount(limit.limit);
    }
    let parts: Vec<String> = limit.parts.iter().map(part).collect();
    let of = if whole {
        String::new()
    } else {
        format!(" (of {})", length(limit.seconds))
    };
    format!("{}{of}: {}", parts.join(", "), amount(limit.limit))
}

fn part(part: &LimitPart) -> String {
    format!("{} at {}", length(part.seconds), amount(part.limit))
}

/// A limit as a number.
fn amount(limit: UnitLimit) -> String {
    limit.map_or("unlimited".to_owned(), units)
}

/// A length of time, exact to the second, such as `26 days 23 hours`.
fn length(seconds: Seconds) -> String {
    let parts = [
        (seconds / 86_400, "day"),
        (seconds / 3_600 % 24, "hour"),
        (seconds / 60 % 60, "minute"),
        (seconds % 60, "second"),
    ];
    let words: Vec<String> = parts
        .into_iter()
        .filter(|(count, _)| *count != 0)
        .map(|(count, unit)| format!("{count} {unit}{}", if count == 1 { "" } else { "s" }))
        .collect();
    if words.is_empty() {
        "0 seconds".to_owned()
    } else {
        words.join(" ")
    }
}

#[cfg(test)]
#[path = "limit_words_tests.rs"]
mod tests;
