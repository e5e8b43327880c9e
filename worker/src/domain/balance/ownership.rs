//! The spans of time in which a subscription belonged to a user.
//!
//! A hand-over divides the running period between the old and the new user, by time. What was
//! before it stays with the old user, what comes after it is the new user's.
//!
//! Example: Plus (10M a month) goes from `guest` to `u1` on day 12 of 30. The guest's part of
//! the month is 4M: what they used beyond it is debt, what they left of it lapses. The part of
//! `u1` is 6M.

use super::period_limit::counts_from;
use crate::domain::{
    fact::{Period, Seconds},
    ids::UserId,
    subscription::{link::NamedUser, state::Subscription},
};

/// A span of time in which a subscription belonged to a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnedSpan<'a> {
    /// Its first second; [`Seconds::MIN`] for the first user.
    pub since: Seconds,
    /// The hand-over to the next user that ends it.
    pub handed_over: Option<&'a NamedUser>,
}

impl OwnedSpan<'_> {
    /// All of the time.
    pub const WHOLE: OwnedSpan<'static> = OwnedSpan {
        since: Seconds::MIN,
        handed_over: None,
    };

    /// The first second after it.
    #[must_use]
    pub fn end(&self) -> Seconds {
        self.handed_over.map_or(Seconds::MAX, |next| next.since)
    }

    /// Whether a moment lies in it.
    #[must_use]
    pub fn contains(&self, at: Seconds) -> bool {
        (self.since..self.end()).contains(&at)
    }

    /// The part of a period from the first second on that lies in it; none if it begins after
    /// the period.
    #[must_use]
    pub fn part_of(&self, period: Period) -> Option<Period> {
        let start = period.start.max(self.since);
        (start < period.end).then_some(Period { start, ..period })
    }

    /// The first second of a period that counts for its limit. As any change, a hand-over in
    /// the first hundredth counts from the beginning.
    #[must_use]
    pub(super) fn counts_from(&self, period: Period) -> Seconds {
        if self.since <= period.start {
            period.start
        } else {
            counts_from(self.since, period)
        }
    }
}

/// The spans in which the subscription belonged to the user, in order of time.
#[must_use]
pub fn of_user<'a>(subscription: &'a Subscription, user: &UserId) -> Vec<OwnedSpan<'a>> {
    let owners = &subscription.owners;
    if owners.is_empty() {
        let is_theirs = subscription.user.as_ref() == Some(user);
        return is_theirs.then_some(OwnedSpan::WHOLE).into_iter().collect();
    }
    let span = |(place, owner): (usize, &NamedUser)| OwnedSpan {
        since: if place == 0 { Seconds::MIN } else { owner.since },
        handed_over: owners.get(place + 1),
    };
    let theirs = owners.iter().enumerate().filter(|(_, owner)| owner.user == *user);
    theirs.map(span).filter(|s| s.since < s.end()).collect()
}
