//! Whose is a subscription? Decided by the earliest word of the best witness;
//! the best of all words is the same in whatever order they come.

use crate::domain::{
    fact::{Fact, FactBody, Seconds},
    ids::{EventId, UserId},
};
use serde::{Deserialize, Serialize};

/// How good a witness is; lower is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Witness {
    /// `metadata.user_id` of the subscription itself.
    OwnMetadata,
    /// `metadata.user_id` of its checkout session.
    SessionMetadata,
    /// `client_reference_id` of its checkout session.
    SessionReference,
    /// Any word about the same customer.
    Customer,
}

/// A word about whose something is. The lesser one is believed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Claim {
    /// Who says so.
    pub witness: Witness,
    /// When it was said.
    pub created: Seconds,
    /// The event that said it.
    pub event_id: EventId,
    /// Whose it is.
    pub user: UserId,
}

/// What a fact says of its own subscription's user: the subscription's
/// `metadata.user_id`, else that of its checkout session, else the session's
/// `client_reference_id`.
#[must_use]
pub fn of_subscription(fact: &Fact) -> Option<Claim> {
    let (witness, user) = match &fact.body {
        FactBody::Subscription(s) => (Witness::OwnMetadata, s.now.user.as_ref()?),
        FactBody::Session(s) => match (&s.user, &s.reference) {
            (Some(user), _) => (Witness::SessionMetadata, user),
            (None, Some(user)) => (Witness::SessionReference, user),
            (None, None) => return None,
        },
        _ => return None,
    };
    Some(claim(fact, witness, user))
}

/// What a fact says of its customer's user.
#[must_use]
pub fn of_customer(fact: &Fact) -> Option<Claim> {
    let user = match &fact.body {
        FactBody::Subscription(s) => s.now.user.as_ref(),
        FactBody::Session(s) => s.user.as_ref().or(s.reference.as_ref()),
        _ => None,
    };
    user.map(|user| claim(fact, Witness::Customer, user))
}

fn claim(fact: &Fact, witness: Witness, user: &UserId) -> Claim {
    Claim {
        witness,
        created: fact.created,
        event_id: fact.event_id.clone(),
        user: user.clone(),
    }
}

/// The better of what was known and what is said now.
pub fn improve(known: &mut Option<Claim>, said: Option<Claim>) {
    if let Some(said) = said
        && known.as_ref().is_none_or(|k| said < *k)
    {
        *known = Some(said);
    }
}
