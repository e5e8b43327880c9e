//! Finds the user of a subscription. Several events may name one; the best source wins,
//! and of equal sources the earliest event. The result does not depend on the order
//! of arrival, because it is the least of all claims.
//!
//! Example: a checkout session of second 10 has `client_reference_id` `u1`, the
//! subscription's own metadata of second 20 says `u2`. The subscription belongs to
//! `u2`, because its own metadata is the better source.

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
    /// Any of these, on another object of the same customer.
    Customer,
}

/// An event's claim that a user owns a subscription or a customer. Of several
/// claims the least one wins: the order of the fields is the order of preference.
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
}

/// The user that a fact names for its own subscription: `metadata.user_id` of the
/// subscription, else that of its checkout session, else `client_reference_id`.
#[must_use]
pub fn subscription_owner(fact: &Fact) -> Option<OwnerClaim> {
    let (source, user) = match &fact.body {
        FactBody::Subscription(s) => (ClaimSource::OwnMetadata, s.now.user.as_ref()?),
        FactBody::Session(s) => match (&s.user, &s.reference) {
            (Some(user), _) => (ClaimSource::SessionMetadata, user),
            (None, Some(user)) => (ClaimSource::SessionReference, user),
            (None, None) => return None,
        },
        _ => return None,
    };
    Some(claim(fact, source, user))
}

/// The user that a fact names for its customer.
#[must_use]
pub fn customer_owner(fact: &Fact) -> Option<OwnerClaim> {
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
    }
}

/// Replaces the best known claim if the new one is better.
pub fn keep_better(best: &mut Option<OwnerClaim>, new: Option<OwnerClaim>) {
    if let Some(new) = new
        && best.as_ref().is_none_or(|best| new < *best)
    {
        *best = Some(new);
    }
}
