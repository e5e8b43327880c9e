//! Which lines the ledger needs, so that its sums equal the replay.
//!
//! A line is never changed. A new cause gets a line of its own. If a late event
//! changes how earlier usage or an earlier cause counts, a correction adds the
//! difference.
//!
//! Example: 5 units were used before any period was known, so the ledger has a
//! usage line with rollover -5 (a debt). Then the subscription's event arrives, and
//! the replay counts these units in its period. A correction in that period adds
//! used +5 and rollover +5. The usage line stays as it is.

use super::{
    replay::ReplayedMeter,
    terms::Window,
    timeline::{EntryKind, TimelineEntry, UsageSum},
    waterfall::{BalanceChange, Overflow},
};
use crate::domain::fact::Seconds;
use std::collections::{BTreeMap, BTreeSet};

/// What the ledger has of one user and meter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordedLines {
    /// The sums of the lines by counting period. `None` is the time without a
    /// period. Rollover and purchased units are not per period.
    pub sums: BTreeMap<Option<Window>, BalanceChange>,
    /// The kinds and causes of all lines, other than usage and corrections.
    pub causes: BTreeSet<(EntryKind, String)>,
    /// Usage, summed up between the boundaries of the timeline.
    pub usage: Vec<UsageSum>,
}

/// A line to be added to the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerLine {
    /// The entry.
    pub entry: TimelineEntry,
    /// The period in which it counts.
    pub window: Option<Window>,
}

impl RecordedLines {
    /// Takes a line into the sums.
    ///
    /// # Errors
    /// [`Overflow`]
    pub fn add(&mut self, line: &LedgerLine) -> Result<(), Overflow> {
        let sum = self.sums.entry(line.window.clone()).or_default();
        *sum = sum.plus(line.entry.change)?;
        match line.entry.kind {
            EntryKind::Usage => self.usage.push(UsageSum {
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

    /// The lines to add so that the sums equal the replay: one for each new cause,
    /// then a correction for each period whose sum still differs. `cause` and `at`
    /// are the corrections' cause and time.
    ///
    /// # Errors
    /// [`Overflow`]
    pub fn missing(mut self, replayed: &ReplayedMeter, cause: &str, at: Seconds) -> Result<Vec<LedgerLine>, Overflow> {
        let is_new = |e: &&TimelineEntry| !self.causes.contains(&(e.kind, e.cause.clone()));
        let mut lines: Vec<LedgerLine> = replayed
            .entries
            .iter()
            .filter(is_new)
            .map(|entry| LedgerLine {
                entry: entry.clone(),
                window: None,
            })
            .collect();
        for line in &lines {
            self.add(line)?;
        }
        let corrections = self.differences(replayed)?;
        lines.extend(corrections.into_iter().map(|(window, change)| LedgerLine {
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

    /// What the replay has more than the sums, by period. Rollover and purchased
    /// units are in the last of the changes, or in one without a period.
    fn differences(&self, replayed: &ReplayedMeter) -> Result<Vec<(Option<Window>, BalanceChange)>, Overflow> {
        let mut total = BalanceChange::default();
        for sum in self.sums.values() {
            total = total.plus(BalanceChange { used: 0, ..*sum })?;
        }
        let carried = BalanceChange {
            used: 0,
            rollover: replayed.balance.carried.rollover,
            purchased: replayed.balance.carried.purchased,
        }
        .minus(total)?;
        let used = |units| BalanceChange {
            used: units,
            ..BalanceChange::default()
        };
        let windows: BTreeSet<&Option<Window>> = self.sums.keys().chain(replayed.used.keys()).collect();
        let mut changes: Vec<(Option<Window>, BalanceChange)> = Vec::new();
        for window in windows {
            let recorded = self.sums.get(window).map_or(0, |sum| sum.used);
            let expected = replayed.used.get(window).copied().unwrap_or_default();
            let change = used(expected).minus(used(recorded))?;
            if change.used != 0 {
                changes.push((window.clone(), change));
            }
        }
        if carried != BalanceChange::default() {
            match changes.last_mut() {
                Some((_, last)) => *last = last.plus(carried)?,
                None => changes.push((None, carried)),
            }
        }
        Ok(changes)
    }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
