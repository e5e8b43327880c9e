//! The merchant's own record of a user: the subscriptions at Stripe, the paid periods and the unpaid
//! invoices. The expected row follows from it, and no event is read.
//!
//! A script enters each act with its meaning, such as a credited downgrade or an unpaid upgrade. A
//! worker has to find that meaning in the events.

use crate::fixtures::{Invoice, Subscription};
use crate::harness::Entitlement;
use crate::merchant::PaidTier;
use std::collections::BTreeSet;

/// The expected state of one user.
#[derive(Clone, Debug)]
pub struct ExpectedState {
    user_id: String,
    /// The customers that are known to be this user.
    customers: BTreeSet<String>,
    subscriptions: Vec<ExpectedSubscription>,
}

/// The expected state of one subscription.
#[derive(Clone, Debug)]
pub struct ExpectedSubscription {
    /// The subscription as Stripe shows it.
    pub shown: Subscription,
    /// Higher tiers that were paid for, and not credited, when the tier fell.
    graces: Vec<ExpectedGrace>,
    /// An upgrade at Stripe that is not paid.
    unpaid_upgrade: Option<UnpaidUpgrade>,
    /// The ids of invoices of the current period whose payment failed, until they are paid.
    failed_invoices: BTreeSet<String>,
    /// The highest tier while the subscription was entitled.
    highest: Option<PaidTier>,
    has_paid: bool,
    /// Whether an end of the entitlement ended a grace.
    lost_grace: bool,
}

/// The right to a higher tier until the end of its paid period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpectedGrace {
    /// The tier that was paid for.
    pub tier: PaidTier,
    /// The end of the paid period (Unix time).
    pub until: i64,
}

#[derive(Clone, Debug)]
struct UnpaidUpgrade {
    invoice: String,
    /// The tier before the upgrade.
    from: PaidTier,
}

impl ExpectedSubscription {
    /// The state of the new subscription `shown`.
    fn new(shown: Subscription) -> Self {
        let mut subscription = Self {
            graces: Vec::new(),
            unpaid_upgrade: None,
            failed_invoices: BTreeSet::new(),
            highest: None,
            has_paid: false,
            lost_grace: false,
            shown: shown.clone(),
        };
        subscription.set_shown(shown);
        subscription
    }

    /// Stripe shows the subscription as `shown` from now on. If it is not entitled any more, all graces
    /// end; other effects on graces are entered by the methods below.
    pub fn set_shown(&mut self, shown: Subscription) {
        if shown.period != self.shown.period {
            self.failed_invoices.clear();
        }
        self.shown = shown;
        if self.is_entitled() {
            self.highest = self.highest.max(Some(self.tier()));
        } else {
            self.lost_grace |= !self.graces.is_empty();
            self.graces.clear();
        }
    }

    /// The tier rose, and the upgrade counts: graces up to the new tier end.
    pub fn upgraded(&mut self) {
        let tier = self.tier();
        self.graces.retain(|grace| grace.tier > tier);
    }

    /// The tier rose from `from`, and the payment of `invoice` failed.
    pub fn upgraded_unpaid(&mut self, from: PaidTier, invoice: &Invoice) {
        let invoice = invoice.id.clone();
        self.failed_invoices.insert(invoice.clone());
        self.unpaid_upgrade = Some(UnpaidUpgrade { invoice, from });
    }

    /// Call before the tier falls within a period. Returns whether that gives a grace for the rest of the
    /// period, because it was paid for and not credited.
    pub fn downgraded(&mut self, is_credited: bool) -> bool {
        let is_paid = self.shown.status == "active" && self.failed_invoices.is_empty();
        let gives_grace = is_paid && !is_credited;
        if gives_grace {
            self.graces.push(ExpectedGrace {
                tier: self.tier(),
                until: self.shown.period.end,
            });
        }
        self.unpaid_upgrade = None;
        gives_grace
    }

    /// The payment of an invoice of the current period failed.
    pub fn invoice_failed(&mut self, invoice: &Invoice) {
        self.failed_invoices.insert(invoice.id.clone());
    }

    /// An invoice was paid.
    pub fn invoice_paid(&mut self, invoice: &Invoice) {
        self.has_paid |= invoice.total() > 0;
        self.failed_invoices.remove(&invoice.id);
        let is_cycle = invoice.billing_reason == "subscription_cycle";
        let settles = |upgrade: &UnpaidUpgrade| is_cycle || upgrade.invoice == invoice.id;
        if self.unpaid_upgrade.take_if(|upgrade| settles(upgrade)).is_some() {
            self.upgraded();
        }
        if is_cycle {
            let start = self.shown.period.start;
            self.graces.retain(|grace| grace.until > start);
        }
    }

    /// The tier that Stripe shows.
    #[must_use]
    pub fn tier(&self) -> PaidTier {
        PaidTier::of(&self.shown.price)
    }

    /// The tier without an unpaid upgrade.
    #[must_use]
    pub fn earned_tier(&self) -> PaidTier {
        self.unpaid_upgrade
            .as_ref()
            .map_or_else(|| self.tier(), |upgrade| upgrade.from)
    }

    /// The highest grace at `now` (Unix time).
    #[must_use]
    pub fn grace(&self, now: i64) -> Option<ExpectedGrace> {
        let running = self.graces.iter().filter(|grace| grace.until > now);
        running.max_by_key(|grace| grace.tier).copied()
    }

    /// Whether an upgrade is unpaid.
    #[must_use]
    pub fn has_unpaid_upgrade(&self) -> bool {
        self.unpaid_upgrade.is_some()
    }

    /// Whether an invoice of the current period failed and is still unpaid.
    #[must_use]
    pub fn has_failed_invoice(&self) -> bool {
        !self.failed_invoices.is_empty()
    }

    /// Whether an end of the entitlement ended a grace. The rules do not say if it comes back.
    #[must_use]
    pub const fn has_lost_grace(&self) -> bool {
        self.lost_grace
    }

    /// Whether the status entitles the user to anything.
    #[must_use]
    pub fn is_entitled(&self) -> bool {
        matches!(self.shown.status, "trialing" | "active" | "past_due")
    }

    fn is_canceling(&self) -> bool {
        let by_date = self.shown.cancel_at.is_some_and(|at| at <= self.shown.period.end);
        self.is_entitled() && (self.shown.cancel_at_period_end || by_date)
    }

    /// The columns that depend on this subscription alone.
    fn row(&self, now: i64) -> Entitlement {
        let grace = if self.is_entitled() { self.grace(now) } else { None };
        let effective = grace.map_or(self.earned_tier(), |grace| grace.tier.max(self.earned_tier()));
        let effective = if self.is_entitled() { effective.name() } else { "free" };
        Entitlement {
            entitled: self.is_entitled(),
            status: self.shown.status.to_owned(),
            tier: self.tier().name().to_owned(),
            effective_tier: effective.to_owned(),
            grace_tier: grace.map(|grace| grace.tier.name().to_owned()),
            grace_until: grace.map(|grace| grace.until),
            current_period_start: Some(self.shown.period.start),
            current_period_end: Some(self.shown.period.end),
            trial_end: self.shown.trial.map(|trial| trial.end),
            is_canceling: self.is_canceling(),
            cancel_at: self.shown.cancel_at,
            canceled_at: self.shown.canceled_at,
            stripe_customer_id: Some(self.shown.customer.clone()),
            stripe_subscription_id: Some(self.shown.id.clone()),
            ..Entitlement::default()
        }
    }
}

impl ExpectedState {
    /// The state of `user_id` without subscriptions.
    #[must_use]
    pub fn new(user_id: &str) -> Self {
        Self {
            user_id: user_id.to_owned(),
            customers: BTreeSet::new(),
            subscriptions: Vec::new(),
        }
    }

    /// Adds a new subscription.
    pub fn add(&mut self, shown: Subscription) {
        self.subscriptions.push(ExpectedSubscription::new(shown));
    }

    /// From now on `customer` is known to be this user.
    pub fn link_customer(&mut self, customer: &str) {
        self.customers.insert(customer.to_owned());
    }

    /// The subscriptions in the order of their creation.
    #[must_use]
    pub fn subscriptions(&self) -> &[ExpectedSubscription] {
        &self.subscriptions
    }

    /// The subscription number `which`.
    pub fn subscription_mut(&mut self, which: usize) -> &mut ExpectedSubscription {
        &mut self.subscriptions[which]
    }

    fn known(&self) -> impl Iterator<Item = &ExpectedSubscription> {
        let is_known = |subscription: &&ExpectedSubscription| self.customers.contains(&subscription.shown.customer);
        self.subscriptions.iter().filter(is_known)
    }

    /// The current subscription: an entitled one first, then the higher tier by `tier`, then the newest.
    fn current(&self, tier: impl Fn(&ExpectedSubscription) -> PaidTier) -> Option<&ExpectedSubscription> {
        self.known().max_by_key(|subscription| {
            (
                subscription.is_entitled(),
                tier(subscription),
                subscription.shown.created,
            )
        })
    }

    /// The row of `billing.entitlements` at `now`.
    #[must_use]
    pub fn row(&self, now: i64) -> Option<Entitlement> {
        let current = self.current(ExpectedSubscription::tier)?;
        let highest = self.known().filter_map(|subscription| subscription.highest).max();
        Some(Entitlement {
            user_id: self.user_id.clone(),
            ever_paid: self.known().any(|subscription| subscription.has_paid),
            highest_tier_subscribed: highest.map(|tier| tier.name().to_owned()),
            ..current.row(now)
        })
    }

    /// Whether the current subscription is the same with each meaning of "tier": Stripe's tier, the tier
    /// without an unpaid upgrade, and the tier with a grace (at `now` or at its start). The rules do not
    /// say which one counts.
    #[must_use]
    pub fn is_decided(&self, now: i64) -> bool {
        let with_grace = |subscription: &ExpectedSubscription, now| {
            let grace = subscription.grace(now).map(|grace| grace.tier);
            grace.map_or(subscription.earned_tier(), |tier| tier.max(subscription.earned_tier()))
        };
        let id = |current: Option<&ExpectedSubscription>| current.map(|subscription| subscription.shown.id.clone());
        let by_stripe = id(self.current(ExpectedSubscription::tier));
        by_stripe == id(self.current(ExpectedSubscription::earned_tier))
            && by_stripe == id(self.current(|subscription| with_grace(subscription, now)))
            && by_stripe == id(self.current(|subscription| with_grace(subscription, i64::MIN)))
    }
}
