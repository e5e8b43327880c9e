//! What a user may use, of all the subscriptions they have or had.

use super::{grace::Grace, state::Subscription};
use crate::domain::{
    fact::{Period, Plan, Seconds, Snapshot},
    ids::UserId,
};

/// A user's entitlement but for the passing of time: the view adds only whether
/// the grace still runs now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entitlement {
    /// Whose.
    pub user: UserId,
    /// Whether the current subscription gives access.
    pub entitled: bool,
    /// Stripe's word for the current subscription; `none` without one.
    pub status: String,
    /// The tier of the current subscription; the free one if none was ever known.
    pub tier: String,
    /// The tier to enforce when no grace runs.
    pub base_tier: String,
    /// The grace of the current subscription, perhaps over by now.
    pub grace: Option<Grace>,
    /// The latest billing period that is known.
    pub period: Option<Period>,
    /// When the trial ends or ended.
    pub trial_end: Option<Seconds>,
    /// Access will end with the period, or before.
    pub is_canceling: bool,
    /// Stripe's `cancel_at`.
    pub cancel_at: Option<Seconds>,
    /// Stripe's `canceled_at`.
    pub canceled_at: Option<Seconds>,
    /// Whether the user ever paid for a subscription.
    pub ever_paid: bool,
    /// The highest tier of all their subscriptions ever.
    pub highest: Option<Plan>,
    /// The Stripe customer of the current subscription.
    pub customer: Option<String>,
    /// The current subscription; none of who only bought packs or used something.
    pub subscription: Option<String>,
}

impl Entitlement {
    /// That of a user who has balances and no subscription.
    #[must_use]
    pub fn by_balance(user: &UserId, free_tier: &str) -> Self {
        Self {
            user: user.clone(),
            entitled: false,
            status: "none".to_owned(),
            tier: free_tier.to_owned(),
            base_tier: free_tier.to_owned(),
            grace: None,
            period: None,
            trial_end: None,
            is_canceling: false,
            cancel_at: None,
            canceled_at: None,
            ever_paid: false,
            highest: None,
            customer: None,
            subscription: None,
        }
    }
}

/// The entitlement of a user with these subscriptions; none if no subscription
/// has been seen yet (an invoice or a session alone says nothing of access).
#[must_use]
pub fn of_user(user: &UserId, subscriptions: &[&Subscription], free_tier: &str) -> Option<Entitlement> {
    let seen = || subscriptions.iter().filter_map(|s| Some((*s, s.latest.as_ref()?)));
    let (current, latest) = seen().max_by_key(|(s, latest)| precedence(s, latest))?;
    let entitled = current.entitled();
    let tier = current.plan.as_ref().map_or(free_tier, |p| &p.tier).to_owned();
    Some(Entitlement {
        user: user.clone(),
        entitled,
        status: latest.status.clone(),
        base_tier: if entitled {
            current.counting_plan().map_or(free_tier, |p| &p.tier).to_owned()
        } else {
            free_tier.to_owned()
        },
        tier,
        grace: current.grace.clone(),
        period: current.period,
        trial_end: latest.trial_end,
        is_canceling: entitled && canceling(latest, current.period),
        cancel_at: latest.cancel_at,
        canceled_at: latest.canceled_at,
        ever_paid: seen().any(|(s, _)| s.ever_paid),
        highest: seen()
            .filter_map(|(s, _)| s.highest.as_ref())
            .max_by(|a, b| (a.rank, &a.tier).cmp(&(b.rank, &b.tier)))
            .cloned(),
        customer: latest.customer.clone(),
        subscription: Some(current.id.to_string()),
    })
}

/// The current subscription is an entitled one before any other, then one of
/// the higher tier, then the most recently created.
pub(in crate::domain) fn precedence<'a>(
    subscription: &'a Subscription,
    latest: &Snapshot,
) -> (bool, Option<i32>, Seconds, &'a str) {
    let rank = subscription.counting_plan().map(|p| p.rank);
    (
        subscription.entitled(),
        rank,
        latest.subscribed_at,
        subscription.id.as_str(),
    )
}

/// Both shapes of a cancellation that is to come: the flag, or a date at or
/// before the period's end (trials use the date).
fn canceling(latest: &Snapshot, period: Option<Period>) -> bool {
    let dated = |at: Seconds| period.is_some_and(|p| at <= p.end);
    latest.cancel_at_period_end || latest.cancel_at.is_some_and(dated)
}

#[cfg(test)]
#[path = "entitlement_tests.rs"]
mod tests;
