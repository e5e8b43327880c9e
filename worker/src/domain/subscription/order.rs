//! The order of facts: by time, and within one second by evidence.
//!
//! Stripe's `created` counts whole seconds, and Stripe does not promise that
//! events arrive in order ("Receive Stripe events in your webhook endpoint", "Event
//! ordering"). So events of one second need another order. It depends on the set of
//! facts only, never on the order of arrival.
//!
//! Example: at second 5 one event shows a change from Basic to Plus, another one a
//! change from Plus to Max. The change to Max starts at Plus, where the other one
//! ends, so it comes later, whatever the ids of the events are.

use super::chain::{ChangeChain, Changes, find_chain};
use crate::domain::fact::{Fact, FactBody, InvoiceStep, Phase, Seconds, Snapshot, SubscriptionFact, ended};
use std::collections::HashSet;

/// The facts of one subscription in the order in which they happened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ordered<'a> {
    /// The facts; of two events of one change, only one.
    pub facts: Vec<&'a Fact>,
    /// The number of seconds with several changes whose order no evidence decides.
    pub undecided: u32,
}

/// The last known state of a subscription before the facts that are sorted.
#[derive(Debug, Clone, Copy)]
pub struct LastSeen<'a> {
    /// The last snapshot.
    pub now: &'a Snapshot,
    /// The digest of the whole object, if known.
    pub digest: Option<i64>,
    /// Whether the subscription has ended. Then the order of later changes does
    /// not matter, because they change nothing.
    pub ended: bool,
}

/// Sorts the facts of one subscription (its snapshots, invoices and sessions) into
/// the order in which they happened, and removes the second event of a change.
///
/// Facts of one second are sorted by `Class`. Changes of one second are sorted
/// by the chain that they form: each starts at the state where the one before it
/// ended (`ChangeChain`).
#[must_use]
pub fn in_order<'a>(facts: impl IntoIterator<Item = &'a Fact>, last_seen: Option<LastSeen<'a>>) -> Ordered<'a> {
    let mut sorted = without_duplicates(facts);
    let first_seen = sorted.iter().filter(|f| snapshot(f).is_some()).map(|f| f.created).min();
    sorted.sort_by_cached_key(|f| sort_key(f, first_seen));
    let mut last_seen = last_seen;
    let mut undecided = 0;
    for group in sorted.chunk_by_mut(|a, b| (a.created, Class::of(a)) == (b.created, Class::of(b))) {
        let was_ended = last_seen.is_some_and(|s| s.ended);
        let ended = was_ended || group.iter().any(|f| ends_life(f));
        if group.len() > 1 && Class::of(group[0]) == Class::Changed {
            let decided = sort_changes(group, last_seen);
            undecided += u32::from(!decided && !was_ended);
        }
        if let Some(last) = group.iter().rev().find_map(|f| snapshot(f)) {
            last_seen = Some(LastSeen {
                now: &last.now,
                digest: digest_after(last, last_seen),
                ended,
            });
        }
    }
    Ordered {
        facts: sorted,
        undecided,
    }
}

/// The digest of the whole object after a snapshot. An answer of Stripe's API has
/// no digest, because its API version may differ from that of the events. An
/// answer that only repeats the last state keeps the digest of that state.
#[must_use]
pub fn digest_after(fact: &SubscriptionFact, last_seen: Option<LastSeen<'_>>) -> Option<i64> {
    if let Some(digests) = fact.digests {
        return Some(digests.now);
    }
    let last = last_seen?;
    let repeats = fact.phase == Phase::Read && last.now.shows_same(&fact.now);
    if repeats { last.digest } else { None }
}

fn snapshot(fact: &Fact) -> Option<&SubscriptionFact> {
    match &fact.body {
        FactBody::Subscription(s) => Some(s),
        _ => None,
    }
}

fn ends_life(fact: &Fact) -> bool {
    snapshot(fact).is_some_and(|s| s.phase == Phase::Deleted || ended(&s.now.status))
}

/// Removes the second event of a change. Stripe sometimes makes two events of one
/// change ("Handle duplicate events" on the page named above): their object, second,
/// content, previous content and request are equal. The event with the smaller id
/// stays.
fn without_duplicates<'a>(facts: impl IntoIterator<Item = &'a Fact>) -> Vec<&'a Fact> {
    let mut sorted: Vec<&Fact> = facts.into_iter().collect();
    sorted.sort_by(|a, b| (a.created, &a.event_id).cmp(&(b.created, &b.event_id)));
    let mut seen_digests = HashSet::new();
    let mut same_second: Vec<&Fact> = Vec::new();
    sorted.retain(|fact| {
        let Some(s) = snapshot(fact) else { return true };
        if let Some(digests) = s.digests {
            return seen_digests.insert((fact.created, s.phase, digests.now, digests.before, s.request.as_deref()));
        }
        same_second.retain(|f| f.created == fact.created);
        let is_duplicate = same_second.iter().any(|f| f.body == fact.body);
        same_second.push(fact);
        !is_duplicate
    });
    sorted
}

/// The order of facts within one second, by what they report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    /// A checkout session, or the customer.
    Session,
    /// A failed payment. It comes before a payment, because a paid invoice does
    /// not fail again.
    InvoiceUnpaid,
    /// A payment, or a pending invoice item.
    InvoicePaid,
    /// `customer.subscription.created`, always the first snapshot.
    Created,
    /// An answer of Stripe's API. It may be older or newer than the changes of its
    /// second. It comes before them, because the last change shows how the second
    /// ended.
    Read,
    /// A change between the first and the last snapshot.
    Changed,
    /// A snapshot with a final status.
    Ended,
    /// `customer.subscription.deleted`, always the last snapshot.
    Deleted,
    /// A refund or a dispute.
    Money,
}

impl Class {
    fn of(fact: &Fact) -> Self {
        match &fact.body {
            FactBody::Session(_) | FactBody::Customer(_) => Self::Session,
            FactBody::Invoice(i) if i.step != InvoiceStep::Paid => Self::InvoiceUnpaid,
            FactBody::Invoice(_) | FactBody::InvoiceItem(_) | FactBody::InvoicePayment(_) => Self::InvoicePaid,
            FactBody::Subscription(s) => match s.phase {
                Phase::Created => Self::Created,
                Phase::Changed | Phase::Read if ended(&s.now.status) => Self::Ended,
                Phase::Read => Self::Read,
                Phase::Changed => Self::Changed,
                Phase::Deleted => Self::Deleted,
            },
            FactBody::ChargeRefunded(_) | FactBody::RefundFailed(_) | FactBody::Dispute(_) => Self::Money,
        }
    }
}

/// The order before evidence is asked: time, class, `incomplete` first, the
/// earlier period first, then the event's id. The id says nothing about time, but
/// it does not depend on the order of arrival.
///
/// `created` counts as no later than the first snapshot (`first_seen`), because
/// Stripe may make its event a moment too late.
fn sort_key(fact: &Fact, first_seen: Option<Seconds>) -> (Seconds, Class, bool, Seconds, &str) {
    let (complete, period_start) = match snapshot(fact) {
        Some(s) => (s.now.status != "incomplete", s.now.period.map_or(0, |p| p.start)),
        None => (false, 0),
    };
    let at = match (Class::of(fact), first_seen) {
        (Class::Created, Some(first_seen)) => first_seen.min(fact.created),
        _ => fact.created,
    };
    (at, Class::of(fact), complete, period_start, fact.event_id.as_str())
}

/// Sorts the changes of one second. Returns whether evidence decided the order, or
/// the order makes no difference.
fn sort_changes(tied: &mut [&Fact], last_seen: Option<LastSeen<'_>>) -> bool {
    let changes: Vec<&SubscriptionFact> = tied.iter().filter_map(|f| snapshot(f)).collect();
    let chains = [
        chain_by_digest(&changes, last_seen),
        Some(chain_by_fields(&changes, last_seen)),
    ];
    let best = chains.into_iter().flatten().min_by_key(|c| (c.gaps, c.ambiguous));
    let Some(best) = best else { return false };
    let decided = best.decided() || changes.windows(2).all(|w| w[0].now.shows_same(&w[1].now));
    let unsorted = tied.to_vec();
    for (fact, index) in tied.iter_mut().zip(&best.order) {
        *fact = unsorted[*index];
    }
    decided
}

/// The chain by digests of whole objects; `None` if a change has no digest.
fn chain_by_digest(changes: &[&SubscriptionFact], last_seen: Option<LastSeen<'_>>) -> Option<ChangeChain> {
    let steps = changes.iter().map(|c| {
        let digests = c.digests?;
        // An event without `previous_attributes` repeats the state that it shows.
        Some((digests.before.unwrap_or(digests.now), digests.now, c.request.as_deref()))
    });
    let steps: Vec<_> = steps.collect::<Option<_>>()?;
    let start = last_seen.and_then(|s| s.digest);
    Some(find_chain(&Changes::number(&steps, start.as_ref(), i64::eq)))
}

/// The chain by the fields that we read. It holds even if another field changed
/// without an event.
fn chain_by_fields(changes: &[&SubscriptionFact], last_seen: Option<LastSeen<'_>>) -> ChangeChain {
    let steps: Vec<_> = changes
        .iter()
        .map(|c| (c.before.as_ref().unwrap_or(&c.now), &c.now, c.request.as_deref()))
        .collect();
    let start = last_seen.map(|s| s.now);
    find_chain(&Changes::number(&steps, start.as_ref(), |a, b| a.shows_same(b)))
}

#[cfg(test)]
#[path = "order_tests.rs"]
mod tests;
