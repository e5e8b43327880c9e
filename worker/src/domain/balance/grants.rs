//! Purchased credits. A paid checkout session sells packs; a pack that is sold with a
//! subscription is a line of a paid invoice. Each sale counts once, however many events
//! report it.
//!
//! Example: session `cs_1` sells 1,000 credits for 10.00. A refund of 4.00 takes
//! 400 credits back ([`returns`](super::returns)).

use super::returns::{TakenBackTotal, taken_back};
use crate::domain::{
    fact::{Fact, FactBody, Grant, InvoiceFact, InvoiceStep, Seconds, SessionFact},
    ids::{EventId, UserId},
};
use std::collections::{BTreeMap, BTreeSet};

/// Credits of one meter that a user purchased with one sale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Purchase {
    /// The id of the checkout session, or of the invoice, that sold them.
    pub sale: String,
    /// When the first event that reports the payment was created.
    pub at: Seconds,
    /// The pack's name; the names of several packs of one meter.
    pub pack: String,
    /// The meter that the credits are for.
    pub meter: String,
    /// Units that were granted.
    pub credits: i64,
    /// What refunds and disputes take back, sorted by time.
    pub taken_back: Vec<TakenBackTotal>,
}

impl FactBody {
    /// Whether it reports a paid sale of credits.
    #[must_use]
    pub fn buys_credits(&self) -> bool {
        self.sold().is_some()
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

    /// The sale that it reports as paid, and what that grants.
    fn sold(&self) -> Option<(&str, Vec<&Grant>)> {
        let (sale, grants): (_, Vec<&Grant>) = match self {
            Self::Session(session) => (&session.session, session.grants.iter().collect()),
            // The invoice of a session without a subscription repeats what the session sold.
            Self::Invoice(i) if i.step == InvoiceStep::Paid && i.subscription.is_some() => {
                (&i.invoice, i.lines.iter().filter_map(|l| l.grant.as_ref()).collect())
            }
            _ => return None,
        };
        (!grants.is_empty()).then_some((sale, grants))
    }
}

/// A sale of credits, as all of its events together describe it.
#[derive(Debug, Clone)]
pub struct PackSale<'a> {
    /// The earliest fact that reports the payment; within one second the smallest event id.
    pub first: &'a Fact,
    /// The id of the checkout session, or of the invoice.
    pub sale: &'a str,
    /// The credits that it sold: one entry for each meter, sorted by meter.
    pub grants: Vec<Grant>,
    /// The session's payment intent; `None` for an invoice, whose payments other facts name.
    pub payment: Option<&'a str>,
    /// The ids of its payments: payment intents and charges.
    payments: BTreeSet<&'a str>,
    /// The price of the sale, in minor units.
    price: Option<i64>,
    /// The currency of that price.
    currency: Option<&'a str>,
    /// The user in an event of the session: `metadata.user_id`, else `client_reference_id`.
    pub named: Option<&'a UserId>,
}

/// The sales of credits among facts in any order; sorted by id.
#[must_use]
pub fn sales<'a>(facts: &[&'a Fact]) -> Vec<PackSale<'a>> {
    let mut by_sale: BTreeMap<&str, Vec<&Fact>> = BTreeMap::new();
    for fact in facts {
        if let Some((sale, _)) = fact.body.sold() {
            by_sale.entry(sale).or_default().push(fact);
        }
    }
    let sales = by_sale.into_iter().filter_map(|(id, mut events)| {
        events.sort_by_key(|fact| (fact.created, &fact.event_id));
        sale(id, &events, facts)
    });
    sales.collect()
}

/// One sale; `events` are those that report it as paid, sorted.
fn sale<'a>(id: &'a str, events: &[&'a Fact], facts: &[&'a Fact]) -> Option<PackSale<'a>> {
    let first = *events.first()?;
    let grants = by_meter(&first.body.sold()?.1);
    if let FactBody::Invoice(invoice) = &first.body {
        return Some(PackSale {
            first,
            sale: id,
            grants,
            payment: None,
            payments: payments_of(id, facts),
            price: Some(invoice.total),
            currency: sessions_of(invoice, facts).find_map(|(_, s)| s.currency.as_deref()),
            named: named_for(invoice, facts),
        });
    }
    let sessions = || {
        events.iter().filter_map(|fact| match &fact.body {
            FactBody::Session(session) => Some(session),
            _ => None,
        })
    };
    let payment = sessions().find_map(|s| s.payment_intent.as_deref());
    Some(PackSale {
        first,
        sale: id,
        grants,
        payment,
        payments: payment.into_iter().collect(),
        price: sessions().find_map(|s| s.amount_total),
        currency: sessions().find_map(|s| s.currency.as_deref()),
        named: sessions().find_map(user_of),
    })
}

fn user_of(session: &SessionFact) -> Option<&UserId> {
    session.user.as_ref().or(session.reference.as_ref())
}

/// The grants by meter, each meter once.
fn by_meter(grants: &[&Grant]) -> Vec<Grant> {
    let mut by_meter: BTreeMap<&str, Grant> = BTreeMap::new();
    for grant in grants.iter().copied() {
        let Some(sum) = by_meter.get_mut(grant.meter.as_str()) else {
            by_meter.insert(&grant.meter, grant.clone());
            continue;
        };
        sum.credits = sum.credits.saturating_add(grant.credits);
        if !sum.pack.split(", ").any(|pack| pack == grant.pack) {
            sum.pack = format!("{}, {}", sum.pack, grant.pack);
        }
    }
    by_meter.into_values().collect()
}

/// The ids of the payments that paid an invoice: payment intents and charges.
fn payments_of<'a>(invoice: &str, facts: &[&'a Fact]) -> BTreeSet<&'a str> {
    let ids = facts.iter().filter_map(|fact| match &fact.body {
        FactBody::Invoice(i) if i.invoice == invoice && i.step == InvoiceStep::Paid => {
            Some((&i.payment_intent, i.charge.as_ref()))
        }
        FactBody::InvoicePayment(p) if p.invoice == invoice => Some((&p.payment_intent, p.charge.as_ref())),
        FactBody::ChargeRefunded(c) if c.invoice.as_deref() == Some(invoice) => {
            Some((&c.payment_intent, Some(&c.charge)))
        }
        _ => None,
    });
    ids.flat_map(|(intent, charge)| intent.iter().chain(charge))
        .map(String::as_str)
        .collect()
}

/// The events of the session that started the subscription of an invoice.
fn sessions_of<'f, 'a>(
    invoice: &'f InvoiceFact,
    facts: &'f [&'a Fact],
) -> impl Iterator<Item = (&'a Fact, &'a SessionFact)> + use<'f, 'a> {
    facts.iter().filter_map(|fact| match &fact.body {
        FactBody::Session(s) => {
            let names_invoice = s.invoice.as_ref() == Some(&invoice.invoice);
            let started = names_invoice || s.subscription.is_some() && s.subscription == invoice.subscription;
            started.then_some((*fact, s))
        }
        _ => None,
    })
}

/// The user whom the session of an invoice names; the earliest.
fn named_for<'a>(invoice: &InvoiceFact, facts: &[&'a Fact]) -> Option<&'a UserId> {
    let named = sessions_of(invoice, facts).filter_map(|(fact, s)| Some((fact, user_of(s)?)));
    let earliest = named.min_by_key(|(fact, _)| (fact.created, &fact.event_id));
    earliest.map(|(_, user)| user)
}

/// A sale keeps the credits that its first event granted, even if the catalog
/// changed before a second event came. Returns those `new` facts that must be
/// stored with the earlier grants, with those in place.
#[must_use]
pub fn keep_first_grants(facts: &[&Fact], new: &BTreeSet<&EventId>) -> Vec<Fact> {
    let (new, old): (Vec<&Fact>, Vec<&Fact>) = facts.iter().partition(|f| new.contains(&f.event_id));
    let mut known: BTreeMap<&str, &Fact> = BTreeMap::new();
    for fact in old {
        if let Some((sale, _)) = fact.body.sold() {
            let first = known.entry(sale).or_insert(fact);
            if (fact.created, &fact.event_id) < (first.created, &first.event_id) {
                *first = fact;
            }
        }
    }
    let mut corrected = Vec::new();
    for fact in new {
        let Some(first) = fact.body.sold().and_then(|(sale, _)| known.get(sale)) else {
            continue;
        };
        let mut kept = fact.clone();
        match (&mut kept.body, &first.body) {
            (FactBody::Session(session), FactBody::Session(first)) => session.grants.clone_from(&first.grants),
            (FactBody::Invoice(invoice), FactBody::Invoice(first)) => {
                for (place, line) in invoice.lines.iter_mut().enumerate() {
                    line.grant = first.lines.get(place).and_then(|l| l.grant.clone());
                }
            }
            _ => {}
        }
        if kept != *fact {
            corrected.push(kept);
        }
    }
    corrected
}

/// The purchases of a user, among facts of any accounts in any order; sorted by
/// time. `customer` returns the user of a fact's account; it counts where no session of the
/// sale names a user.
#[must_use]
pub fn of_user<'a>(user: &UserId, facts: &[&Fact], customer: impl Fn(&Fact) -> Option<&'a UserId>) -> Vec<Purchase> {
    let mut sales = sales(facts);
    sales.sort_by_key(|sale| (sale.first.created, sale.sale));
    // If two sales name one payment, a refund of it is taken back from the first only.
    let mut seen = BTreeSet::new();
    let mut purchases = Vec::new();
    for sale in sales {
        let payments: BTreeSet<&str> = sale.payments.iter().copied().filter(|p| seen.insert(*p)).collect();
        if sale.named.or_else(|| customer(sale.first)) != Some(user) {
            continue;
        }
        for grant in sale.grants {
            let paid = (sale.price, sale.currency);
            purchases.push(Purchase {
                sale: sale.sale.to_owned(),
                at: sale.first.created,
                taken_back: taken_back(facts, &payments, grant.credits, paid),
                pack: grant.pack,
                meter: grant.meter,
                credits: grant.credits,
            });
        }
    }
    purchases
}

#[cfg(test)]
#[path = "grants_tests.rs"]
mod tests;
