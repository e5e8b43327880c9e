//! Credits that were bought, and what refunds and disputes took back of them:
//! once per session, however many events tell of it.

use super::{
    fact::{Fact, Said, Seconds, SessionFact},
    ids::{EventId, UserId},
};
use std::collections::{BTreeMap, BTreeSet};

/// A paid session, and what became of its money.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bought {
    /// Which session.
    pub session: String,
    /// When it was first told to be paid.
    pub at: Seconds,
    /// The pack's name.
    pub pack: String,
    /// The meter it fills.
    pub meter: String,
    /// Units in all.
    pub credits: i64,
    /// How many of them are taken back from each moment on; sorted by time.
    pub taken: Vec<Taken>,
}

/// What is taken back after an event, in all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// When.
    pub at: Seconds,
    /// The event that says so.
    pub event: EventId,
    /// Units in all, never more than were granted.
    pub credits: i64,
}

impl Said {
    /// The payment that a fact is about, by which a refund or dispute finds what
    /// it was for: these name no customer.
    #[must_use]
    pub fn payment(&self) -> Option<&str> {
        match self {
            Self::Session(fact) if fact.grant.is_some() => fact.payment_intent.as_deref(),
            Self::ChargeRefunded(fact) => fact.payment_intent.as_deref(),
            Self::RefundFailed(fact) => fact.payment_intent.as_deref(),
            Self::Dispute(fact) => fact.payment_intent.as_deref(),
            _ => None,
        }
    }
}

/// Whose the credits of a session are: its `metadata.user_id`, else its
/// `client_reference_id`, else the customer's user.
#[must_use]
pub fn buyer<'a>(session: &'a SessionFact, customer: Option<&'a UserId>) -> Option<&'a UserId> {
    session.user.as_ref().or(session.reference.as_ref()).or(customer)
}

/// What a user bought, in facts of any accounts, in any order. `customers` tells
/// whose an account is.
#[must_use]
pub fn of_user<'a>(user: &UserId, facts: &[&Fact], customer: impl Fn(&Fact) -> Option<&'a UserId>) -> Vec<Bought> {
    let mut sessions: BTreeMap<&str, Vec<(&Fact, &SessionFact)>> = BTreeMap::new();
    for fact in facts {
        if let Said::Session(session) = &fact.said
            && session.grant.is_some()
        {
            sessions.entry(&session.session).or_default().push((fact, session));
        }
    }
    let mut bought = Vec::new();
    for told in sessions.values_mut() {
        // Of one second, the same whatever comes first.
        told.sort_by_key(|(fact, _)| (fact.created, &fact.event_id));
        let Some((fact, session)) = told.first() else { continue };
        let Some(grant) = &session.grant else { continue };
        // Whichever of the session's events names a user.
        let named = told.iter().find_map(|(_, s)| buyer(s, None));
        if named.or_else(|| customer(fact)) != Some(user) {
            continue;
        }
        let payment = told.iter().find_map(|(_, s)| s.payment_intent.as_deref());
        let price = told.iter().find_map(|(_, s)| s.amount_total);
        bought.push(Bought {
            session: session.session.clone(),
            at: fact.created,
            pack: grant.pack.clone(),
            meter: grant.meter.clone(),
            credits: grant.credits,
            taken: payment.map_or_else(Vec::new, |p| taken(facts, p, grant.credits, price)),
        });
    }
    bought.sort_by(|a, b| (a.at, &a.session).cmp(&(b.at, &b.session)));
    bought
}

/// The money of a payment over time.
#[derive(Default)]
struct Money<'a> {
    /// What was charged in all.
    charged: Option<i64>,
    /// What was given back in all, as the charge last said.
    refunded: i64,
    /// Refunds that failed since, each once.
    failed: BTreeMap<&'a str, i64>,
    /// Disputes that hold money right now.
    disputed: BTreeMap<&'a str, i64>,
}

impl Money<'_> {
    /// How much of the credits it takes back: in proportion, rounded down.
    fn takes(&self, credits: i64) -> i64 {
        let failed: i128 = self.failed.values().map(|a| i128::from(*a)).sum();
        let disputed: i128 = self.disputed.values().map(|a| i128::from(*a)).sum();
        let back = (i128::from(self.refunded) - failed).max(0) + disputed;
        let part = match self.charged {
            Some(charged) if charged > 0 => i128::from(credits) * back.min(i128::from(charged)) / i128::from(charged),
            // Nobody told how much was charged: what goes back is all of it.
            _ if back > 0 => i128::from(credits),
            _ => 0,
        };
        i64::try_from(part).unwrap_or(credits)
    }
}

/// What refunds and disputes of a payment take back over time. The order is by
/// time; within a second a refund comes before its failure, and a withdrawal
/// before its return.
fn taken(facts: &[&Fact], payment: &str, credits: i64, price: Option<i64>) -> Vec<Taken> {
    let mut own: Vec<&Fact> = facts
        .iter()
        .copied()
        .filter(|f| f.said.payment() == Some(payment))
        .collect();
    own.sort_by_key(|f| (f.created, rank(&f.said), &f.event_id));
    let charged = own.iter().find_map(|f| match &f.said {
        Said::ChargeRefunded(charge) => Some(charge.amount),
        _ => None,
    });
    let mut money = Money {
        charged: charged.or(price),
        ..Money::default()
    };
    let mut returned: BTreeSet<&str> = BTreeSet::new();
    let mut steps: Vec<Taken> = Vec::new();
    for fact in own {
        match &fact.said {
            Said::ChargeRefunded(charge) => {
                // What failed before is not in it any more.
                money.refunded = charge.amount_refunded;
                money.failed.clear();
            }
            Said::RefundFailed(refund) => {
                money.failed.insert(&refund.refund, refund.amount);
            }
            Said::Dispute(dispute) if dispute.withdrawn => {
                if !returned.contains(dispute.dispute.as_str()) {
                    money.disputed.insert(&dispute.dispute, dispute.amount);
                }
            }
            Said::Dispute(dispute) => {
                returned.insert(&dispute.dispute);
                money.disputed.remove(dispute.dispute.as_str());
            }
            _ => continue,
        }
        let takes = money.takes(credits);
        if takes != steps.last().map_or(0, |t| t.credits) {
            steps.push(Taken {
                at: fact.created,
                event: fact.event_id.clone(),
                credits: takes,
            });
        }
    }
    steps
}

/// The order within one second. What is refunded in all grows: the lesser came before.
fn rank(said: &Said) -> (u8, i64) {
    match said {
        Said::ChargeRefunded(charge) => (0, charge.amount_refunded),
        Said::Dispute(dispute) if dispute.withdrawn => (1, 0),
        Said::RefundFailed(_) => (2, 0),
        _ => (3, 0),
    }
}

#[cfg(test)]
#[path = "grants_tests.rs"]
mod tests;
