//! The books of a subscription: what its invoices say in the end about what was
//! paid, failed and given back, and which change each of them belongs to.

use crate::domain::fact::{Fact, FactBody, InvoiceFact, InvoiceStep, Period, Phase, Seconds, Snapshot};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A credit this near to a change, in seconds either way, belongs to it.
const NEAR: Seconds = 60;
/// An invoice or request that a change names is its own within this time,
/// in seconds either way.
pub const OWN: Seconds = 3_600;

/// An invoice that failed and was not paid since, neither itself nor with a
/// later cycle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedInvoice {
    /// Which invoice.
    pub invoice: String,
    /// When it was first told that it failed.
    pub at: Seconds,
    /// The period that it was for, if it says so.
    pub period: Option<Period>,
    /// It settles a change within a period (`subscription_update`).
    pub of_change: bool,
    /// From when on it bills.
    pub from: Option<Seconds>,
    /// The upgrade that it was for is held: it is as if neither had been.
    #[serde(default)]
    pub holds: bool,
}

impl FailedInvoice {
    /// Whether the payment of a cycle invoice, told at this time, settles it: a
    /// later cycle bills whatever stands by then.
    #[must_use]
    pub fn settled_by(&self, invoice: &InvoiceFact, at: Seconds) -> bool {
        let later = self
            .from
            .zip(invoice.pays_for())
            .is_none_or(|(from, p)| p.start >= from);
        invoice.step == InvoiceStep::Paid && invoice.renews() && at > self.at && later
    }
}

/// All that the invoices of a subscription say, with all facts known.
#[derive(Debug, Default)]
pub struct InvoiceEvidence<'a> {
    /// What failed and was never paid itself, by invoice id.
    pub failed: Vec<FailedInvoice>,
    /// The upgrades whose invoice failed: place of the fact → invoice id.
    held: BTreeMap<usize, String>,
    /// The changes that were credited: places of their facts.
    credited: BTreeSet<usize>,
    /// The changes whose own invoice was paid: places of their facts.
    paid: BTreeSet<usize>,
    changes: Vec<PriceChange<'a>>,
}

/// What the books say of one fact.
#[derive(Debug, Clone, Copy, Default)]
pub struct ChangeEvidence<'b> {
    /// The failed invoice of the upgrade that it is.
    pub held_by: Option<&'b str>,
    /// It is a change that gave money back.
    pub credited: bool,
    /// It is a change that was paid for itself.
    pub paid: bool,
}

/// A change of the price.
#[derive(Debug)]
struct PriceChange<'a> {
    /// The place of its fact.
    place: usize,
    at: Seconds,
    /// Since when it may have been: what was read shows a change that was some
    /// time since the snapshot before.
    since: Seconds,
    rises: bool,
    /// The invoice that it is the first to name as the latest.
    own_invoice: Option<&'a str>,
    request: Option<&'a str>,
}

/// Money given back for a change.
struct Credit<'a> {
    at: Seconds,
    invoice: Option<&'a str>,
    request: Option<&'a str>,
}

impl<'a> InvoiceEvidence<'a> {
    /// The books of facts in their order.
    #[must_use]
    pub fn of(ordered: &[&'a Fact]) -> Self {
        let mut books = Self {
            failed: failed(ordered),
            changes: changes(ordered),
            ..Self::default()
        };
        books.paid = books.paid_changes(ordered);
        let mut failed = std::mem::take(&mut books.failed);
        for failed in failed.iter_mut().filter(|f| f.of_change) {
            if let Some(upgrade) = books.upgrade_of(failed, ordered) {
                books.held.entry(upgrade).or_insert_with(|| failed.invoice.clone());
                failed.holds = true;
            }
        }
        books.failed = failed;
        books.credited = credits(ordered).iter().filter_map(|c| books.change_of(c)).collect();
        books
    }

    /// What is known of the fact at this place.
    #[must_use]
    pub fn evidence(&self, place: usize) -> ChangeEvidence<'_> {
        ChangeEvidence {
            held_by: self.held.get(&place).map(String::as_str),
            credited: self.credited.contains(&place),
            paid: self.paid.contains(&place),
        }
    }

    /// The changes that invoices of their own paid for: each names its invoice
    /// as its latest, else is the nearest within a minute that names no other.
    fn paid_changes(&self, ordered: &[&Fact]) -> BTreeSet<usize> {
        let paid = invoices(ordered).filter(|(_, i)| i.step == InvoiceStep::Paid && i.settles_change() && i.total > 0);
        let change = |(at, invoice): (Seconds, &InvoiceFact)| {
            let apart = |c: &PriceChange<'_>| (c.at - at).abs();
            let near = |c: &&PriceChange<'_>| c.own_invoice.is_none() && apart(c) <= NEAR;
            let names = |c: &&PriceChange<'_>| c.own_invoice == Some(&invoice.invoice);
            let nearest = || self.changes.iter().filter(near).min_by_key(|c| (apart(c), !c.rises));
            self.changes.iter().find(names).or_else(nearest).map(|c| c.place)
        };
        paid.filter_map(change).collect()
    }

    /// The upgrade that a failed invoice was for: the one that names it as its
    /// latest, else the nearest in time that names no other and was not paid for.
    fn upgrade_of(&self, failed: &FailedInvoice, ordered: &[&Fact]) -> Option<usize> {
        let settles = |f: &&Fact| matches!(&f.body, FactBody::Invoice(i) if failed.settled_by(i, f.created));
        let known = &ordered[..ordered.iter().position(settles).unwrap_or(ordered.len())];
        let mut latest = known.iter().map(|f| snapshot(f)?.latest_invoice.as_deref());
        let named = latest.position(|id| id == Some(&failed.invoice));
        let rises = || self.changes.iter().filter(|c| c.rises && c.place < known.len());
        if let Some(own) = rises().find(|c| Some(c.place) == named) {
            return Some(own.place);
        }
        // A change that is pending until it is paid names its invoice without rising.
        let far = if named.is_some() { NEAR } else { Seconds::MAX };
        rises()
            .filter(|c| c.own_invoice.is_none() && c.at <= failed.at + NEAR)
            .filter(|c| !self.paid.contains(&c.place) && !renewed(&known[c.place..], c.at, failed.at))
            .map(|c| ((c.at - failed.at).abs(), c.place))
            .filter(|(apart, _)| *apart <= far)
            .min()
            .map(|(_, place)| place)
    }

    /// The change that a credit was for: the one that names its invoice, or was
    /// made by the same request, else the nearest within a minute.
    fn change_of(&self, credit: &Credit<'_>) -> Option<usize> {
        let apart = |c: &PriceChange<'_>| (c.since - credit.at).max(credit.at - c.at).max(0);
        let own = |c: &&PriceChange<'_>| {
            apart(c) <= OWN
                && (c.own_invoice.is_some() && c.own_invoice == credit.invoice
                    || c.request.is_some() && c.request == credit.request)
        };
        let of_another = |c: &PriceChange<'_>| c.own_invoice.is_some() && credit.invoice.is_some();
        let near = self.changes.iter().filter(|c| apart(c) <= NEAR && !of_another(c));
        self.changes
            .iter()
            .find(own)
            .or_else(|| near.min_by_key(|c| (apart(c), c.rises, c.place)))
            .map(|c| c.place)
    }
}

/// Whether a failed invoice was for `period`: one that begins with it. (Another
/// may bill some of its time, such as the months after a year was left.)
#[must_use]
pub fn unpaid(failed: &[FailedInvoice], period: Period) -> bool {
    failed.iter().filter(|f| !f.holds).any(|f| match f.period {
        Some(p) => p.start == period.start,
        // Prorations settle a change; they are not what pays for a period.
        None => !f.of_change,
    })
}

/// Whether a cycle that began after `change` was paid before `until`.
fn renewed(facts: &[&Fact], change: Seconds, until: Seconds) -> bool {
    let began = |i: &InvoiceFact| i.pays_for().is_none_or(|p| p.start >= change);
    invoices(facts).any(|(at, i)| at <= until && i.step == InvoiceStep::Paid && i.renews() && began(i))
}

fn snapshot(fact: &Fact) -> Option<&Snapshot> {
    match &fact.body {
        FactBody::Subscription(s) => Some(&s.now),
        _ => None,
    }
}

fn invoices<'a>(ordered: &[&'a Fact]) -> impl Iterator<Item = (Seconds, &'a InvoiceFact)> {
    ordered.iter().filter_map(|fact| match &fact.body {
        FactBody::Invoice(invoice) => Some((fact.created, invoice)),
        _ => None,
    })
}

/// What failed and was not paid itself, before or since.
fn failed(ordered: &[&Fact]) -> Vec<FailedInvoice> {
    let paid = invoices(ordered).filter(|(_, i)| i.step == InvoiceStep::Paid);
    let paid: BTreeSet<&str> = paid.map(|(_, i)| i.invoice.as_str()).collect();
    let mut failed: BTreeMap<&str, FailedInvoice> = BTreeMap::new();
    for (at, invoice) in invoices(ordered).filter(|(_, i)| i.step != InvoiceStep::Paid) {
        if paid.contains(invoice.invoice.as_str()) {
            continue;
        }
        let told = failed.entry(&invoice.invoice).or_insert_with(|| FailedInvoice {
            invoice: invoice.invoice.clone(),
            at,
            period: None,
            of_change: invoice.settles_change(),
            from: None,
            holds: false,
        });
        told.period = invoice.pays_for();
        let starts = invoice.lines.iter().filter_map(|l| l.period).map(|p| p.start);
        told.from = told.period.map(|p| p.start).or(starts.max());
    }
    failed.into_values().collect()
}

/// Every change of the price; what a change started from is its own word for it,
/// else what was seen before.
fn changes<'a>(ordered: &[&'a Fact]) -> Vec<PriceChange<'a>> {
    let mut changes = Vec::new();
    let mut known: BTreeSet<&str> = BTreeSet::new();
    let (mut plan, mut seen) = (None, None);
    for (place, fact) in ordered.iter().enumerate() {
        let FactBody::Subscription(s) = &fact.body else {
            continue;
        };
        let from = s.before.as_ref().and_then(|b| b.plan.as_ref()).or(plan);
        known.extend(s.before.as_ref().and_then(|b| b.latest_invoice.as_deref()));
        let names = s.now.latest_invoice.as_deref();
        let own_invoice = names.filter(|id| known.insert(id));
        let before = seen.replace(fact.created).filter(|_| s.phase == Phase::Read);
        let Some(to) = &s.now.plan else { continue };
        if let Some(from) = from.filter(|from| from.price != to.price) {
            changes.push(PriceChange {
                place,
                at: fact.created,
                since: before.unwrap_or(fact.created),
                rises: from.rank < to.rank,
                own_invoice,
                request: s.request.as_deref(),
            });
        }
        plan = Some(to);
    }
    changes
}

/// Each credit once, at the first time that it was told.
fn credits<'a>(ordered: &[&'a Fact]) -> Vec<Credit<'a>> {
    let mut told: BTreeSet<&str> = BTreeSet::new();
    let mut credits = Vec::new();
    for fact in ordered {
        let credit = match &fact.body {
            FactBody::Invoice(i) if i.credits() => (&i.invoice, Some(i.invoice.as_str()), &i.request),
            FactBody::InvoiceItem(i) if i.credits() => (&i.item, None, &i.request),
            _ => continue,
        };
        if told.insert(credit.0) {
            credits.push(Credit {
                at: fact.created,
                invoice: credit.1,
                request: credit.2.as_deref(),
            });
        }
    }
    credits
}

#[cfg(test)]
#[path = "invoices_tests.rs"]
mod tests;
