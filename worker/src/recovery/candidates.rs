//! Subscriptions that differ from what Stripe shows: perhaps only because an
//! event is under way. They are looked at once more before they count as drift.

use crate::{
    domain::{
        fact::Seconds,
        ids::UserId,
        subscription::{
            drift::{Drift, drift},
            state::Subscription,
        },
    },
    failure::Refusal,
    read::stripe::snapshot::StripeSubscription,
};
use serde_json::value::RawValue;
use std::{collections::VecDeque, time::Duration};
use tokio::time::Instant;

/// Those that wait at the most: bounds the memory that their objects take.
pub(super) const MOST: usize = 5_000;

/// One that differs.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) shown: StripeSubscription,
    pub(super) object: Box<RawValue>,
    /// When Stripe showed it, by its clock.
    pub(super) at: Seconds,
    seen: Instant,
}

/// What was found of a subscription.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It is as Stripe shows it, or an event told more since.
    Same,
    /// These fields differ.
    Differs(Vec<Drift>),
    /// What Stripe shows cannot be applied.
    Refused(Refusal),
}

/// Compares what is known with what Stripe showed at a time.
pub(super) fn compare(ours: Option<&Subscription>, shown: &StripeSubscription, at: Seconds) -> Verdict {
    let theirs = match &shown.snapshot {
        Ok(theirs) => theirs,
        Err(refusal) => return Verdict::Refused(refusal.clone()),
    };
    // An event of that second or a later one knows better.
    if ours
        .and_then(|s| s.latest.as_ref().and(s.newest))
        .is_some_and(|newest| newest >= at)
    {
        return Verdict::Same;
    }
    let found = drift(ours, theirs);
    if found.is_empty() {
        Verdict::Same
    } else {
        Verdict::Differs(found)
    }
}

/// Whose it is, as far as we know.
pub(super) fn user(ours: Option<&Subscription>) -> Option<UserId> {
    ours.and_then(|s| s.user.clone())
}

/// Those that wait to be looked at once more, in the order in which they were seen.
#[derive(Debug)]
pub(super) struct Waiting {
    settle: Duration,
    queue: VecDeque<Candidate>,
}

impl Waiting {
    pub(super) fn new(settle: Duration) -> Self {
        Self {
            settle,
            queue: VecDeque::new(),
        }
    }

    pub(super) fn add(&mut self, shown: StripeSubscription, object: Box<RawValue>, at: Seconds) {
        self.queue.push_back(Candidate {
            shown,
            object,
            at,
            seen: Instant::now(),
        });
    }

    /// When the next ones are to be looked at: at once if too many wait, else when
    /// the events that may be under way must have come.
    pub(super) fn due(&self) -> Option<Instant> {
        self.queue.front().map(|first| first.seen + self.settle)
    }

    pub(super) fn is_full(&self) -> bool {
        self.queue.len() >= MOST
    }

    /// Takes those that are due, `most` at the most.
    pub(super) fn take(&mut self, now: Instant, most: usize) -> Vec<Candidate> {
        let due = self.queue.iter().take_while(|c| c.seen + self.settle <= now);
        let count = due.take(most).count();
        self.queue.drain(..count).collect()
    }
}
