//! The words that the ledger's columns use.

use crate::domain::{
    balance::{terms::Window, timeline::EntryKind},
    ids::SubscriptionId,
};

/// The kind that the column `kind` names.
pub(super) fn kind(word: &str) -> Option<EntryKind> {
    let all = [
        EntryKind::Usage,
        EntryKind::Rollover,
        EntryKind::Carried,
        EntryKind::Overused,
        EntryKind::Grant,
        EntryKind::TakenBack,
        EntryKind::Returned,
        EntryKind::Correction,
    ];
    all.into_iter().find(|k| k.as_str() == word)
}

/// A billing period as the column `period` names it: `subscription start`, or
/// empty outside of any period.
pub(super) fn period(window: Option<&Window>) -> String {
    window.map_or_else(String::new, |w| format!("{} {}", w.subscription, w.start))
}

/// The billing period that the column `period` names.
pub(super) fn window(period: &str) -> Option<Window> {
    let (subscription, start) = period.rsplit_once(' ')?;
    Some(Window {
        subscription: SubscriptionId::new(subscription),
        start: start.parse().ok()?,
    })
}
