//! The words for what changes a balance.

use super::{
    limit_words,
    meter_history::PaidFrom,
    sold::SoldHistory,
    words::{detail, span, units},
};
use crate::domain::{
    balance::{
        closing::Closing,
        cuts::{Cut, CutReason},
        terms::Term,
        timeline::{EntryKind, MeterBalance, Timeline, TimelineEntry},
        waterfall::{CarriedBalance, UnitLimit},
    },
    fact::Fact,
    moment::Moment,
};

/// What the words about one meter are made from.
#[derive(Debug, Clone, Copy)]
pub(super) struct MeterContext<'a> {
    pub(super) timeline: &'a Timeline,
    pub(super) facts: &'a [&'a Fact],
    pub(super) sold: &'a SoldHistory,
    pub(super) meter: &'a str,
}

impl MeterContext<'_> {
    /// The limit that a term begins with. `is_new`: the term begins another
    /// period. `used` is the usage that already counts in that period.
    pub(super) fn limit(&self, term: &Term, is_new: bool, used: i64) -> String {
        let why = match self.sold.why(term, self.meter, is_new) {
            why if why.is_empty() => String::new(),
            why => format!(" ({})", why.join("; ")),
        };
        let included = limit_words::included(term, self.meter);
        if !is_new {
            return format!("from here on {included}{why}");
        }
        let counted = match used {
            0 => String::new(),
            used => format!("; {} are used already", units(used)),
        };
        format!(
            "period of {}, {}: {included}{why}{counted}",
            term.subscription,
            span(term.period)
        )
    }

    /// Why nothing of a closed period rolled over; none for a meter that never rolls over.
    pub(super) fn no_rollover(&self, closing: &Closing) -> Option<String> {
        self.cap(closing)?;
        let period = self.sold.period(&closing.subscription, closing.ended);
        let was_trial = period.is_some_and(|p| self.sold.was_trial(&closing.subscription, p));
        let why = match closing.paid {
            _ if was_trial => "it was a trial",
            true => "no paid units were left",
            false if period.is_some_and(|p| p.returned) => "the money of its invoice went back",
            false => "that period was not paid",
        };
        Some(format!(
            "invoice {}: nothing rolls over from {}, {why}",
            closing.invoice,
            span(closing.ended)
        ))
    }

    /// Why nothing is kept of a period that ended early, if nothing is.
    pub(super) fn nothing_kept(&self, cut: &Cut) -> Option<String> {
        let sold = units(cut.units.get(self.meter).copied().flatten()?);
        let (event, ended) = (&cut.event, span(cut.ended));
        match &cut.reason {
            CutReason::Uncredited => None,
            CutReason::Credited => Some(format!(
                "change {event} cut the period {ended} short, with credit for the rest: it had sold {sold} by then, and \
                 nothing of it is kept"
            )),
            CutReason::HandedOver(next) => Some(format!(
                "{} was handed over to {next} by {event}: {sold} were this user's part of the period {ended}, and what is \
                 left of it lapses",
                cut.subscription
            )),
        }
    }

    /// What a period that ended early left.
    fn cut_short(&self, entry: &TimelineEntry) -> String {
        let is_cause = |c: &&Cut| {
            let keeps = c.reason == CutReason::Uncredited;
            c.event.as_str() == entry.cause && keeps == (entry.kind == EntryKind::Carried)
        };
        let cut = self.timeline.cuts.iter().find(is_cause);
        let period = cut.map_or("its period".to_owned(), |c| format!("the period {}", span(c.ended)));
        let (cause, amount) = (&entry.cause, units(entry.amount));
        if entry.kind == EntryKind::Carried {
            return format!(
                "change {cause} cut {period} short, without credit: {amount} were left of it, and are kept"
            );
        }
        let sold = cut.and_then(|c| c.units.get(self.meter).copied().flatten());
        if let Some((next, part)) = cut.and_then(Cut::handed_to).zip(sold) {
            return format!(
                "handed over to {next} by {cause}: {} were this user's part of {period}; {amount} more were used, and \
                 become debt",
                units(part)
            );
        }
        let sold = sold.map_or(String::new(), |sold| format!("it had sold {} by then; ", units(sold)));
        format!(
            "change {cause} cut {period} short, with credit for the rest: {sold}{amount} more were used, and become debt"
        )
    }

    /// The cap of rollover in the plan of a closed period, in units.
    fn cap(&self, closing: &Closing) -> Option<i64> {
        closing.caps.get(self.meter).copied()
    }

    /// An entry other than usage; `before` are the carried units before it.
    pub(super) fn entry(&self, entry: &TimelineEntry, before: CarriedBalance) -> String {
        let (amount, cause) = (units(entry.amount), &entry.cause);
        let (rollover, purchased) = (entry.change.rollover, entry.change.purchased);
        match entry.kind {
            EntryKind::Rollover => self.rollover(entry, before),
            EntryKind::Carried | EntryKind::Overused => self.cut_short(entry),
            EntryKind::Grant => {
                let purchase = self
                    .timeline
                    .purchases
                    .iter()
                    .find(|p| p.sale == *cause && p.meter == self.meter);
                let pack = purchase.map_or(String::new(), |p| format!(", pack {}", p.pack));
                format!("grant of {cause}{pack}: {}", added(rollover, purchased))
            }
            EntryKind::TakenBack => {
                let parts = parts(&[
                    (-purchased, "from purchased credits"),
                    (-rollover, "are spent already and become debt"),
                ]);
                format!("{amount} taken back by {cause}{}: {parts}", self.because(cause))
            }
            EntryKind::Returned => format!(
                "{amount} returned by {cause}{}: {}",
                self.because(cause),
                added(rollover, purchased)
            ),
            EntryKind::Usage | EntryKind::Correction => format!("{amount} by {cause}"),
        }
    }

    fn rollover(&self, entry: &TimelineEntry, before: CarriedBalance) -> String {
        let closing = self.timeline.closings.iter().find(|c| c.invoice == entry.cause);
        let period = closing.map_or(String::new(), |c| format!(" in {}", span(c.ended)));
        let rolled = entry.change.rollover;
        let cap = match closing.and_then(|c| self.cap(c)) {
            Some(cap) if rolled < entry.amount => format!(", up to the cap of {}", units(cap)),
            _ => String::new(),
        };
        let debt = before.rollover.saturating_neg().max(0).min(rolled);
        let debt = match debt {
            0 => String::new(),
            debt => format!("; {} of them pay off debt", units(debt)),
        };
        format!(
            "rollover by invoice {}: {} were unused{period}, {} roll over{cap}{debt}",
            entry.cause,
            units(entry.amount),
            units(rolled)
        )
    }

    /// What a correction added to the ledger, and why.
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
            "correction by {}{}: {}, because it changed how earlier entries count",
            entry.cause,
            self.because(&entry.cause),
            changed.join(", ")
        )
    }

    /// What an event reports, in brackets.
    fn because(&self, event: &str) -> String {
        let fact = self.facts.iter().find(|f| f.event_id.as_str() == event);
        let detail = fact.and_then(|f| detail(f));
        detail.map_or(String::new(), |detail| format!(" ({detail})"))
    }
}

/// The end of a subscription that no event told of.
pub(super) fn untold_end(term: &Term) -> String {
    format!(
        "{} should have ended more than an hour ago, and no event says that it goes on: nothing is included",
        term.subscription
    )
}

/// Where added credits went.
fn added(rollover: i64, purchased: i64) -> String {
    parts(&[
        (rollover, "pay off debt"),
        (purchased, "are added to purchased credits"),
    ])
}

/// The buckets that paid for usage.
pub(super) fn paid_from(paid: PaidFrom) -> String {
    parts(&[
        (paid.limit, "from the limit"),
        (paid.rollover, "from rollover"),
        (paid.purchased, "from purchased credits"),
        (paid.debt, "are debt"),
    ])
}

fn parts(parts: &[(i64, &str)]) -> String {
    let nonzero = parts.iter().filter(|(number, _)| *number != 0);
    let words: Vec<String> = nonzero
        .map(|(number, what)| format!("{} {what}", units(*number)))
        .collect();
    if words.is_empty() {
        return "nothing".to_owned();
    }
    words.join(", ")
}

/// Neighbouring usage lines, summed up; `count` is their number, if it is known.
pub(super) fn usage_sum(
    usages: impl Iterator<Item = PaidFrom>,
    count: Option<usize>,
    from: Moment,
    to: Moment,
) -> String {
    let sum = usages.fold(PaidFrom::default(), |sum, more| PaidFrom {
        limit: sum.limit.saturating_add(more.limit),
        rollover: sum.rollover.saturating_add(more.rollover),
        purchased: sum.purchased.saturating_add(more.purchased),
        debt: sum.debt.saturating_add(more.debt),
    });
    let count = count.map_or("many".to_owned(), |count| {
        units(i64::try_from(count).unwrap_or(i64::MAX))
    });
    format!("{count} usages from {from} to {to}: {}", paid_from(sum))
}

/// The units that may still be used, by the rule of `billing.balances`; none is unlimited.
pub(super) fn available(balance: &MeterBalance, limit: UnitLimit) -> Option<i64> {
    let left = i128::from(limit?) - i128::from(balance.used);
    let all = left.max(0) + i128::from(balance.carried.rollover) + i128::from(balance.carried.purchased);
    Some(i64::try_from(all).unwrap_or(if all > 0 { i64::MAX } else { i64::MIN }))
}

/// What is left, in a sentence, and how the limit comes about.
pub(super) fn summary(balance: &MeterBalance, limit: UnitLimit, reason: Option<&str>) -> String {
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
    let reason = reason.map_or(String::new(), |reason| format!(" The limit of this period: {reason}."));
    format!(
        "{period}, {rollover}, {} purchased: {left} available.{reason}",
        units(balance.carried.purchased)
    )
}
