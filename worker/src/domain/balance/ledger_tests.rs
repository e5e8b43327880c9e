//! Which lines the ledger needs after a replay.

use super::*;
use crate::domain::{
    balance::{timeline::MeterBalance, waterfall::CarriedBalance},
    ids::SubscriptionId,
};

fn window(start: Seconds) -> Window {
    Window {
        subscription: SubscriptionId::new("sub_1"),
        start,
    }
}

fn change(used: i64, rollover: i64, purchased: i64) -> BalanceChange {
    BalanceChange {
        used,
        rollover,
        purchased,
    }
}

fn entry(kind: EntryKind, cause: &str, change: BalanceChange) -> TimelineEntry {
    TimelineEntry {
        at: 10,
        kind,
        cause: cause.to_owned(),
        amount: 5,
        change,
    }
}

/// A replay that ends with these carried units (rollover, purchased), this usage by
/// period, and these entries.
fn replayed(carried: (i64, i64), used: &[(Option<Window>, i64)], entries: Vec<TimelineEntry>) -> ReplayedMeter {
    ReplayedMeter {
        balance: MeterBalance {
            carried: CarriedBalance {
                rollover: carried.0,
                purchased: carried.1,
            },
            ..MeterBalance::default()
        },
        used: used.iter().cloned().collect(),
        entries,
    }
}

/// The lines that the ledger has already.
fn recorded(lines: &[(Option<Window>, TimelineEntry)]) -> RecordedLines {
    let mut recorded = RecordedLines::default();
    for (window, entry) in lines {
        let line = LedgerLine {
            entry: entry.clone(),
            window: window.clone(),
        };
        recorded.add(&line).expect("small numbers");
    }
    recorded
}

/// `(kind, cause, change, period's start)` of the missing lines.
fn missing(
    recorded: RecordedLines,
    replayed: &ReplayedMeter,
) -> Vec<(EntryKind, String, BalanceChange, Option<Seconds>)> {
    let lines = recorded.missing(replayed, "evt_9", 99).expect("small numbers");
    lines
        .into_iter()
        .map(|l| (l.entry.kind, l.entry.cause, l.entry.change, l.window.map(|w| w.start)))
        .collect()
}

#[test]
fn a_recorded_cause_is_not_added_again() {
    let grant = entry(EntryKind::Grant, "cs_1", change(0, 0, 5));
    let replay = replayed((0, 5), &[], vec![grant.clone()]);
    assert_eq!(
        missing(RecordedLines::default(), &replay),
        [(EntryKind::Grant, "cs_1".to_owned(), grant.change, None)]
    );
    assert_eq!(missing(recorded(&[(None, grant)]), &replay), []);
}

#[test]
fn usage_that_counts_otherwise_now_is_corrected_and_keeps_its_line() {
    // It was debt while its period was unknown.
    let usage = entry(EntryKind::Usage, "app 1", change(0, -5, 0));
    let replay = replayed((0, 0), &[(Some(window(7)), 5)], Vec::new());
    assert_eq!(
        missing(recorded(&[(None, usage)]), &replay),
        [(EntryKind::Correction, "evt_9".to_owned(), change(5, 5, 0), Some(7))]
    );
}

#[test]
fn usage_that_moves_to_another_period_is_corrected_in_both() {
    let usage = entry(EntryKind::Usage, "app 1", change(5, 0, 0));
    let replay = replayed((0, 0), &[(Some(window(7)), 2), (Some(window(9)), 3)], Vec::new());
    assert_eq!(
        missing(recorded(&[(Some(window(7)), usage)]), &replay),
        [
            (EntryKind::Correction, "evt_9".to_owned(), change(-3, 0, 0), Some(7)),
            (EntryKind::Correction, "evt_9".to_owned(), change(3, 0, 0), Some(9)),
        ]
    );
}

#[test]
fn a_rollover_that_a_late_event_changes_is_corrected() {
    let before = entry(EntryKind::Rollover, "in_1", change(0, 10, 0));
    let now = entry(EntryKind::Rollover, "in_1", change(0, 4, 0));
    let replay = replayed((4, 0), &[], vec![now]);
    assert_eq!(
        missing(recorded(&[(None, before)]), &replay),
        [(EntryKind::Correction, "evt_9".to_owned(), change(0, -6, 0), None)]
    );
}

#[test]
fn a_grant_that_belongs_to_another_user_is_corrected() {
    let grant = entry(EntryKind::Grant, "cs_1", change(0, 0, 5));
    assert_eq!(
        missing(recorded(&[(None, grant)]), &replayed((0, 0), &[], Vec::new())),
        [(EntryKind::Correction, "evt_9".to_owned(), change(0, 0, -5), None)]
    );
}

#[test]
fn once_the_missing_lines_are_added_nothing_is_missing() {
    let usage = entry(EntryKind::Usage, "app 1", change(0, -5, 0));
    let grant = entry(EntryKind::Grant, "cs_1", change(0, 2, 3));
    let replay = replayed((-3, 3), &[(Some(window(7)), 5)], vec![grant]);
    let before = recorded(&[(None, usage)]);
    let mut after = before.clone();
    for line in before.missing(&replay, "evt_9", 99).expect("small numbers") {
        after.add(&line).expect("small numbers");
    }
    assert_eq!(missing(after, &replay), []);
}
