//! What refunds and disputes take back of purchased credits: in proportion to the money, and
//! together never more than was granted.
//!
//! Example: a sale of 10.00 EUR granted 1,000 credits. A refund of 4.00 takes 400 back. A
//! dispute of 8.60 GBP takes all of them: its amount cannot be compared with the price. If
//! the dispute is won, 600 are returned.

use crate::domain::{
    fact::{Fact, FactBody, Seconds},
    ids::EventId,
    returned_money::{ReturnedMoney, order, payment_ids},
};
use std::collections::BTreeSet;

/// How much of a purchase is taken back in total after an event. The next total
/// may be lower: then credits were returned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenBackTotal {
    /// When the event was created.
    pub at: Seconds,
    /// The event of the refund or dispute.
    pub event: EventId,
    /// Units in total; never more than were granted.
    pub credits: i64,
}

/// What the refunds and disputes of a sale's `payments` take back over time. `price` is
/// the amount and the currency of the sale.
pub(super) fn taken_back(
    facts: &[&Fact],
    payments: &BTreeSet<&str>,
    credits: i64,
    price: (Option<i64>, Option<&str>),
) -> Vec<TakenBackTotal> {
    let mut own: Vec<&Fact> = facts
        .iter()
        .copied()
        .filter(|f| {
            payment_ids(&f.body)
                .into_iter()
                .flatten()
                .any(|id| payments.contains(id))
        })
        .collect();
    own.sort_by(|a, b| order(a).cmp(&order(b)));
    let charge = own.iter().find_map(|f| match &f.body {
        FactBody::ChargeRefunded(charge) => Some((charge.amount, charge.currency.as_deref())),
        _ => None,
    });
    let mut money = ReturnedMoney::of(charge.map(|c| c.0).or(price.0), charge.and_then(|c| c.1).or(price.1));
    let mut totals: Vec<TakenBackTotal> = Vec::new();
    for fact in own {
        money.apply(&fact.body);
        let total = money.share_of(credits);
        if total != totals.last().map_or(0, |t| t.credits) {
            totals.push(TakenBackTotal {
                at: fact.created,
                event: fact.event_id.clone(),
                credits: total,
            });
        }
    }
    totals
}

#[cfg(test)]
#[path = "returns_tests.rs"]
mod tests;
