//! The order of facts: by time, and within one second by evidence. It is a
//! function of the set of facts, so that no order of arrival can change it.

use super::chain::{ChangeChain, Changes, chain};
use crate::domain::fact::{Fact, FactBody, InvoiceStep, Phase, Seconds, Snapshot, SubscriptionFact, ended};
use std::collections::HashSet;

/// Facts of one subscription in the order in which they happened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ordered<'a> {
    /// The facts, each change once.
    pub facts: Vec<&'a Fact>,
    /// How many seconds held changes whose order no evidence tells.
    pub undecided: u32,
}

/// The state of a subscription before the facts that are to be ordered.
#[derive(Debug, Clone, Copy)]
pub struct LastSeen<'a> {
    /// What was last seen.
    pub now: &'a Snapshot,
    /// The digest of the whole object, where it was noted.
    pub print: Option<i64>,
    /// It was canceled or deleted: no order of what comes later matters.
    pub ended: bool,
}

/// Sorts the facts of one subscription (its snapshots, invoices and sessions)
/// into the order in which they happened, twins taken out.
///
/// Stripe's `created` has a resolution of one second. Within a second, invoices
/// come before snapshots (and fail before they are paid); a life begins with
/// `created` and ends with `canceled` and `deleted`; the changes between are
/// ordered by the trail of what each started from and led to ([`ChangeChain`]).
#[must_use]
pub fn in_order<'a>(facts: impl IntoIterator<Item = &'a Fact>, standing: Option<LastSeen<'a>>) -> Ordered<'a> {
    let mut sorted = without_twins(facts);
    let begin = sorted.iter().filter(|f| snapshot(f).is_some()).map(|f| f.created).min();
    sorted.sort_by_cached_key(|f| key(f, begin));
    let mut standing = standing;
    let mut undecided = 0;
    let mut start = 0;
    while start < sorted.len() {
        let group = (sorted[start].created, class(sorted[start]));
        let end = start
            + sorted[start..]
                .iter()
                .take_while(|f| (f.created, class(f)) == group)
                .count();
        let last_word = |f: &Fact| snapshot(f).is_some_and(|s| s.phase == Phase::Deleted || ended(&s.now.status));
        let over = standing.is_some_and(|s| s.ended);
        let ends = over || sorted[start..end].iter().any(|f| last_word(f));
        if end - start > 1 && group.1 == CHANGED {
            let decided = arrange(&mut sorted[start..end], standing);
            undecided += u32::from(!decided && !over);
        }
        if let Some(last) = sorted[start..end].iter().rev().find_map(|f| snapshot(f)) {
            standing = Some(LastSeen {
                now: &last.now,
                print: print_after(last, standing),
                ended: ends,
            });
        }
        start = end;
    }
    Ordered {
        facts: sorted,
        undecided,
    }
}

/// The digest of the object that stands after a snapshot. One that was read has
/// none (it is of another API version than the events), and leaves that of what
/// it only repeats.
#[must_use]
pub fn print_after(told: &SubscriptionFact, standing: Option<LastSeen<'_>>) -> Option<i64> {
    let repeated = standing.filter(|s| told.phase == Phase::Read && s.now.shows_same(&told.now));
    told.prints.map(|p| p.now).or(repeated.and_then(|s| s.print))
}

fn snapshot(fact: &Fact) -> Option<&SubscriptionFact> {
    match &fact.body {
        FactBody::Subscription(s) => Some(s),
        _ => None,
    }
}

/// Stripe sometimes makes two events of one change: the same object, second,
/// content, previous content and request. The one with the lesser id stands.
fn without_twins<'a>(facts: impl IntoIterator<Item = &'a Fact>) -> Vec<&'a Fact> {
    let mut sorted: Vec<&Fact> = facts.into_iter().collect();
    sorted.sort_by(|a, b| (a.created, &a.event_id).cmp(&(b.created, &b.event_id)));
    let mut seen = HashSet::new();
    let mut second = Vec::new();
    sorted.retain(|fact| {
        let Some(s) = snapshot(fact) else { return true };
        if let Some(prints) = s.prints {
            return seen.insert((fact.created, s.phase, prints.now, prints.before, s.request.as_deref()));
        }
        second.retain(|f: &&Fact| f.created == fact.created);
        let twin = second.iter().any(|f| f.body == fact.body);
        second.push(fact);
        !twin
    });
    sorted
}

/// The class of changes that are neither the first nor the last of a life.
const CHANGED: u8 = 5;

/// What comes first within one second. What was read may be older or newer than
/// the changes of its second: before them it does no harm, since the last of them
/// shows how the second ended.
fn class(fact: &Fact) -> u8 {
    match &fact.body {
        FactBody::Session(_) => 0,
        // What is paid does not fail any more.
        FactBody::Invoice(i) if i.step != InvoiceStep::Paid => 1,
        FactBody::Invoice(_) | FactBody::InvoiceItem(_) => 2,
        FactBody::Subscription(s) => match s.phase {
            Phase::Created => 3,
            Phase::Changed | Phase::Read if ended(&s.now.status) => 6,
            Phase::Read => 4,
            Phase::Changed => CHANGED,
            Phase::Deleted => 7,
        },
        FactBody::ChargeRefunded(_) | FactBody::RefundFailed(_) | FactBody::Dispute(_) => 8,
    }
}

/// `created` is first in a life, also where its event was made a moment late.
/// Where no evidence orders changes of a second: what is still incomplete, and
/// the earlier period, come first; then the event's id decides, which at least
/// no order of arrival changes.
fn key(fact: &Fact, begin: Option<Seconds>) -> (Seconds, u8, bool, Seconds, &str) {
    let (paid, start) = match snapshot(fact) {
        Some(s) => (s.now.status != "incomplete", s.now.period.map_or(0, |p| p.start)),
        None => (false, 0),
    };
    let created = match (class(fact), begin) {
        (3, Some(begin)) => begin.min(fact.created),
        _ => fact.created,
    };
    (created, class(fact), paid, start, fact.event_id.as_str())
}

/// Orders changes of one second; returns whether evidence decided.
fn arrange(tied: &mut [&Fact], standing: Option<LastSeen<'_>>) -> bool {
    let changes: Vec<&SubscriptionFact> = tied.iter().filter_map(|f| snapshot(f)).collect();
    let trails = [by_print(&changes, standing), Some(by_sight(&changes, standing))];
    let Some(best) = trails.into_iter().flatten().min_by_key(|t| (t.gaps, t.open)) else {
        return false;
    };
    let decided = best.decided() || changes.windows(2).all(|w| w[0].now.shows_same(&w[1].now));
    let given = tied.to_vec();
    for (place, index) in tied.iter_mut().zip(&best.order) {
        *place = given[*index];
    }
    decided
}

/// The trail of whole objects, if all were noted.
fn by_print(changes: &[&SubscriptionFact], standing: Option<LastSeen<'_>>) -> Option<ChangeChain> {
    let steps = changes.iter().map(|c| {
        let prints = c.prints?;
        // One that does not say what it changed repeats what stands.
        Some((prints.before.unwrap_or(prints.now), prints.now, c.request.as_deref()))
    });
    let steps: Vec<_> = steps.collect::<Option<_>>()?;
    let start = standing.and_then(|s| s.print);
    Some(chain(&Changes::of(&steps, start.as_ref(), i64::eq)))
}

/// The trail of what we read. It bears with fields that change untold.
fn by_sight(changes: &[&SubscriptionFact], standing: Option<LastSeen<'_>>) -> ChangeChain {
    let steps: Vec<_> = changes
        .iter()
        .map(|c| (c.before.as_ref().unwrap_or(&c.now), &c.now, c.request.as_deref()))
        .collect();
    let start = standing.map(|s| s.now);
    chain(&Changes::of(&steps, start.as_ref(), |a, b| a.shows_same(b)))
}

#[cfg(test)]
#[path = "order_tests.rs"]
mod tests;
