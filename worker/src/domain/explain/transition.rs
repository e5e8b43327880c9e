//! One change in words, and the states before and after one fact.

use crate::domain::{
    fact::{Fact, Seconds},
    subscription::state::Subscription,
};
use serde::Serialize;

/// A change, in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChangeNote {
    /// The kind of change.
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
    /// It is linked to another user.
    Linked,
    /// Stripe's status.
    Status,
    /// The tier.
    Tier,
    /// The price, within the same tier.
    Price,
    /// The billing period.
    Period,
    /// The end of the trial.
    Trial,
    /// A cancellation is requested, moved or taken back.
    Cancellation,
    /// The collection of payments is paused or resumed.
    Collection,
    /// The first payment.
    FirstPayment,
    /// The highest tier so far.
    Highest,
    /// An invoice counts as unpaid.
    Unpaid,
    /// An invoice no longer counts as unpaid.
    Settled,
    /// The money of a paid invoice went back to the customer.
    MoneyReturned,
    /// Returned money came back to the merchant.
    MoneyKept,
    /// A change does not count, because its payment failed.
    ChangeHeld,
    /// The held change counts.
    ChangeCounts,
    /// A grace begins.
    GraceBegan,
    /// A grace ends.
    GraceEnded,
    /// A downgrade begins no grace.
    NoGrace,
    /// A scheduled end has passed, and no event told of it.
    UntoldEnd,
    /// The tier that the subscription gives.
    Access,
    /// The order of the changes within this second is unknown.
    Undecided,
    /// No change.
    Nothing,
}

impl ChangeKind {
    pub(super) fn note(self, words: impl Into<String>) -> ChangeNote {
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
