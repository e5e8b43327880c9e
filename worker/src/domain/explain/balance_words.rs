//! What moved a balance, in words.

use super::{
    meter_history::PaidFrom,
    words::{Moment, span, tells, units},
};
use crate::domain::{
    balance::{
        closing::Closing,
        terms::Term,
        timeline::{EntryKind, MeterBalance, Timeline, TimelineEntry},
        waterfall::{CarriedBalance, MeterLimits, UnitLimit},
    },
    fact::Fact,
};

/// What there is to know of the changes of one meter.
#[derive(Debug, Clone, Copy)]
pub(super) struct MeterContext<'a> {
    pub(super) story: &'a Timeline,
    pub(super) facts: &'a [&'a Fact],
    pub(super) meter: &'a str,
}

impl MeterContext<'_> {
    /// What is included from a term on; in a period that `is_new` to the user
    /// use is counted anew.
    pub(super) fn included(&self, term: &Term, is_new: bool, used: i64) -> String {
        let included = included(term.limits_of(self.meter));
        if !is_new {
            return format!("from here on {included}");
        }
        let counted = match used {
            0 => String::new(),
            used => format!("; {} of its use are counted already", units(used)),
        };
        format!(
            "period of {}, {}: {included}{counted}",
            term.subscription,
            span(term.period)
        )
    }

    /// What is included once a grace is over.
    pub(super) fn over(&self, term: &Term) -> String {
        let limits = MeterLimits {
            lifted: None,
            ..term.limits_of(self.meter)
        };
        format!("the grace is over: from here on {}", included(limits))
    }

    /// Why nothing of a period came in; none for a meter that never rolls over.
    pub(super) fn nothing(&self, closing: &Closing) -> Option<String> {
        self.cap(closing)?;
        let why = if closing.paid {
            "nothing was left of what was paid for"
        } else {
            "it was not paid for itself"
        };
        Some(format!(
            "invoice {}: nothing rolls over from {}, {why}",
            closing.invoice,
            span(closing.ended)
        ))
    }

    /// The most that rollover may hold, as the plan of a period had it.
    fn cap(&self, closing: &Closing) -> Option<i64> {
        let own = |t: &&Term| t.subscription == closing.subscription && t.since < closing.ended.end;
        let term = self.story.terms.iter().rev().find(own)?;
        term.caps.get(self.meter).copied()
    }

    /// An entry other than usage, given the purse before it.
    pub(super) fn entry(&self, entry: &TimelineEntry, before: CarriedBalance) -> String {
        let (amount, cause) = (units(entry.amount), &entry.cause);
        let (rollover, purchased) = (entry.change.rollover, entry.change.purchased);
        match entry.kind {
            EntryKind::Rollover => self.rolled(entry, before),
            EntryKind::Grant => {
                let bought = self.story.purchases.iter().find(|b| b.session == *cause);
                let pack = bought.map_or(String::new(), |b| format!(", pack {}", b.pack));
                format!("grant of {cause}{pack}: {}", came(rollover, purchased))
            }
            EntryKind::TakenBack => {
                let parts = parts(&[
                    (-purchased, "from what was purchased"),
                    (-rollover, "are spent already and become debt"),
                ]);
                format!("{amount} taken back by {cause}{}: {parts}", self.because(cause))
            }
            EntryKind::Returned => format!(
                "{amount} returned by {cause}{}: {}",
                self.because(cause),
                came(rollover, purchased)
            ),
            EntryKind::Usage | EntryKind::Correction => format!("{amount} by {cause}"),
        }
    }

    fn rolled(&self, entry: &TimelineEntry, before: CarriedBalance) -> String {
        let closing = self.story.closings.iter().find(|c| c.invoice == entry.cause);
        let of = closing.map_or(String::new(), |c| format!(" of {}", span(c.ended)));
        let came = entry.change.rollover;
        let cap = closing.and_then(|c| self.cap(c)).filter(|_| came < entry.amount);
        let cap = cap.map_or(String::new(), |cap| format!(", up to the cap of {}", units(cap)));
        let debt = before.rollover.saturating_neg().max(0).min(came);
        let debt = match debt {
            0 => String::new(),
            debt => format!("; {} of them pay off debt", units(debt)),
        };
        format!(
            "rollover by invoice {}: {} were left{of}, {} come in{cap}{debt}",
            entry.cause,
            units(entry.amount),
            units(came)
        )
    }

    /// What the ledger was corrected by, and why.
    pub(super) fn correction(&self, entry: &TimelineEntry) -> String {
        let signed = |(by, what): (i64, &str)| {
            let sign = if by > 0 { "+" } else { "" };
            (by != 0).then(|| format!("{what} {sign}{}", units(by)))
        };
        let change = entry.change;
        let changed = [
            (change.used, "used"),
            (change.rollover, "rollover"),
            (change.purchased, "purchased"),
        ];
        let changed: Vec<String> = changed.into_iter().filter_map(signed).collect();
        format!(
            "correction by {}{}: {}, for it changed what had been decided before",
            entry.cause,
            self.because(&entry.cause),
            changed.join(", ")
        )
    }

    /// What an event told, in brackets.
    fn because(&self, event: &str) -> String {
        let fact = self.facts.iter().find(|f| f.event_id.as_str() == event);
        let told = fact.and_then(|f| tells(f));
        told.map_or(String::new(), |told| format!(" ({told})"))
    }
}

fn included(limits: MeterLimits) -> String {
    let of = |limit: UnitLimit| match limit {
        None => "use is unlimited".to_owned(),
        Some(0) => "nothing is included".to_owned(),
        Some(limit) => format!("{} are included", units(limit)),
    };
    match limits.lifted {
        Some((lifted, until)) => format!(
            "{} until {} (grace), then {}",
            of(lifted),
            Moment(until),
            of(limits.own)
        ),
        None => of(limits.own),
    }
}

/// Where credits went that came in.
fn came(rollover: i64, purchased: i64) -> String {
    parts(&[
        (rollover, "pay off debt"),
        (purchased, "are added to what was purchased"),
    ])
}

/// By which bucket use was paid.
pub(super) fn paid(paid: PaidFrom) -> String {
    parts(&[
        (paid.limit, "from the limit"),
        (paid.rollover, "from rollover"),
        (paid.purchased, "from what was purchased"),
        (paid.debt, "are debt"),
    ])
}

fn parts(parts: &[(i64, &str)]) -> String {
    let told = parts.iter().filter(|(units, _)| *units != 0);
    let told: Vec<String> = told.map(|(many, what)| format!("{} {what}", units(*many))).collect();
    if told.is_empty() {
        return "nothing".to_owned();
    }
    told.join(", ")
}

/// Usages that follow each other, summed up; how many, if that is known.
pub(super) fn run(usages: impl Iterator<Item = PaidFrom>, count: Option<usize>, from: Moment, to: Moment) -> String {
    let sum = usages.fold(PaidFrom::default(), |sum, more| PaidFrom {
        limit: sum.limit.saturating_add(more.limit),
        rollover: sum.rollover.saturating_add(more.rollover),
        purchased: sum.purchased.saturating_add(more.purchased),
        debt: sum.debt.saturating_add(more.debt),
    });
    let count = count.map_or("many".to_owned(), |count| {
        units(i64::try_from(count).unwrap_or(i64::MAX))
    });
    format!("{count} usages from {from} to {to}: {}", paid(sum))
}

/// What may still be used, as `billing.balances` says it; none is unlimited.
pub(super) fn available(balance: &MeterBalance, limit: UnitLimit) -> Option<i64> {
    let left = i128::from(limit?) - i128::from(balance.used);
    let all = left.max(0) + i128::from(balance.carried.rollover) + i128::from(balance.carried.purchased);
    Some(i64::try_from(all).unwrap_or(if all > 0 { i64::MAX } else { i64::MIN }))
}

/// What is left, in a sentence.
pub(super) fn summary(balance: &MeterBalance, limit: UnitLimit) -> String {
    let used = units(balance.used);
    let period = match (limit, &balance.window) {
        (_, None) => "Nothing is included".to_owned(),
        (None, Some(_)) => format!("Unlimited, {used} used in this period"),
        (Some(0), Some(_)) => "Nothing is included in this period".to_owned(),
        (Some(limit), Some(_)) => format!(
            "{} of {} left in this period",
            units(limit.saturating_sub(balance.used).max(0)),
            units(limit)
        ),
    };
    let rollover = match balance.carried.rollover {
        debt if debt < 0 => format!("a debt of {}", units(debt.saturating_neg())),
        rollover => format!("{} rolled over", units(rollover)),
    };
    let left = available(balance, limit).map_or("unlimited".to_owned(), units);
    format!(
        "{period}, {rollover}, {} purchased: {left} available.",
        units(balance.carried.purchased)
    )
}
