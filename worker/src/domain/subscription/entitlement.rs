//! The entitlement of a user, from all subscriptions that they have or had.
//!
//! Example: a user has a canceled Max and an active Basic. The active one is the
//! current subscription, so the tier is Basic; the highest tier stays Max.
//!
//! A scheduled end is an end also if no event tells of it. So a user has one row for each
//! span of time: the last one whose `since` has come counts.

use super::{grace::Grace, state::Subscription};
use crate::domain::{
    fact::{Period, Plan, Seconds, Snapshot},
    ids::UserId,
};
use std::collections::BTreeSet;

/// The entitlement of a user from a moment on, if no event comes: the view
/// `billing.entitlements` adds whether the grace runs now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entitlement {
    /// The user's id.
    pub user: UserId,
    /// The first second of it; `None` if it counts from now on.
    pub since: Option<Seconds>,
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
            since: None,
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

/// The entitlement of a user with these subscriptions, as the events tell it; `None` if none
/// of them has a snapshot yet. An invoice or a session alone says nothing about access.
#[must_use]
pub fn of_user(user: &UserId, subscriptions: &[&Subscription], free_tier: &str) -> Option<Entitlement> {
    at(user, subscriptions, free_tier, Seconds::MIN)
}

/// The entitlements of a user over time: the one that the events tell, and one for each end
/// that passes without an event; sorted.
#[must_use]
pub fn over_time(user: &UserId, subscriptions: &[&Subscription], free_tier: &str) -> Vec<Entitlement> {
    let ends: BTreeSet<Seconds> = subscriptions.iter().filter_map(|s| s.ends_untold_at()).collect();
    let first = of_user(user, subscriptions, free_tier);
    let later = ends
        .into_iter()
        .filter_map(|end| at(user, subscriptions, free_tier, end));
    let mut rows: Vec<Entitlement> = Vec::new();
    for row in first.into_iter().chain(later) {
        let since = row.since;
        let is_new = |last: &Entitlement| row != Entitlement { since, ..last.clone() };
        if rows.last().is_none_or(is_new) {
            rows.push(row);
        }
    }
    rows
}

/// The entitlement of a user at a moment; [`Seconds::MIN`] is before any end.
#[must_use]
pub fn at(user: &UserId, subscriptions: &[&Subscription], free_tier: &str, at: Seconds) -> Option<Entitlement> {
    let seen = || subscriptions.iter().filter_map(|s| Some((*s, s.latest.as_ref()?)));
    let (current, latest) = seen().max_by_key(|(s, latest)| precedence(s, latest, at))?;
    let entitled = current.entitled_at(at);
    let tier = current.plan.as_ref().map_or(free_tier, |p| &p.tier).to_owned();
    Some(Entitlement {
        user: user.clone(),
        since: (at > Seconds::MIN).then_some(at),
        entitled,
        status: latest.status.clone(),
        base_tier: if entitled {
            current.base_plan().map_or(free_tier, |p| &p.tier).to_owned()
        } else {
            free_tier.to_owned()
        },
        tier,
        grace: current.grace.clone().filter(|_| entitled),
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

/// The place of a subscription among those of a user; the greatest is the current one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Precedence<'a> {
    /// Whether it gives access.
    pub entitled: bool,
    /// The rank of the tier that counts, if it gives access.
    pub rank: Option<i32>,
    /// Whether it gives access and is not canceling.
    pub goes_on: bool,
    /// The subscription's own `created`.
    pub subscribed_at: Seconds,
    /// Its id decides last, so that the result is the same every time.
    pub id: &'a str,
}

/// The place of a subscription at a moment: one that gives access comes before others; of
/// those the higher tier, then one that is not canceling, then the newer one. Of those
/// without access the newest.
#[must_use]
pub fn precedence<'a>(subscription: &'a Subscription, latest: &Snapshot, at: Seconds) -> Precedence<'a> {
    let entitled = subscription.entitled_at(at);
    Precedence {
        entitled,
        rank: subscription.base_plan().filter(|_| entitled).map(|p| p.rank),
        goes_on: entitled && !canceling(latest, subscription.period),
        subscribed_at: latest.subscribed_at,
        id: subscription.id.as_str(),
    }
}

/// Whether a cancellation is scheduled. Stripe shows it as `cancel_at_period_end`,
/// or as `cancel_at` at or before the period's end (trials have only the date).
pub(super) fn canceling(latest: &Snapshot, period: Option<Period>) -> bool {
    let ends_with_period = |at: Seconds| period.is_some_and(|p| at <= p.end);
    latest.cancel_at_period_end || latest.cancel_at.is_some_and(ends_with_period)
}

#[cfg(test)]
#[path = "entitlement_tests.rs"]
mod tests;
