//! The books of a subscription: what its invoices say in the end about what was
//! paid, failed and given back, and which change each of them belongs to.

use super::fact::{Fact, InvoiceFact, InvoiceStep, Period, Said, Seconds, Snapshot};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A credit this near to a change, in seconds either way, belongs to it.
const NEAR: Seconds = 60;
/// An invoice or request that a change names is its own within this time,
/// in seconds either way.
pub const OWN: Seconds = 3_600;

/// An invoice that failed and was not paid since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
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
    /// The API request that caused it.
    pub request: Option<String>,
}

/// All that the invoices of a subscription say, with all facts known.
#[derive(Debug, Default)]
pub struct Books<'a> {
    /// What failed and was not paid since, by invoice id.
    pub failed: Vec<Failed>,
    /// The upgrades whose invoice failed: place of the fact → invoice id.
    held: BTreeMap<usize, String>,
    /// The changes that were credited: places of their facts.
    credited: BTreeSet<usize>,
    changes: Vec<Change<'a>>,
}

/// A change of the price.
#[derive(Debug)]
struct Change<'a> {
    /// The place of its fact.
    place: usize,
    at: Seconds,
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

impl<'a> Books<'a> {
    /// The books of facts in their order.
    #[must_use]
    pub fn of(ordered: &[&'a Fact]) -> Self {
        let mut books = Self {
            failed: failed(ordered),
            changes: changes(ordered),
            ..Self::default()
        };
        for failed in books.failed.iter().filter(|f| f.of_change) {
            if let Some(change) = books.upgrade_of(failed, ordered) {
                books.held.entry(change).or_insert_with(|| failed.invoice.clone());
            }
        }
        books.credited = credits(ordered).iter().filter_map(|c| books.change_of(c)).collect();
        books
    }

    /// The failed invoice of the upgrade at this place, if it is one.
    #[must_use]
    pub fn held_by(&self, place: usize) -> Option<&str> {
        self.held.get(&place).map(String::as_str)
    }

    /// Whether the change at this place gave money back.
    #[must_use]
    pub fn credited(&self, place: usize) -> bool {
        self.credited.contains(&place)
    }

    /// The upgrade that a failed invoice was for: the one that names it as its
    /// latest, else the nearest in time that names no other.
    fn upgrade_of(&self, failed: &Failed, ordered: &[&Fact]) -> Option<usize> {
        let named = ordered
            .iter()
            .position(|f| snapshot(f).is_some_and(|s| s.latest_invoice.as_deref() == Some(&failed.invoice)));
        let rises = || self.changes.iter().filter(|c| c.rises);
        if let Some(own) = rises().find(|c| Some(c.place) == named) {
            return Some(own.place);
        }
        // A change that is pending until it is paid names its invoice without rising.
        let far = if named.is_some() { NEAR } else { Seconds::MAX };
        rises()
            .filter(|c| c.own_invoice.is_none() && c.at <= failed.at + NEAR)
            .map(|c| ((c.at - failed.at).abs(), c.place))
            .filter(|(apart, _)| *apart <= far)
            .min()
            .map(|(_, place)| place)
    }

    /// The change that a credit was for: the one that names its invoice, or was
    /// made by the same request, else the nearest within a minute.
    fn change_of(&self, credit: &Credit<'_>) -> Option<usize> {
        let apart = |c: &Change<'_>| (c.at - credit.at).abs();
        let own = |c: &&Change<'_>| {
            apart(c) <= OWN
                && (c.own_invoice.is_some() && c.own_invoice == credit.invoice
                    || c.request.is_some() && c.request == credit.request)
        };
        let of_another = |c: &Change<'_>| c.own_invoice.is_some() && credit.invoice.is_some();
        let near = self.changes.iter().filter(|c| apart(c) <= NEAR && !of_another(c));
        self.changes
            .iter()
            .find(own)
            .or_else(|| near.min_by_key(|c| (apart(c), c.rises, c.place)))
            .map(|c| c.place)
    }
}

/// Whether `period` is one that a failed invoice was for; `held` does not count:
/// its upgrade is as if it had not happened.
#[must_use]
pub fn unpaid(failed: &[Failed], period: Period, held: Option<&str>) -> bool {
    failed
        .iter()
        .filter(|f| Some(f.invoice.as_str()) != held)
        .any(|f| match f.period {
            Some(p) => p.start < period.end && period.start < p.end,
            // Prorations settle a change; they are not what pays for a period.
            None => !f.of_change,
        })
}

fn snapshot(fact: &Fact) -> Option<&Snapshot> {
    match &fact.said {
        Said::Subscription(s) => Some(&s.now),
        _ => None,
    }
}

fn invoices<'a>(ordered: &[&'a Fact]) -> impl Iterator<Item = (Seconds, &'a InvoiceFact)> {
    ordered.iter().filter_map(|fact| match &fact.said {
        Said::Invoice(invoice) => Some((fact.created, invoice)),
        _ => None,
    })
}

/// What failed, and was neither paid itself since nor settled by the paid cycle
/// invoice of a later time.
fn failed(ordered: &[&Fact]) -> Vec<Failed> {
    let paid = || invoices(ordered).filter(|(_, i)| i.step == InvoiceStep::Paid);
    let paid_ids: BTreeSet<&str> = paid().map(|(_, i)| i.invoice.as_str()).collect();
    let cycles: Vec<(Seconds, Option<Period>)> = paid()
        .filter(|(_, i)| i.renews())
        .map(|(at, i)| (at, i.pays_for()))
        .collect();
    let mut failed: BTreeMap<&str, Failed> = BTreeMap::new();
    for (at, invoice) in invoices(ordered).filter(|(_, i)| i.step != InvoiceStep::Paid) {
        if paid_ids.contains(invoice.invoice.as_str()) {
            continue;
        }
        let first = failed.entry(&invoice.invoice).or_insert_with(|| Failed {
            invoice: invoice.invoice.clone(),
            at,
            period: None,
            of_change: invoice.settles_change(),
            from: None,
            request: invoice.request.clone(),
        });
        first.at = first.at.min(at);
        first.period = invoice.pays_for();
        let starts = invoice.lines.iter().filter_map(|l| l.period).map(|p| p.start);
        first.from = first.period.map(|p| p.start).or(starts.max());
    }
    let settled = |f: &Failed| {
        cycles.iter().any(|(at, period)| {
            let later = f.from.zip(*period).is_none_or(|(from, p)| p.start >= from);
            *at > f.at && later
        })
    };
    failed.into_values().filter(|f| !settled(f)).collect()
}

/// Every change of the price; what a change started from is its own word for it,
/// else what was seen before.
fn changes<'a>(ordered: &[&'a Fact]) -> Vec<Change<'a>> {
    let mut changes = Vec::new();
    let mut known: BTreeSet<&str> = BTreeSet::new();
    let mut plan = None;
    for (place, fact) in ordered.iter().enumerate() {
        let Said::Subscription(s) = &fact.said else { continue };
        let from = s.before.as_ref().and_then(|b| b.plan.as_ref()).or(plan);
        let names = s.now.latest_invoice.as_deref();
        let own_invoice = names.filter(|id| known.insert(id));
        let Some(to) = &s.now.plan else { continue };
        if let Some(from) = from.filter(|from| from.price != to.price) {
            changes.push(Change {
                place,
                at: fact.created,
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
        let credit = match &fact.said {
            Said::Invoice(i) if i.credits() => (&i.invoice, Some(i.invoice.as_str()), &i.request),
            Said::InvoiceItem(i) if i.credits() => (&i.item, None, &i.request),
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
