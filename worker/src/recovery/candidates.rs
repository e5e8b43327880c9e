//! Subscriptions that differ from what Stripe shows, perhaps only because an event is
//! still under way. They are compared again, some seconds later, before they count as
//! drift.

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

/// Most candidates that wait. Bounds the memory that their JSON takes.
const WAITING_MAX: usize = 5_000;

/// A subscription that differs.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) shown: StripeSubscription,
    pub(super) object: Box<RawValue>,
    /// When Stripe showed it, by Stripe's clock.
    pub(super) at: Seconds,
    seen: Instant,
}

/// The result of comparing a subscription with Stripe's.
#[derive(Debug)]
pub(super) enum Comparison {
    /// No difference, or an event changed it after Stripe's answer.
    Same,
    /// These fields differ.
    Differs(Vec<Drift>),
    /// What Stripe shows cannot be applied.
    Refused(Refusal),
}

/// Compares the stored subscription with what Stripe showed at the time `at`.
pub(super) fn compare(ours: Option<&Subscription>, shown: &StripeSubscription, at: Seconds) -> Comparison {
    let theirs = match &shown.snapshot {
        Ok(theirs) => theirs,
        Err(refusal) => return Comparison::Refused(refusal.clone()),
    };
    // An event of that second or a later one is newer than the answer.
    if ours
        .and_then(|s| s.latest.as_ref().and(s.newest))
        .is_some_and(|newest| newest >= at)
    {
        return Comparison::Same;
    }
    let found = drift(ours, theirs);
    if found.is_empty() {
        Comparison::Same
    } else {
        Comparison::Differs(found)
    }
}

/// The user of the stored subscription, if it is known.
pub(super) fn user(ours: Option<&Subscription>) -> Option<UserId> {
    ours.and_then(|s| s.user.clone())
}

/// The candidates that wait for their second comparison, oldest first.
#[derive(Debug)]
pub(super) struct CandidateQueue {
    settle: Duration,
    queue: VecDeque<Candidate>,
}

impl CandidateQueue {
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

    /// When the oldest candidate is due: events that were under way have come by then.
    pub(super) fn due(&self) -> Option<Instant> {
        self.queue.front().map(|first| first.seen + self.settle)
    }

    pub(super) fn is_full(&self) -> bool {
        self.queue.len() >= WAITING_MAX
    }

    /// Takes the candidates that are due, at most `max`.
    pub(super) fn take(&mut self, now: Instant, max: usize) -> Vec<Candidate> {
        let due = self.queue.iter().take_while(|c| c.seen + self.settle <= now);
        let count = due.take(max).count();
        self.queue.drain(..count).collect()
    }
}
