//! The order of facts: by time, and within one second by evidence. It is a
//! function of the set of facts, so that no order of arrival can change it.

use super::fact::{Fact, Phase, Said, Snapshot};

/// Sorts the facts of one subscription (its snapshots, invoices and sessions)
/// into the order in which they happened.
///
/// Stripe's `created` has a resolution of one second. Within a second, invoices
/// come before snapshots, `created` before any change, `deleted` after it; two
/// changes are ordered by the chain of their `before` and `now`, and where that
/// breaks, by their event ids, which at least no order of arrival changes.
#[must_use]
pub fn in_order<'a>(facts: impl IntoIterator<Item = &'a Fact>) -> Vec<&'a Fact> {
    let mut sorted: Vec<&Fact> = facts.into_iter().collect();
    sorted.sort_by(|a, b| key(a).cmp(&key(b)));
    let mut current: Option<Snapshot> = None;
    let mut start = 0;
    while start < sorted.len() {
        let tied = |other: &Fact| (other.created, class(other)) == (sorted[start].created, class(sorted[start]));
        let end = start + sorted[start..].iter().take_while(|f| tied(f)).count();
        chain(&mut sorted[start..end], current.as_ref());
        if let Some(now) = sorted[..end].iter().rev().find_map(|f| snapshot(f)) {
            current = Some(now.clone());
        }
        start = end;
    }
    sorted
}

fn key(fact: &Fact) -> (i64, u8, &str) {
    (fact.created, class(fact), fact.event_id.as_str())
}

/// What comes first within one second.
fn class(fact: &Fact) -> u8 {
    match &fact.said {
        Said::Session(_) => 0,
        Said::Invoice(_) | Said::InvoiceItem(_) => 1,
        Said::Subscription(s) => match s.phase {
            Phase::Created => 2,
            Phase::Changed => 3,
            Phase::Deleted => 4,
        },
        Said::ChargeRefunded(_) | Said::RefundFailed(_) | Said::Dispute(_) => 5,
    }
}

fn snapshot(fact: &Fact) -> Option<&Snapshot> {
    match &fact.said {
        Said::Subscription(s) => Some(&s.now),
        _ => None,
    }
}

fn before(fact: &Fact) -> Option<&Snapshot> {
    match &fact.said {
        Said::Subscription(s) => s.before.as_ref(),
        _ => None,
    }
}

/// Orders changes of one second: next is the one that starts from what the
/// last one left; the given order decides among several, and where none does.
fn chain(tied: &mut [&Fact], start: Option<&Snapshot>) {
    let mut current = start.cloned();
    for position in 0..tied.len() {
        let rest = &tied[position..];
        let follows = |f: &&Fact| before(f).is_some() && before(f) == current.as_ref();
        // Without a known start: the one that no other of them leads to.
        let first = |f: &&Fact| rest.iter().all(|g| before(f).is_none() || snapshot(g) != before(f));
        let next = rest
            .iter()
            .position(|f| follows(f))
            .or_else(|| rest.iter().position(|f| first(f)));
        tied[position..=position + next.unwrap_or(0)].rotate_right(1);
        current = snapshot(tied[position]).cloned();
    }
}

#[cfg(test)]
#[path = "order_tests.rs"]
mod tests;
