//! The merchant's own books: what each subscription shows at Stripe, what was paid for, and what
//! is owed. The right row follows from them; no event is read for it.
//!
//! Whoever plays an act enters it here as what it *is* (a downgrade that was credited, an upgrade
//! that nobody paid), which a worker has to find out from events.

use crate::fixtures::{Invoice, Subscription};
use crate::harness::Entitlement;
use crate::merchant::Tier;
use std::collections::BTreeSet;

/// The books about one user.
#[derive(Clone, Debug)]
pub struct Books {
    user_id: String,
    /// The customers of which it is known that they are this user.
    customers: BTreeSet<String>,
    statements: Vec<Statement>,
}

/// The page about one subscription.
#[derive(Clone, Debug)]
pub struct Statement {
    /// The subscription as Stripe shows it.
    pub shown: Subscription,
    /// What was paid for and not credited when the tier fell.
    claims: Vec<Claim>,
    /// The upgrade that Stripe made and nobody paid.
    unpaid_upgrade: Option<UnpaidUpgrade>,
    /// The invoices of the current period that failed and were not paid since.
    arrears: BTreeSet<String>,
    /// The highest tier while it was entitled.
    highest: Option<Tier>,
    has_paid: bool,
    /// Whether an end of the entitlement took claims away.
    forfeited: bool,
}

/// The right to a tier until the time that was paid for is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// What was paid for.
    pub tier: Tier,
    /// The end of the period that was paid for (Unix time).
    pub until: i64,
}

#[derive(Clone, Debug)]
struct UnpaidUpgrade {
    invoice: String,
    /// What the user still has.
    from: Tier,
}

impl Statement {
    /// A page for `shown`, which was just made.
    fn new(shown: Subscription) -> Self {
        let mut statement = Self {
            claims: Vec::new(),
            unpaid_upgrade: None,
            arrears: BTreeSet::new(),
            highest: None,
            has_paid: false,
            forfeited: false,
            shown: shown.clone(),
        };
        statement.shows(shown);
        statement
    }

    /// Stripe shows it like this from now on. What that means for claims is entered apart, but
    /// for this: who is not entitled claims nothing.
    pub fn shows(&mut self, shown: Subscription) {
        if shown.period != self.shown.period {
            self.arrears.clear();
        }
        self.shown = shown;
        if self.is_entitled() {
            self.highest = self.highest.max(Some(self.tier()));
        } else {
            self.forfeited |= !self.claims.is_empty();
            self.claims.clear();
        }
    }

    /// The tier rose, and that counts: what is claimed up to it is had anyway.
    pub fn rose(&mut self) {
        let tier = self.tier();
        self.claims.retain(|claim| claim.tier > tier);
    }

    /// The tier rose, and nobody paid `invoice` for it.
    pub fn rose_unpaid(&mut self, from: Tier, invoice: &Invoice) {
        let invoice = invoice.id.clone();
        self.arrears.insert(invoice.clone());
        self.unpaid_upgrade = Some(UnpaidUpgrade { invoice, from });
    }

    /// The tier is about to fall inside of its period. Returns whether the rest of that is claimed:
    /// it was paid for, and not credited.
    pub fn falls(&mut self, is_credited: bool) -> bool {
        let is_paid = self.shown.status == "active" && self.arrears.is_empty();
        let is_claimed = is_paid && !is_credited;
        if is_claimed {
            self.claims.push(Claim {
                tier: self.tier(),
                until: self.shown.period.end,
            });
        }
        self.unpaid_upgrade = None;
        is_claimed
    }

    /// An invoice of the current period could not be paid.
    pub fn failed(&mut self, invoice: &Invoice) {
        self.arrears.insert(invoice.id.clone());
    }

    /// An invoice was paid.
    pub fn paid(&mut self, invoice: &Invoice) {
        self.has_paid |= invoice.total() > 0;
        self.arrears.remove(&invoice.id);
        let is_cycle = invoice.billing_reason == "subscription_cycle";
        let settles = |upgrade: &UnpaidUpgrade| is_cycle || upgrade.invoice == invoice.id;
        if self.unpaid_upgrade.take_if(|upgrade| settles(upgrade)).is_some() {
            self.rose();
        }
        if is_cycle {
            let start = self.shown.period.start;
            self.claims.retain(|claim| claim.until > start);
        }
    }

    /// The tier that Stripe shows.
    #[must_use]
    pub fn tier(&self) -> Tier {
        Tier::of(&self.shown.price)
    }

    /// The tier without an upgrade that nobody paid.
    #[must_use]
    pub fn earned_tier(&self) -> Tier {
        self.unpaid_upgrade
            .as_ref()
            .map_or_else(|| self.tier(), |upgrade| upgrade.from)
    }

    /// What is claimed at `now` beyond the tier.
    #[must_use]
    pub fn claim(&self, now: i64) -> Option<Claim> {
        let running = self.claims.iter().filter(|claim| claim.until > now);
        running.max_by_key(|claim| claim.tier).copied()
    }

    /// Whether its upgrade waits for its payment.
    #[must_use]
    pub fn has_unpaid_upgrade(&self) -> bool {
        self.unpaid_upgrade.is_some()
    }

    /// Whether an invoice of the current period is open that could not be paid.
    #[must_use]
    pub fn has_arrears(&self) -> bool {
        !self.arrears.is_empty()
    }

    /// Whether claims were lost by an end of the entitlement: nobody says if they come back.
    #[must_use]
    pub const fn has_forfeited(&self) -> bool {
        self.forfeited
    }

    /// Whether its status gives anything.
    #[must_use]
    pub fn is_entitled(&self) -> bool {
        matches!(self.shown.status, "trialing" | "active" | "past_due")
    }

    fn is_canceling(&self) -> bool {
        let by_date = self.shown.cancel_at.is_some_and(|at| at <= self.shown.period.end);
        self.is_entitled() && (self.shown.cancel_at_period_end || by_date)
    }

    /// The columns that come of this subscription alone.
    fn row(&self, now: i64) -> Entitlement {
        let claim = self.claim(now).filter(|_| self.is_entitled());
        let effective = claim.map_or(self.earned_tier(), |claim| claim.tier.max(self.earned_tier()));
        let effective = if self.is_entitled() { effective.name() } else { "free" };
        Entitlement {
            entitled: self.is_entitled(),
            status: self.shown.status.to_owned(),
            tier: self.tier().name().to_owned(),
            effective_tier: effective.to_owned(),
            grace_tier: claim.map(|claim| claim.tier.name().to_owned()),
            grace_until: claim.map(|claim| claim.until),
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

impl Books {
    /// Empty books about `user_id`.
    #[must_use]
    pub fn new(user_id: &str) -> Self {
        Self {
            user_id: user_id.to_owned(),
            customers: BTreeSet::new(),
            statements: Vec::new(),
        }
    }

    /// Begins the page of a new subscription.
    pub fn open(&mut self, shown: Subscription) {
        self.statements.push(Statement::new(shown));
    }

    /// It becomes known that `customer` is the user.
    pub fn recognize(&mut self, customer: &str) {
        self.customers.insert(customer.to_owned());
    }

    /// The pages, in the order in which the subscriptions were made.
    #[must_use]
    pub fn statements(&self) -> &[Statement] {
        &self.statements
    }

    /// The page of the subscription `which`.
    pub fn statement_mut(&mut self, which: usize) -> &mut Statement {
        &mut self.statements[which]
    }

    fn known(&self) -> impl Iterator<Item = &Statement> {
        let is_known = |page: &&Statement| self.customers.contains(&page.shown.customer);
        self.statements.iter().filter(is_known)
    }

    /// The current subscription: an entitled one before any other, then the higher tier, then
    /// the most recent.
    fn current(&self, tier: impl Fn(&Statement) -> Tier) -> Option<&Statement> {
        self.known()
            .max_by_key(|page| (page.is_entitled(), tier(page), page.shown.created))
    }

    /// The row of `billing.entitlements` at `now`.
    #[must_use]
    pub fn row(&self, now: i64) -> Option<Entitlement> {
        let current = self.current(Statement::tier)?;
        let highest = self.known().filter_map(|page| page.highest).max();
        Some(Entitlement {
            user_id: self.user_id.clone(),
            ever_paid: self.known().any(|page| page.has_paid),
            highest_tier_subscribed: highest.map(|tier| tier.name().to_owned()),
            ..current.row(now)
        })
    }

    /// Whether the current subscription is the same whatever one takes for its tier: Stripe's,
    /// the one without an unpaid upgrade, or the one that a grace lifts it to (now or at first).
    /// The rules do not say.
    #[must_use]
    pub fn is_decided(&self, now: i64) -> bool {
        let lifted = |page: &Statement, now| {
            let claimed = page.claim(now).map(|claim| claim.tier);
            claimed.map_or(page.earned_tier(), |tier| tier.max(page.earned_tier()))
        };
        let id = |current: Option<&Statement>| current.map(|page| page.shown.id.clone());
        let by_stripe = id(self.current(Statement::tier));
        by_stripe == id(self.current(Statement::earned_tier))
            && by_stripe == id(self.current(|page| lifted(page, now)))
            && by_stripe == id(self.current(|page| lifted(page, i64::MIN)))
    }
}
