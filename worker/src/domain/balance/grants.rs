//! Purchased credits, and what refunds and disputes take back of them. Each
//! checkout session counts once, however many events report it.
//!
//! Example: session `cs_1` sells 1,000 credits for 10.00. A refund of 4.00 takes
//! 400 credits back. If that refund fails, the 400 credits are returned.

use crate::domain::{
    fact::{Fact, FactBody, Grant, Seconds, SessionFact},
    ids::{EventId, UserId},
};
use std::collections::{BTreeMap, BTreeSet};

/// Credits that a user purchased with one paid checkout session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Purchase {
    /// The session's id.
    pub session: String,
    /// When the first event that reports the payment was created.
    pub at: Seconds,
    /// The pack's name.
    pub pack: String,
    /// The meter that the credits are for.
    pub meter: String,
    /// Units that were granted.
    pub credits: i64,
    /// What refunds and disputes take back, sorted by time.
    pub taken_back: Vec<TakenBackTotal>,
}

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

impl FactBody {
    /// Whether it reports a paid session that sold credits.
    #[must_use]
    pub fn buys_credits(&self) -> bool {
        matches!(self, Self::Session(session) if !session.grants.is_empty())
    }

    /// The payment intent of a purchase, refund or dispute. Refunds and disputes
    /// name no customer; the payment intent connects them with their purchase.
    #[must_use]
    pub fn payment(&self) -> Option<&str> {
        match self {
            Self::Session(fact) if !fact.grants.is_empty() => fact.payment_intent.as_deref(),
            Self::ChargeRefunded(fact) => fact.payment_intent.as_deref(),
            Self::RefundFailed(fact) => fact.payment_intent.as_deref(),
            Self::Dispute(fact) => fact.payment_intent.as_deref(),
            _ => None,
        }
    }
}

/// A checkout session that sold credits, as all of its events together describe it.
#[derive(Debug, Clone)]
pub struct PackSale<'a> {
    /// The earliest fact that reports the payment; within one second the smallest event id.
    pub first: &'a Fact,
    /// The session's id.
    pub session: &'a str,
    /// The credits that it sold.
    pub grant: &'a Grant,
    /// Its payment intent.
    pub payment: Option<&'a str>,
    /// The price of the session, in minor units.
    price: Option<i64>,
    /// The user in one of its events: `metadata.user_id`, else `client_reference_id`.
    pub named: Option<&'a UserId>,
}

/// The sessions that sold credits, among facts in any order; sorted by session.
#[must_use]
pub fn sales<'a>(facts: &[&'a Fact]) -> Vec<PackSale<'a>> {
    let mut sessions: BTreeMap<&str, Vec<(&Fact, &SessionFact, &Grant)>> = BTreeMap::new();
    for fact in facts {
        if let FactBody::Session(session) = &fact.body
            && let Some(grant) = session.grants.first()
        {
            let events = sessions.entry(&session.session).or_default();
            events.push((fact, session, grant));
        }
    }
    let sale = |(id, mut events): (&'a str, Vec<(&'a Fact, &'a SessionFact, &'a Grant)>)| {
        events.sort_by_key(|(fact, ..)| (fact.created, &fact.event_id));
        let (first, _, grant) = *events.first()?;
        let user = |session: &'a SessionFact| session.user.as_ref().or(session.reference.as_ref());
        Some(PackSale {
            first,
            session: id,
            grant,
            payment: events.iter().find_map(|(_, s, _)| s.payment_intent.as_deref()),
            price: events.iter().find_map(|(_, s, _)| s.amount_total),
            named: events.iter().find_map(|(_, s, _)| user(s)),
        })
    };
    sessions.into_iter().filter_map(sale).collect()
}

/// A session keeps the credits that its first event granted, even if the catalog
/// changed before a second event came. Returns those `new` facts that must be
/// stored with the earlier grant, with that grant in place.
#[must_use]
pub fn keep_first_grants(facts: &[&Fact], new: &BTreeSet<&EventId>) -> Vec<Fact> {
    let (new, old): (Vec<&Fact>, Vec<&Fact>) = facts.iter().partition(|f| new.contains(&f.event_id));
    let granted: BTreeMap<&str, &Grant> = sales(&old).iter().map(|s| (s.session, s.grant)).collect();
    let mut corrected = Vec::new();
    for fact in new {
        let mut fact = fact.clone();
        if let FactBody::Session(session) = &mut fact.body
            && !session.grants.is_empty()
            && let Some(before) = granted.get(session.session.as_str()).copied()
            && session.grants.first() != Some(before)
        {
            session.grants = vec![before.clone()];
            corrected.push(fact);
        }
    }
    corrected
}

/// The purchases of a user, among facts of any accounts in any order; sorted by
/// time. `customer` returns the user of a fact's account; it counts where the
/// session itself names no user.
#[must_use]
pub fn of_user<'a>(user: &UserId, facts: &[&Fact], customer: impl Fn(&Fact) -> Option<&'a UserId>) -> Vec<Purchase> {
    let mut sales = sales(facts);
    sales.sort_by_key(|sale| (sale.first.created, sale.session));
    // If two sessions name one payment, a refund of it is taken back from the first only.
    let mut seen = BTreeSet::new();
    let mut purchases = Vec::new();
    for sale in sales {
        let payment = sale.payment.filter(|payment| seen.insert(*payment));
        if sale.named.or_else(|| customer(sale.first)) != Some(user) {
            continue;
        }
        purchases.push(Purchase {
            session: sale.session.to_owned(),
            at: sale.first.created,
            pack: sale.grant.pack.clone(),
            meter: sale.grant.meter.clone(),
            credits: sale.grant.credits,
            taken_back: payment.map_or_else(Vec::new, |p| taken_back(facts, p, sale.grant.credits, sale.price)),
        });
    }
    purchases
}

/// The money that went back to the customer of one payment, so far. Minor units.
#[derive(Default)]
struct ReturnedMoney<'a> {
    /// What was charged in total.
    charged: Option<i64>,
    /// What was refunded in total, by the latest event of the charge.
    refunded: i64,
    /// Refunds that failed since that event, by refund id.
    failed: BTreeMap<&'a str, i64>,
    /// What open disputes withdrew, by dispute id.
    disputed: BTreeMap<&'a str, i64>,
}

impl ReturnedMoney<'_> {
    /// How many of the credits this takes back: in proportion to the money,
    /// rounded down.
    fn takes_back(&self, credits: i64) -> i64 {
        let failed: i128 = self.failed.values().map(|a| i128::from(*a)).sum();
        let disputed: i128 = self.disputed.values().map(|a| i128::from(*a)).sum();
        let returned = (i128::from(self.refunded) - failed).max(0) + disputed;
        let part = match self.charged {
            Some(charged) if charged > 0 => {
                i128::from(credits) * returned.min(i128::from(charged)) / i128::from(charged)
            }
            // Without a known price no share can be computed: all credits are taken back.
            _ if returned > 0 => i128::from(credits),
            _ => 0,
        };
        i64::try_from(part).unwrap_or(credits)
    }
}

/// What the refunds and disputes of a payment take back over time. Facts are
/// sorted by time. Within one second a refund comes before its failure, and the
/// begin of a dispute before its end.
fn taken_back(facts: &[&Fact], payment: &str, credits: i64, price: Option<i64>) -> Vec<TakenBackTotal> {
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
    let mut money = ReturnedMoney {
        charged: charged.or(price),
        ..ReturnedMoney::default()
    };
    let mut ended_disputes: BTreeSet<&str> = BTreeSet::new();
    let mut totals: Vec<TakenBackTotal> = Vec::new();
    for fact in own {
        match &fact.body {
            FactBody::ChargeRefunded(charge) => {
                // `amount_refunded` leaves out the refunds that failed before it.
                money.refunded = charge.amount_refunded;
                money.failed.clear();
            }
            FactBody::RefundFailed(refund) => {
                money.failed.insert(&refund.refund, refund.amount);
            }
            FactBody::Dispute(dispute) if dispute.withdrawn => {
                if !ended_disputes.contains(dispute.dispute.as_str()) {
                    money.disputed.insert(&dispute.dispute, dispute.amount);
                }
            }
            FactBody::Dispute(dispute) => {
                ended_disputes.insert(&dispute.dispute);
                money.disputed.remove(dispute.dispute.as_str());
            }
            _ => continue,
        }
        let total = money.takes_back(credits);
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

/// The order within one second. `amount_refunded` only grows, so the lower amount came first.
fn rank(body: &FactBody) -> (u8, i64) {
    match body {
        FactBody::ChargeRefunded(charge) => (0, charge.amount_refunded),
        FactBody::Dispute(dispute) if dispute.withdrawn => (1, 0),
        FactBody::RefundFailed(_) => (2, 0),
        _ => (3, 0),
    }
}

#[cfg(test)]
#[path = "grants_tests.rs"]
mod tests;
