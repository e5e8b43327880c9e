//! All that is known of one account, folded.

use super::{fact::Fact, ids::SubscriptionId, link, order::in_order, subscription::Subscription};
use std::collections::BTreeMap;

/// Folds the facts of one account, given in any order and without repetition,
/// into its subscriptions.
#[must_use]
pub fn fold(facts: &[&Fact]) -> Vec<Subscription> {
    let mut by_subscription: BTreeMap<&SubscriptionId, Vec<&Fact>> = BTreeMap::new();
    for fact in facts {
        if let Some(id) = fact.said.subscription() {
            by_subscription.entry(id).or_default().push(fact);
        }
    }
    by_subscription
        .into_iter()
        .map(|(id, own)| {
            let mut subscription = Subscription::unknown(id.clone());
            for fact in in_order(own) {
                subscription.step(fact);
            }
            subscription.user = link::user_of(id, facts);
            subscription
        })
        .collect()
}
