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

/// A replay that ends with this purse, these uses by period, and these entries.
fn replayed(purse: (i64, i64), used: &[(Option<Window>, i64)], entries: Vec<TimelineEntry>) -> ReplayedMeter {
    ReplayedMeter {
        balance: MeterBalance {
            carried: CarriedBalance {
                rollover: purse.0,
                purchased: purse.1,
            },
            ..MeterBalance::default()
        },
        used: used.iter().cloned().collect(),
        entries,
    }
}

/// What was entered before.
fn held(lines: &[(Option<Window>, TimelineEntry)]) -> RecordedLines {
    let mut held = RecordedLines::default();
    for (window, entry) in lines {
        let line = LedgerLine {
            entry: entry.clone(),
            window: window.clone(),
        };
        held.add(&line).expect("small numbers");
    }
    held
}

/// `(kind, cause, change, period's start)` of what is to be added.
fn missing(held: RecordedLines, replayed: &ReplayedMeter) -> Vec<(EntryKind, String, BalanceChange, Option<Seconds>)> {
    let lines = held.missing(replayed, "evt_9", 99).expect("small numbers");
    lines
        .into_iter()
        .map(|l| (l.entry.kind, l.entry.cause, l.entry.change, l.window.map(|w| w.start)))
        .collect()
}

#[test]
fn what_is_entered_already_is_not_entered_again() {
    let grant = entry(EntryKind::Grant, "cs_1", change(0, 0, 5));
    let said = replayed((0, 5), &[], vec![grant.clone()]);
    assert_eq!(
        missing(RecordedLines::default(), &said),
        [(EntryKind::Grant, "cs_1".to_owned(), grant.change, None)]
    );
    assert_eq!(missing(held(&[(None, grant)]), &said), []);
}

#[test]
fn usage_that_would_be_paid_otherwise_by_now_is_corrected_and_stays_as_it_was_entered() {
    // It was debt before its period was known.
    let usage = entry(EntryKind::Usage, "app 1", change(0, -5, 0));
    let said = replayed((0, 0), &[(Some(window(7)), 5)], Vec::new());
    assert_eq!(
        missing(held(&[(None, usage)]), &said),
        [(EntryKind::Correction, "evt_9".to_owned(), change(5, 5, 0), Some(7))]
    );
}

#[test]
fn usage_that_moves_to_another_period_is_corrected_in_both() {
    let usage = entry(EntryKind::Usage, "app 1", change(5, 0, 0));
    let said = replayed((0, 0), &[(Some(window(7)), 2), (Some(window(9)), 3)], Vec::new());
    assert_eq!(
        missing(held(&[(Some(window(7)), usage)]), &said),
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
    let said = replayed((4, 0), &[], vec![now]);
    assert_eq!(
        missing(held(&[(None, before)]), &said),
        [(EntryKind::Correction, "evt_9".to_owned(), change(0, -6, 0), None)]
    );
}

#[test]
fn a_grant_that_turns_out_to_be_anothers_is_taken_out() {
    let grant = entry(EntryKind::Grant, "cs_1", change(0, 0, 5));
    assert_eq!(
        missing(held(&[(None, grant)]), &replayed((0, 0), &[], Vec::new())),
        [(EntryKind::Correction, "evt_9".to_owned(), change(0, 0, -5), None)]
    );
}

#[test]
fn after_what_is_missing_is_added_nothing_is_missing() {
    let usage = entry(EntryKind::Usage, "app 1", change(0, -5, 0));
    let grant = entry(EntryKind::Grant, "cs_1", change(0, 2, 3));
    let said = replayed((-3, 3), &[(Some(window(7)), 5)], vec![grant]);
    let before = held(&[(None, usage)]);
    let mut after = before.clone();
    for line in before.missing(&said, "evt_9", 99).expect("small numbers") {
        after.add(&line).expect("small numbers");
    }
    assert_eq!(missing(after, &said), []);
}
