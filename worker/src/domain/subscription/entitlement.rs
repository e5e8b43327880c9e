//! The entitlement of a user, from all subscriptions that they have or had.
//!
//! Example: a user has a canceled Max and an active Basic. The active one is the
//! current subscription, so the tier is Basic; the highest tier stays Max.

use super::{grace::Grace, state::Subscription};
use crate::domain::{
    fact::{Period, Plan, Seconds, Snapshot},
    ids::UserId,
};

/// The entitlement of a user, without the current time: the view
/// `billing.entitlements` adds whether the grace runs now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entitlement {
    /// The user's id.
    pub user: UserId,
    /// Whether the current subscription gives access.
    pub entitled: bool,
    /// Stripe's status of the current subscription; `none` without one.
    pub status: String,
    /// The tier of the current subscription; the free tier without a known plan.
    pub tier: String,
    /// The tier to enforce while no grace runs.
    pub base_tier: String,
    /// The grace of the current subscription. Its time may be over.
    pub grace: Option<Grace>,
    /// The latest known billing period.
    pub period: Option<Period>,
    /// The end of the trial.
    pub trial_end: Option<Seconds>,
    /// Whether access will end with the period or before it.
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
    /// The current subscription's id; `None` for a user who only bought packs or
    /// reported usage.
    pub subscription: Option<String>,
}

impl Entitlement {
    /// The entitlement of a user who has balances and no subscription.
    #[must_use]
    pub fn without_subscription(user: &UserId, free_tier: &str) -> Self {
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

/// The entitlement of a user with these subscriptions; `None` if none of them has a
/// snapshot yet. An invoice or a session alone says nothing about access.
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
            current.base_plan().map_or(free_tier, |p| &p.tier).to_owned()
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

/// The order of a user's subscriptions; the greatest is the current one. One that
/// gives access comes before others, then the higher tier, then the newer one. The
/// id decides last, so that the result is the same every time.
pub(in crate::domain) fn precedence<'a>(
    subscription: &'a Subscription,
    latest: &Snapshot,
) -> (bool, Option<i32>, Seconds, &'a str) {
    let rank = subscription.base_plan().map(|p| p.rank);
    (
        subscription.entitled(),
        rank,
        latest.subscribed_at,
        subscription.id.as_str(),
    )
}

/// Whether a cancellation is scheduled. Stripe shows it as `cancel_at_period_end`,
/// or as `cancel_at` at or before the period's end (trials have only the date).
fn canceling(latest: &Snapshot, period: Option<Period>) -> bool {
    let ends_with_period = |at: Seconds| period.is_some_and(|p| at <= p.end);
    latest.cancel_at_period_end || latest.cancel_at.is_some_and(ends_with_period)
}

#[cfg(test)]
#[path = "entitlement_tests.rs"]
mod tests;
