//! Credits that were bought, and what refunds and disputes took back of them:
//! once per session, however many events tell of it.

use crate::domain::{
    fact::{Fact, FactBody, Grant, Seconds, SessionFact},
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

impl FactBody {
    /// Whether it tells of a paid session that bought credits.
    #[must_use]
    pub fn buys(&self) -> bool {
        matches!(self, Self::Session(session) if session.grant.is_some())
    }

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

/// A session that bought credits, as all that is told of it says.
#[derive(Debug, Clone)]
pub struct Sale<'a> {
    /// The first to tell of the payment; of one second, the same whatever comes first.
    pub first: &'a Fact,
    /// Which session.
    pub session: &'a str,
    /// What it bought.
    pub grant: &'a Grant,
    /// Its payment.
    pub payment: Option<&'a str>,
    /// What was charged, in minor units.
    price: Option<i64>,
    /// Whom one of its events names: by `metadata.user_id`, else by `client_reference_id`.
    pub named: Option<&'a UserId>,
}

/// The sessions among facts, in any order, that bought credits.
#[must_use]
pub fn sales<'a>(facts: &[&'a Fact]) -> Vec<Sale<'a>> {
    let mut sessions: BTreeMap<&str, Vec<(&Fact, &SessionFact, &Grant)>> = BTreeMap::new();
    for fact in facts {
        if let Some((session, grant)) = bought_by(fact) {
            sessions
                .entry(&session.session)
                .or_default()
                .push((fact, session, grant));
        }
    }
    let sale = |(id, mut told): (&'a str, Vec<(&'a Fact, &'a SessionFact, &'a Grant)>)| {
        told.sort_by_key(|(fact, ..)| (fact.created, &fact.event_id));
        let (first, _, grant) = *told.first()?;
        Some(Sale {
            first,
            session: id,
            grant,
            payment: told.iter().find_map(|(_, s, _)| s.payment_intent.as_deref()),
            price: told.iter().find_map(|(_, s, _)| s.amount_total),
            named: told
                .iter()
                .find_map(|(_, s, _)| s.user.as_ref().or(s.reference.as_ref())),
        })
    };
    sessions.into_iter().filter_map(sale).collect()
}

fn bought_by(fact: &Fact) -> Option<(&SessionFact, &Grant)> {
    match &fact.body {
        FactBody::Session(session) => Some((session, session.grant.as_ref()?)),
        _ => None,
    }
}

/// What a session granted stays, also where the catalog has changed until it is
/// told again: those of the `new` facts that say otherwise than the ones before
/// them, as they are to be kept.
#[must_use]
pub fn agreed(facts: &[&Fact], new: &BTreeSet<&EventId>) -> Vec<Fact> {
    let (new, old): (Vec<&Fact>, Vec<&Fact>) = facts.iter().partition(|f| new.contains(&f.event_id));
    let granted: BTreeMap<&str, &Grant> = sales(&old).iter().map(|s| (s.session, s.grant)).collect();
    let mut agreed = Vec::new();
    for fact in new {
        let mut fact = fact.clone();
        if let FactBody::Session(session) = &mut fact.body
            && session.grant.is_some()
            && let Some(before) = granted.get(session.session.as_str()).copied()
            && session.grant.as_ref() != Some(before)
        {
            session.grant = Some(before.clone());
            agreed.push(fact);
        }
    }
    agreed
}

/// What a user bought, in facts of any accounts, in any order. `customer` tells
/// whose the account of a fact is, where its session names nobody.
#[must_use]
pub fn of_user<'a>(user: &UserId, facts: &[&Fact], customer: impl Fn(&Fact) -> Option<&'a UserId>) -> Vec<Bought> {
    let theirs = |sale: &Sale<'_>| sale.named.or_else(|| customer(sale.first)) == Some(user);
    let mut sales = sales(facts);
    sales.sort_by_key(|sale| (sale.first.created, sale.session));
    // A payment is one session's: what goes back of it is taken back once.
    let mut paid = BTreeSet::new();
    let mut all = Vec::new();
    for sale in sales {
        let payment = sale.payment.filter(|payment| paid.insert(*payment));
        if !theirs(&sale) {
            continue;
        }
        all.push(Bought {
            session: sale.session.to_owned(),
            at: sale.first.created,
            pack: sale.grant.pack.clone(),
            meter: sale.grant.meter.clone(),
            credits: sale.grant.credits,
            taken: payment.map_or_else(Vec::new, |p| taken(facts, p, sale.grant.credits, sale.price)),
        });
    }
    all
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
        .filter(|f| f.body.payment() == Some(payment))
        .collect();
    own.sort_by_key(|f| (f.created, rank(&f.body), &f.event_id));
    let charged = own.iter().find_map(|f| match &f.body {
        FactBody::ChargeRefunded(charge) => Some(charge.amount),
        _ => None,
    });
    let mut money = Money {
        charged: charged.or(price),
        ..Money::default()
    };
    let mut returned: BTreeSet<&str> = BTreeSet::new();
    let mut steps: Vec<Taken> = Vec::new();
    for fact in own {
        match &fact.body {
            FactBody::ChargeRefunded(charge) => {
                // What failed before is not in it any more.
                money.refunded = charge.amount_refunded;
                money.failed.clear();
            }
            FactBody::RefundFailed(refund) => {
                money.failed.insert(&refund.refund, refund.amount);
            }
            FactBody::Dispute(dispute) if dispute.withdrawn => {
                if !returned.contains(dispute.dispute.as_str()) {
                    money.disputed.insert(&dispute.dispute, dispute.amount);
                }
            }
            FactBody::Dispute(dispute) => {
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
fn rank(said: &FactBody) -> (u8, i64) {
    match said {
        FactBody::ChargeRefunded(charge) => (0, charge.amount_refunded),
        FactBody::Dispute(dispute) if dispute.withdrawn => (1, 0),
        FactBody::RefundFailed(_) => (2, 0),
        _ => (3, 0),
    }
}

#[cfg(test)]
#[path = "grants_tests.rs"]
mod tests;
