//! The ledger: what is to be added to it, so that its sum is what the story and
//! the usage say.

use super::{
    replay::Replayed,
    terms::Window,
    timeline::{EntryKind, Spent, TimelineEntry},
    waterfall::{BalanceChange, Overflow},
};
use crate::domain::fact::Seconds;
use std::collections::{BTreeMap, BTreeSet};

/// What a ledger holds of one meter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordedLines {
    /// Its sums by period; rollover and purchased count whatever the period.
    pub sums: BTreeMap<Option<Window>, BalanceChange>,
    /// What was entered, other than usage and corrections.
    pub causes: BTreeSet<(EntryKind, String)>,
    /// Usage, summed up between the cuts of the story.
    pub usage: Vec<Spent>,
}

/// A line to be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerLine {
    /// The entry.
    pub entry: TimelineEntry,
    /// The period that it counts in.
    pub window: Option<Window>,
}

impl RecordedLines {
    /// Notes a line that was added.
    ///
    /// # Errors
    /// [`Overflow`]
    pub fn add(&mut self, line: &LedgerLine) -> Result<(), Overflow> {
        let sum = self.sums.entry(line.window.clone()).or_default();
        *sum = sum.and(line.entry.change)?;
        match line.entry.kind {
            EntryKind::Usage => self.usage.push(Spent {
                at: line.entry.at,
                amount: line.entry.amount,
            }),
            EntryKind::Correction => {}
            kind => {
                self.causes.insert((kind, line.entry.cause.clone()));
            }
        }
        Ok(())
    }

    /// What is to be added so that the sums are those of a replay: an entry for
    /// each cause that is new, then, where earlier entries would be others by
    /// now, a correction for each period that differs, caused by `cause`.
    ///
    /// # Errors
    /// [`Overflow`]
    pub fn missing(mut self, replayed: &Replayed, cause: &str, at: Seconds) -> Result<Vec<LedgerLine>, Overflow> {
        let new = |e: &&TimelineEntry| !self.causes.contains(&(e.kind, e.cause.clone()));
        let mut lines: Vec<LedgerLine> = replayed
            .entries
            .iter()
            .filter(new)
            .map(|entry| LedgerLine {
                entry: entry.clone(),
                window: None,
            })
            .collect();
        for line in &lines {
            self.add(line)?;
        }
        let mut total = BalanceChange::default();
        for sum in self.sums.values() {
            total = total.and(BalanceChange { used: 0, ..*sum })?;
        }
        let purse = BalanceChange {
            used: 0,
            rollover: replayed.balance.purse.rollover,
            purchased: replayed.balance.purse.purchased,
        }
        .beyond(total)?;
        let windows: BTreeSet<&Option<Window>> = self.sums.keys().chain(replayed.used.keys()).collect();
        let mut changes: Vec<(Option<Window>, BalanceChange)> = Vec::new();
        for window in windows {
            let held = self.sums.get(window).map_or(0, |sum| sum.used);
            let used = replayed.used.get(window).copied().unwrap_or_default();
            let change = BalanceChange {
                used,
                ..BalanceChange::default()
            }
            .beyond(BalanceChange {
                used: held,
                ..BalanceChange::default()
            })?;
            if change.used != 0 {
                changes.push((window.clone(), change));
            }
        }
        // What moves the purse stands with the last of them, or alone.
        if purse != BalanceChange::default() {
            match changes.last_mut() {
                Some((_, last)) => *last = last.and(purse)?,
                None => changes.push((None, purse)),
            }
        }
        lines.extend(changes.into_iter().map(|(window, change)| LedgerLine {
            entry: TimelineEntry {
                at,
                kind: EntryKind::Correction,
                cause: cause.to_owned(),
                amount: 0,
                change,
            },
            window,
        }));
        Ok(lines)
    }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
