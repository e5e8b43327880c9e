//! The words for one change, and the states before and after one fact.

use crate::domain::{
    fact::{Fact, Seconds},
    subscription::state::Subscription,
};
use serde::Serialize;

/// A change, in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChangeNote {
    /// What kind of change.
    pub kind: ChangeKind,
    /// The change in words.
    pub words: String,
}

/// The kinds of changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// The subscription is seen for the first time.
    Began,
    /// Whose it is.
    Linked,
    /// Stripe's word for it.
    Status,
    /// The tier.
    Tier,
    /// The price, of the same tier.
    Price,
    /// The billing period.
    Period,
    /// The end of the trial.
    Trial,
    /// It is to end, or not any more.
    Cancellation,
    /// Whether invoices are collected.
    Collection,
    /// PaidFrom for the first time.
    FirstPayment,
    /// The highest tier so far.
    Highest,
    /// An invoice counts as not paid.
    Unpaid,
    /// An invoice does not count as unpaid any more.
    Settled,
    /// An upgrade whose payment failed does not count.
    Held,
    /// It counts again.
    Released,
    /// A grace begins.
    GraceBegan,
    /// A grace ends.
    GraceEnded,
    /// A downgrade that leaves no grace of its own.
    NoGrace,
    /// The tier that it gives.
    Access,
    /// No evidence orders the changes of its second.
    Undecided,
    /// No change.
    Nothing,
}

impl ChangeKind {
    pub(super) fn is(self, words: impl Into<String>) -> ChangeNote {
        ChangeNote {
            kind: self,
            words: words.into(),
        }
    }
}

/// One fact, and the states before and after it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Transition<'a> {
    pub(super) fact: &'a Fact,
    pub(super) before: &'a Subscription,
    pub(super) after: &'a Subscription,
    pub(super) free_tier: &'a str,
}

impl Transition<'_> {
    /// When the fact was created.
    pub(super) fn at(&self) -> Seconds {
        self.fact.created
    }
}
