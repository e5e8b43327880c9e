//! The life of one user: the events, and the expected rows.

use crate::fixtures::{ApiVersion, Event};
use crate::harness::{Entitlement, report};
use crate::merchant::books::{Usage, UserRows};
use anyhow::Result;
use serde_json::Value;
use std::collections::BTreeSet;

/// The events of one user at Stripe, and the rows that must follow from them.
#[derive(Clone, Debug)]
pub struct Life {
    /// The id of the user.
    pub user_id: String,
    /// The API version of the events.
    pub version: ApiVersion,
    /// The events in order, with repeated ones. `created` never decreases.
    pub events: Vec<Event>,
    /// The ids of events that must be recorded as `ignored`. All others must be `applied`.
    pub ignored: BTreeSet<String>,
    /// The row of `billing.entitlements` after all events, if there is one.
    pub entitlement: Option<Entitlement>,
    /// The rows of all its users in both views, after all events and usage reports.
    pub rows: Vec<UserRows>,
    /// The usage reports.
    pub usages: Vec<Usage>,
    /// The numbers of events that are read with each catalog but the last.
    pub list_ends: Vec<usize>,
    /// The line items of sessions that name no pack, by session, as Stripe's API lists them.
    pub line_items: Vec<(String, Value)>,
    /// The row after each act.
    pub checkpoints: Vec<Checkpoint>,
    /// When a requested end that nobody told of counts as one (Unix time).
    pub(super) untold_ends: Vec<i64>,
    /// The kinds of its acts, of [`ACTS`](crate::merchant::ACTS).
    pub acts: BTreeSet<&'static str>,
    /// A line for each act, for people.
    pub log: Vec<String>,
}

/// The expected row after the first events of a life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The number of events.
    pub events: usize,
    /// The row as seen at the life's `now`, not at the time of the last event.
    pub entitlement: Option<Entitlement>,
}

impl Life {
    /// The life as text, for the message of a failing test.
    #[must_use]
    pub fn description(&self) -> String {
        format!("{} ({})\n  {}", self.user_id, self.version, self.log.join("\n  "))
    }

    /// The usage reports as an application posts them.
    ///
    /// # Errors
    /// When a time is out of range.
    pub fn reports(&self) -> Result<Vec<Value>> {
        let reports = self
            .usages
            .iter()
            .map(|usage| report(&usage.id, &usage.user_id, usage.meter.name(), usage.amount, usage.at));
        reports.collect()
    }

    /// Whether its rows stay the same until `then` (Unix time) without further events.
    pub(super) fn is_stable_until(&self, then: i64) -> bool {
        let rows = self
            .checkpoints
            .iter()
            .filter_map(|checkpoint| checkpoint.entitlement.as_ref());
        rows.filter_map(|row| row.grace_until).all(|end| end > then)
            && self.untold_ends.iter().all(|end| (end - then).abs() > 2 * 3_600)
    }
}
