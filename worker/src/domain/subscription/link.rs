//! Finds the user of a subscription. Several events may name one; the best source wins. The
//! result does not depend on the order of arrival.
//!
//! 1. The subscription's own `metadata.user_id`: the latest that is not empty, in the order
//!    in which things happened. So a subscription can be handed over.
//! 2. Its checkout session: `metadata.user_id`, else `client_reference_id`; the earliest.
//! 3. Its customer's `metadata.user_id`: the latest that is not empty.
//! 4. The user that another object of its customer names; the earliest.
//!
//! Example: a checkout session of second 10 has `client_reference_id` `u1`, the
//! subscription's own metadata of second 20 says `u2`. The subscription belongs to
//! `u2`, because its own metadata is the better source. It does so from its beginning: only
//! two words of one kind, both of the subscription or both of the customer, are a hand-over.

use crate::domain::{
    fact::{Fact, FactBody, Seconds},
    ids::{EventId, UserId},
};
use serde::{Deserialize, Serialize};

/// The place in an event that names the user, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClaimSource {
    /// `metadata.user_id` of the subscription itself.
    OwnMetadata,
    /// `metadata.user_id` of its checkout session.
    SessionMetadata,
    /// `client_reference_id` of its checkout session.
    SessionReference,
    /// `metadata.user_id` of the customer itself.
    CustomerMetadata,
    /// Any of the first three, on another object of the same customer.
    Customer,
}

/// An event's claim that a user owns a subscription or a customer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OwnerClaim {
    /// The place that names the user.
    pub source: ClaimSource,
    /// The event's `created`.
    pub created: Seconds,
    /// The event's id.
    pub event_id: EventId,
    /// The named user.
    pub user: UserId,
    /// The users that the metadata of the subscription or the customer named one after the
    /// other, this one last; empty if it never named another one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub handed: Vec<NamedUser>,
}

/// A user, and the time since which metadata named them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NamedUser {
    /// The `created` of the first event that names the user. The first user counts from the
    /// beginning.
    pub since: Seconds,
    /// That event.
    pub event_id: EventId,
    /// The user.
    pub user: UserId,
}

impl OwnerClaim {
    /// The claims that it consists of, one for each user, in order of time.
    #[must_use]
    pub fn over_time(self) -> Vec<Self> {
        if self.handed.is_empty() {
            return vec![self];
        }
        let named = self.handed.iter().enumerate();
        let claims = named.map(|(place, named)| Self {
            source: self.source,
            created: named.since,
            event_id: named.event_id.clone(),
            user: named.user.clone(),
            handed: if place == 0 {
                Vec::new()
            } else {
                self.handed[..=place].to_vec()
            },
        });
        claims.collect()
    }

    /// The customer's user at a time: what was purchased stays with the user of that time.
    #[must_use]
    pub fn user_at(&self, at: Seconds) -> &UserId {
        let then = self.handed.iter().rev().find(|named| named.since <= at);
        then.or(self.handed.first()).map_or(&self.user, |named| &named.user)
    }
}

/// The claim of a subscription's own metadata after one of its events, which name the user
/// `now`. `before` is the user that its `previous_attributes` name: it counts if nothing else
/// names an earlier one.
pub(super) fn own_metadata(
    known: Option<OwnerClaim>,
    fact: &Fact,
    before: Option<&UserId>,
    now: &UserId,
) -> OwnerClaim {
    let word = |user| claim(fact, ClaimSource::OwnMetadata, user);
    let known = known.filter(|known| known.source == ClaimSource::OwnMetadata);
    followed(known.or_else(|| before.map(word)), word(now))
}

/// The user that a checkout session names for its subscription: `metadata.user_id`, else
/// `client_reference_id`.
fn session_owner(fact: &Fact) -> Option<OwnerClaim> {
    let FactBody::Session(session) = &fact.body else {
        return None;
    };
    let (source, user) = match (&session.user, &session.reference) {
        (Some(user), _) => (ClaimSource::SessionMetadata, user),
        (None, Some(user)) => (ClaimSource::SessionReference, user),
        (None, None) => return None,
    };
    Some(claim(fact, source, user))
}

/// Keeps the best claim of sessions, unless the subscription's own metadata names a user.
pub(super) fn keep_best_session(best: &mut Option<OwnerClaim>, facts: &[&Fact]) {
    if best.as_ref().is_some_and(|b| b.source == ClaimSource::OwnMetadata) {
        return;
    }
    *best = best
        .take()
        .into_iter()
        .chain(facts.iter().filter_map(|f| session_owner(f)))
        .min();
}

/// The user of a customer, by all facts of its account, in any order.
#[must_use]
pub fn customer_owner(facts: &[&Fact]) -> Option<OwnerClaim> {
    customer_owner_after(None, facts).flatten()
}

/// The user of a customer after new facts. `None` if one of them is not newer than what is
/// known of the customer's metadata: then all facts are needed.
#[expect(clippy::option_option, reason = "the outer one declines, the inner one is the claim")]
pub(super) fn customer_owner_after(known: Option<&OwnerClaim>, new: &[&Fact]) -> Option<Option<OwnerClaim>> {
    let mut words: Vec<OwnerClaim> = new.iter().filter_map(|f| customer_metadata(f)).collect();
    words.sort_by(|a, b| (a.created, &a.event_id).cmp(&(b.created, &b.event_id)));
    let by_metadata = known.filter(|k| k.source == ClaimSource::CustomerMetadata);
    if let (Some(known), Some(first)) = (by_metadata, words.first())
        && first.created <= known.created
    {
        return None;
    }
    let latest = words
        .into_iter()
        .fold(by_metadata.cloned(), |known, word| Some(followed(known, word)));
    let by_others = || {
        known
            .cloned()
            .into_iter()
            .chain(new.iter().filter_map(|f| other_owner(f)))
            .min()
    };
    Some(latest.or_else(by_others))
}

/// A later word of the same metadata.
fn followed(known: Option<OwnerClaim>, word: OwnerClaim) -> OwnerClaim {
    let Some(known) = known else { return word };
    let mut handed = known.handed;
    if known.user != word.user {
        if handed.is_empty() {
            handed.push(NamedUser {
                since: known.created,
                event_id: known.event_id,
                user: known.user,
            });
        }
        handed.push(NamedUser {
            since: word.created,
            event_id: word.event_id.clone(),
            user: word.user.clone(),
        });
    }
    OwnerClaim { handed, ..word }
}

fn customer_metadata(fact: &Fact) -> Option<OwnerClaim> {
    match &fact.body {
        FactBody::Customer(customer) => Some(claim(fact, ClaimSource::CustomerMetadata, customer.user.as_ref()?)),
        _ => None,
    }
}

/// The user that another object of the customer names.
fn other_owner(fact: &Fact) -> Option<OwnerClaim> {
    let user = match &fact.body {
        FactBody::Subscription(s) => s.now.user.as_ref(),
        FactBody::Session(s) => s.user.as_ref().or(s.reference.as_ref()),
        _ => None,
    };
    user.map(|user| claim(fact, ClaimSource::Customer, user))
}

fn claim(fact: &Fact, source: ClaimSource, user: &UserId) -> OwnerClaim {
    OwnerClaim {
        source,
        created: fact.created,
        event_id: fact.event_id.clone(),
        user: user.clone(),
        handed: Vec::new(),
    }
}
