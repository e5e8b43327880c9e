//! The balances of a user: each change of a meter in order, which bucket it was
//! paid from or came into, and why. The story replayed, use by use, as of a moment.

use super::{
    balance_words::{self, MeterContext},
    explanation::ExplainRequest,
    meter_history::{BalanceLine, EARLIER_USAGE, LedgerRecord, LineKind, MeterHistory, PaidFrom},
    words::Moment,
};
use crate::domain::{
    balance::{
        closing::Closing,
        replay::replay,
        terms::{Term, Window},
        timeline::{self, MeterBalance, Timeline, TimelineEntry, UsageSum},
        waterfall::{BalanceChange, Overflow},
    },
    fact::{Fact, Seconds},
};
use std::collections::{BTreeMap, BTreeSet};

/// More usages than these are summed up where they follow each other.
const USAGES_MOST: usize = 50;

/// All meters of the user in these facts and entries, as of the question's moment.
pub(super) fn meters(facts: &[Fact], recorded: &[LedgerRecord], question: &ExplainRequest<'_>) -> Vec<MeterHistory> {
    let facts: Vec<&Fact> = facts.iter().filter(|f| f.created <= question.at).collect();
    let mut story = Timeline::of(question.user, facts.iter().copied());
    if question.is_past {
        cut(&mut story, question.at);
    }
    let mut by_meter: BTreeMap<String, Vec<&TimelineEntry>> =
        story.meters().into_iter().map(|m| (m, Vec::new())).collect();
    for LedgerRecord { meter, entry } in recorded.iter().filter(|r| r.entry.at <= question.at) {
        by_meter.entry(meter.clone()).or_default().push(entry);
    }
    let tell = |(meter, entries): (String, Vec<&TimelineEntry>)| {
        let teller = MeterContext {
            story: &story,
            facts: &facts,
            meter: &meter,
        };
        told(&teller, &entries, question.at).unwrap_or_else(|Overflow| MeterHistory::beyond(&meter))
    };
    by_meter.into_iter().map(tell).collect()
}

/// Leaves of a story what has begun by a moment: the events of a test clock tell
/// of times that are long after they are told.
fn cut(story: &mut Timeline, at: Seconds) {
    story.terms.retain(|t| t.since <= at);
    story.closings.retain(|c| c.at <= at);
    story.purchases.retain(|b| b.at <= at);
    for bought in &mut story.purchases {
        bought.taken_back.retain(|t| t.at <= at);
    }
}

/// What moves a meter, or decides about it.
#[derive(Debug, Clone, Copy)]
enum Step<'a> {
    Term(&'a Term),
    /// What a grace lends is over.
    Over(&'a Term),
    /// A closing of which nothing came in.
    Nothing(&'a Closing),
    /// An entry of the replay.
    TimelineEntry(&'a TimelineEntry),
    Usage(&'a TimelineEntry),
}

impl Step<'_> {
    /// The order within one second, which is that of the replay.
    fn rank(&self) -> u8 {
        match self {
            Self::Term(_) => 0,
            Self::Over(_) | Self::Nothing(_) => 1,
            Self::TimelineEntry(entry) => match entry.kind {
                timeline::EntryKind::Rollover => 1,
                timeline::EntryKind::Grant => 2,
                _ => 3,
            },
            Self::Usage(_) => 4,
        }
    }
}

fn told(teller: &MeterContext<'_>, recorded: &[&TimelineEntry], at: Seconds) -> Result<MeterHistory, Overflow> {
    let is_usage = |e: &&&TimelineEntry| e.kind == timeline::EntryKind::Usage;
    let usage: Vec<&TimelineEntry> = recorded.iter().filter(is_usage).copied().collect();
    let spent = usage.iter().map(|e| UsageSum {
        at: e.at,
        amount: e.amount,
    });
    let replayed = replay(teller.story, teller.meter, &spent.collect::<Vec<_>>())?;
    let mut player = Player {
        teller,
        balance: MeterBalance::default(),
        used: BTreeMap::new(),
        lines: Vec::new(),
    };
    for (at, step) in steps(teller, &replayed.entries, &usage, at) {
        player.step(at, step)?;
    }
    let balance = replayed.balance;
    let plan_limit = balance.limits.at(at);
    let corrections = recorded.iter().filter(|e| e.kind == timeline::EntryKind::Correction);
    Ok(MeterHistory {
        meter: teller.meter.to_owned(),
        summary: balance_words::summary(&balance, plan_limit),
        plan_limit,
        used: balance.used,
        rollover: balance.carried.rollover,
        purchased: balance.carried.purchased,
        available: balance_words::available(&balance, plan_limit),
        lines: player.lines,
        corrections: corrections
            .map(|e| BalanceLine::of(e, LineKind::Correction, teller.correction(e)))
            .collect(),
    })
}

fn steps<'a>(
    teller: &MeterContext<'a>,
    entries: &'a [TimelineEntry],
    usage: &[&'a TimelineEntry],
    at: Seconds,
) -> Vec<(Seconds, Step<'a>)> {
    let story = teller.story;
    let mut steps: Vec<(Seconds, Step<'a>)> = Vec::new();
    for (place, term) in story.terms.iter().enumerate() {
        steps.push((term.since, Step::Term(term)));
        let next = story.terms.get(place + 1).map_or(Seconds::MAX, |t| t.since);
        let over = term.limits_of(teller.meter).lifted.map(|(_, until)| until);
        steps.extend(
            over.filter(|until| *until < next && *until <= at)
                .map(|u| (u, Step::Over(term))),
        );
    }
    let came: BTreeSet<&str> = entries
        .iter()
        .filter(|e| e.kind == timeline::EntryKind::Rollover)
        .map(|e| e.cause.as_str())
        .collect();
    let nothing = story.closings.iter().filter(|c| !came.contains(c.invoice.as_str()));
    steps.extend(nothing.map(|c| (c.at, Step::Nothing(c))));
    steps.extend(entries.iter().map(|e| (e.at, Step::TimelineEntry(e))));
    steps.extend(usage.iter().map(|e| (e.at, Step::Usage(e))));
    steps.sort_by_key(|(at, step)| (*at, step.rank()));
    steps
}

/// Goes through the steps as the replay does, and tells each.
struct Player<'t, 'a> {
    teller: &'t MeterContext<'a>,
    balance: MeterBalance,
    used: BTreeMap<Option<Window>, i64>,
    lines: Vec<BalanceLine>,
}

impl Player<'_, '_> {
    fn step(&mut self, at: Seconds, step: Step<'_>) -> Result<(), Overflow> {
        let line = match step {
            Step::Term(term) => self.begin(term),
            Step::Over(term) => {
                let words = self.teller.over(term);
                Some(BalanceLine::telling(
                    at,
                    LineKind::Limit,
                    term.subscription.as_str(),
                    words,
                ))
            }
            Step::Nothing(closing) => self
                .teller
                .nothing(closing)
                .map(|words| BalanceLine::telling(at, LineKind::NoRollover, &closing.invoice, words)),
            Step::TimelineEntry(entry) => {
                let words = self.teller.entry(entry, self.balance.carried);
                self.balance.carried = self.balance.carried.after(entry.change)?;
                Some(BalanceLine::of(entry, kind(entry.kind), words))
            }
            Step::Usage(entry) => Some(self.spend(at, entry)?),
        };
        let left = balance_words::available(&self.balance, self.balance.limits.at(at));
        self.lines.extend(line.map(|line| BalanceLine {
            available: left,
            ..line
        }));
        Ok(())
    }

    fn begin(&mut self, term: &Term) -> Option<BalanceLine> {
        let (window, limits) = (Some(term.window()), term.limits_of(self.teller.meter));
        let is_new = window != self.balance.window;
        if !is_new && limits == self.balance.limits {
            return None;
        }
        self.balance.used = self.used.get(&window).copied().unwrap_or_default();
        self.balance.window = window;
        self.balance.limits = limits;
        let words = self.teller.included(term, is_new, self.balance.used);
        Some(BalanceLine::telling(
            term.since,
            LineKind::Limit,
            term.subscription.as_str(),
            words,
        ))
    }

    fn spend(&mut self, at: Seconds, entry: &TimelineEntry) -> Result<BalanceLine, Overflow> {
        let before = self.balance.carried;
        let change = self.balance.spend(at, entry.amount)?;
        *self.used.entry(self.balance.window.clone()).or_default() += change.used;
        let rolled = before.rollover.max(0).min(-change.rollover);
        let paid = PaidFrom {
            limit: change.used,
            rollover: rolled,
            purchased: -change.purchased,
            debt: -change.rollover - rolled,
        };
        let entry = TimelineEntry {
            change,
            ..entry.clone()
        };
        let words = format!("usage {}: {}", entry.cause, balance_words::paid(paid));
        let line = BalanceLine::of(&entry, LineKind::Usage, words);
        Ok(BalanceLine {
            paid: Some(paid),
            ..line
        })
    }
}

fn kind(of: timeline::EntryKind) -> LineKind {
    match of {
        timeline::EntryKind::Rollover => LineKind::Rollover,
        timeline::EntryKind::Grant => LineKind::Grant,
        timeline::EntryKind::TakenBack => LineKind::TakenBack,
        timeline::EntryKind::Returned => LineKind::Returned,
        timeline::EntryKind::Usage => LineKind::Usage,
        timeline::EntryKind::Correction => LineKind::Correction,
    }
}

impl BalanceLine {
    fn of(entry: &TimelineEntry, kind: LineKind, words: String) -> Self {
        let BalanceChange {
            used,
            rollover,
            purchased,
        } = entry.change;
        Self {
            at: Moment(entry.at),
            kind,
            cause: entry.cause.clone(),
            amount: entry.amount,
            paid: None,
            used,
            rollover,
            purchased,
            available: None,
            words,
        }
    }

    fn telling(at: Seconds, kind: LineKind, cause: &str, words: String) -> Self {
        Self {
            at: Moment(at),
            kind,
            cause: cause.to_owned(),
            amount: 0,
            paid: None,
            used: 0,
            rollover: 0,
            purchased: 0,
            available: None,
            words,
        }
    }
}

impl MeterHistory {
    fn beyond(meter: &str) -> Self {
        Self {
            meter: meter.to_owned(),
            summary: "It cannot be told: it would be beyond what 64 bits hold.".to_owned(),
            plan_limit: Some(0),
            used: 0,
            rollover: 0,
            purchased: 0,
            available: Some(0),
            lines: Vec::new(),
            corrections: Vec::new(),
        }
    }

    /// The lines to be read by people: of many usages, those that follow each
    /// other are summed up.
    #[must_use]
    pub fn summed_lines(&self) -> Vec<(Moment, String)> {
        let is_usage = |line: &&BalanceLine| line.kind == LineKind::Usage;
        let sums_up = self.lines.iter().filter(is_usage).count() > USAGES_MOST;
        let same = |a: &BalanceLine, b: &BalanceLine| sums_up && is_usage(&a) && is_usage(&b);
        let runs = self.lines.chunk_by(same);
        runs.filter_map(|run| {
            let (first, last) = (run.first()?, run.last()?);
            let words = if run.len() == 1 {
                first.words.clone()
            } else {
                let count = run.iter().all(|l| l.cause != EARLIER_USAGE).then_some(run.len());
                balance_words::run(run.iter().filter_map(|l| l.paid), count, first.at, last.at)
            };
            Some((first.at, words))
        })
        .collect()
    }
}

#[cfg(test)]
#[path = "balances_tests.rs"]
mod tests;
