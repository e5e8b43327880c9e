//! Whose is a subscription? Decided by the earliest word of the best witness.

use super::{
    fact::{Fact, Said},
    ids::{EventId, SubscriptionId, UserId},
};

/// How good a witness is; lower is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Witness {
    OwnMetadata,
    SessionMetadata,
    SessionReference,
    Customer,
}

/// The user of `subscription`, as far as the facts of its customer tell: its own
/// `metadata.user_id`, else that of its checkout session, else the session's
/// `client_reference_id`, else the user known of the customer. Among equals the
/// earliest `created` counts.
#[must_use]
pub fn user_of(subscription: &SubscriptionId, account: &[&Fact]) -> Option<UserId> {
    account
        .iter()
        .flat_map(|fact| testimony(fact, subscription).into_iter().flatten())
        .min_by(|a, b| a.0.cmp(&b.0))
        .map(|(_, user)| user.clone())
}

type Claim<'a> = ((Witness, i64, &'a EventId), &'a UserId);

fn testimony<'a>(fact: &'a Fact, subscription: &SubscriptionId) -> [Option<Claim<'a>>; 2] {
    let claim = |witness, user: &'a Option<UserId>| user.as_ref().map(|u| ((witness, fact.created, &fact.event_id), u));
    match &fact.said {
        Said::Subscription(s) if s.subscription == *subscription => [claim(Witness::OwnMetadata, &s.now.user), None],
        Said::Subscription(s) => [claim(Witness::Customer, &s.now.user), None],
        Said::Session(s) if s.subscription.as_ref() == Some(subscription) => [
            claim(Witness::SessionMetadata, &s.user),
            claim(Witness::SessionReference, &s.reference),
        ],
        Said::Session(s) => {
            let known = if s.user.is_some() { &s.user } else { &s.reference };
            [claim(Witness::Customer, known), None]
        }
        _ => [None, None],
    }
}
