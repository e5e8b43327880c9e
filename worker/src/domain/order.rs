//! The order of facts: by time, and within one second by evidence. It is a
//! function of the set of facts, so that no order of arrival can change it.

use super::fact::{Fact, InvoiceStep, Phase, Said, Snapshot};

/// Sorts the facts of one subscription (its snapshots, invoices and sessions)
/// into the order in which they happened.
///
/// Stripe's `created` has a resolution of one second. Within a second, invoices
/// come before snapshots (and fail before they are paid), `created` before any
/// change, `deleted` after it; changes are ordered by the chain of their
/// `before` and `now`, and where that breaks, by their event ids, which at
/// least no order of arrival changes.
#[must_use]
pub fn in_order<'a>(facts: impl IntoIterator<Item = &'a Fact>) -> Vec<&'a Fact> {
    let mut sorted: Vec<&Fact> = facts.into_iter().collect();
    sorted.sort_by(|a, b| key(a).cmp(&key(b)));
    let mut current: Option<&Snapshot> = None;
    let mut start = 0;
    while start < sorted.len() {
        let tied = |other: &Fact| (other.created, class(other)) == (sorted[start].created, class(sorted[start]));
        let end = start + sorted[start..].iter().take_while(|f| tied(f)).count();
        chain(&mut sorted[start..end], current);
        if let Some(now) = sorted[..end].iter().rev().find_map(|f| snapshot(f)) {
            current = Some(now);
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
        // What is paid does not fail any more.
        Said::Invoice(i) if i.step != InvoiceStep::Paid => 1,
        Said::Invoice(_) | Said::InvoiceItem(_) => 2,
        Said::Subscription(s) => match s.phase {
            Phase::Created => 3,
            Phase::Changed => 4,
            Phase::Deleted => 5,
        },
        Said::ChargeRefunded(_) | Said::RefundFailed(_) | Said::Dispute(_) => 6,
    }
}

fn snapshot(fact: &Fact) -> Option<&Snapshot> {
    match &fact.said {
        Said::Subscription(s) => Some(&s.now),
        _ => None,
    }
}

/// What a change started from. One that does not say repeats what stands.
fn before(fact: &Fact) -> Option<&Snapshot> {
    match &fact.said {
        Said::Subscription(s) => Some(s.before.as_ref().unwrap_or(&s.now)),
        _ => None,
    }
}

/// Orders changes of one second: next is the one that starts from what the
/// last one left.
fn chain(tied: &mut [&Fact], start: Option<&Snapshot>) {
    let mut current = start;
    for position in 0..tied.len() {
        let next = position + next(&tied[position..], current);
        tied[position..=next].rotate_right(1);
        current = snapshot(tied[position]);
    }
}

/// Which of the changes left comes next after `current`. Of several that start
/// there, one that leads back, or else the others could not follow it any more
/// (Fleury's way to draw a figure without lifting the pen); beyond that, the
/// given order decides.
fn next(rest: &[&Fact], current: Option<&Snapshot>) -> usize {
    let start = if rest.iter().any(|f| before(f) == current) {
        current
    } else {
        // Without a known start: the state that is left more often than reached.
        let reached = |state| rest.iter().filter(|f| snapshot(f) == state).count();
        let left = |state| rest.iter().filter(|f| before(f) == state).count();
        let states = || rest.iter().map(|f| before(f));
        states()
            .find(|s| left(*s) > reached(*s))
            .or_else(|| states().next())
            .flatten()
    };
    let mut starting = (0..rest.len()).filter(|i| before(rest[*i]) == start);
    let first = starting.next().unwrap_or(0);
    let leads_back = |i: &usize| leads(rest, snapshot(rest[*i]), start);
    match starting.next() {
        None => first,
        Some(second) => [first, second]
            .into_iter()
            .chain(starting)
            .find(leads_back)
            .unwrap_or(first),
    }
}

/// Whether some of the changes lead from one state to another.
fn leads(changes: &[&Fact], from: Option<&Snapshot>, to: Option<&Snapshot>) -> bool {
    let mut reached = vec![from];
    let mut next = 0;
    while let Some(state) = reached.get(next).copied() {
        if state == to {
            return true;
        }
        for change in changes.iter().filter(|c| before(c) == state) {
            if !reached.contains(&snapshot(change)) {
                reached.push(snapshot(change));
            }
        }
        next += 1;
    }
    false
}

#[cfg(test)]
#[path = "order_tests.rs"]
mod tests;
