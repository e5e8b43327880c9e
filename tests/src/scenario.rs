//! The story that the demo shows and a test checks: one user's way through subscribing,
//! upgrading, downgrading, renewing and leaving, with poison and duplicates on the way.
//!
//! The subscription lives on a simulated clock, as under Stripe's test clocks: its periods lie
//! so that a grace runs at the real now, while the events' `created` are the last half hour's.

use crate::fixtures::price::{BASIC_MONTHLY, MAX_MONTHLY, PLUS_MONTHLY, UNKNOWN};
use crate::fixtures::{ApiVersion, DAY, Event, Invoice, Line, Mint, Period, Session, Subscription};
use crate::harness::Entitlement;
use serde_json::json;

/// The user of the story.
pub const USER: &str = "user_ada";
/// A user who bought something that no catalog has, and so has no row.
pub const STRANGER: &str = "user_stranger";

/// What the pair must make of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Its facts are taken in.
    Applied,
    /// Its type is none that we react to.
    Ignored,
    /// It is a dead letter, for this reason.
    Dead(&'static str),
}

/// An event and what the pair must make of it.
#[derive(Clone, Debug)]
pub struct Sending {
    /// What is posted.
    pub event: Event,
    /// What `billing.events` must say of it.
    pub verdict: Verdict,
}

/// What happens, and what the user has afterwards.
#[derive(Clone, Debug)]
pub struct Step {
    /// For people.
    pub title: &'static str,
    /// What is posted, in this order.
    pub sendings: Vec<Sending>,
    /// How often each is posted: 1, or many at once in a storm.
    pub copies: usize,
    /// The row of [`USER`] in `billing.entitlements`.
    pub after: Entitlement,
}

/// All steps, in the shapes of one API version.
#[derive(Clone, Debug)]
pub struct Story {
    /// That version.
    pub version: ApiVersion,
    /// In order.
    pub steps: Vec<Step>,
}

impl Story {
    /// The story as `version` writes it, around `now` (Unix time); `seed` makes its ids.
    #[must_use]
    pub fn new(version: ApiVersion, seed: &str, now: i64) -> Self {
        let mut author = Author::new(Mint::new(version, seed), now);
        author.subscribes();
        author.upgrades();
        author.downgrades();
        author.meets_poison();
        author.weathers_a_storm();
        author.renews();
        author.cancels();
        author.ends();
        Self {
            version,
            steps: author.steps,
        }
    }

    /// The events that must end as dead letters, with their reasons.
    pub fn dead(&self) -> impl Iterator<Item = (&Event, &'static str)> {
        let once = self.steps.iter().filter(|step| step.copies == 1);
        once.flat_map(|step| &step.sendings)
            .filter_map(|sending| match sending.verdict {
                Verdict::Dead(reason) => Some((&sending.event, reason)),
                _ => None,
            })
    }
}

/// Writes a story: what is true so far, and the steps that led there.
struct Author {
    mint: Mint,
    /// `created` of the next event; moves on by minutes, so that no step touches another.
    clock: i64,
    subscription: Subscription,
    row: Entitlement,
    sendings: Vec<Sending>,
    steps: Vec<Step>,
}

impl Author {
    fn new(mut mint: Mint, now: i64) -> Self {
        let customer = mint.id("cus");
        let started = now - 10 * DAY;
        let subscription = Subscription::new(&mut mint, &customer, PLUS_MONTHLY, started);
        Self {
            mint,
            clock: now - 1_800,
            subscription,
            row: Entitlement::default(),
            sendings: Vec::new(),
            steps: Vec::new(),
        }
    }

    /// A checkout: all of it within one second, as in real life. `created` comes first and the
    /// invoice before the snapshot, whatever their order of arrival.
    fn subscribes(&mut self) {
        let session = self.checkout();
        self.subscription.status = "incomplete";
        let lines = vec![Line::plan(&mut self.mint, PLUS_MONTHLY, self.subscription.period)];
        let invoice = self.invoice("subscription_create", self.subscription.created, lines);
        let incomplete = self.subscription.clone();
        self.subscription.status = "active";

        let created = self
            .mint
            .event("customer.subscription.created", self.clock, &incomplete);
        self.send(created, Verdict::Applied);
        self.send_updated(&incomplete);
        self.send_paid(&invoice);
        let completed = self.mint.event("checkout.session.completed", self.clock, &session);
        self.send(completed, Verdict::Applied);

        self.row = Entitlement {
            user_id: USER.to_owned(),
            entitled: true,
            status: "active".to_owned(),
            tier: "plus".to_owned(),
            effective_tier: "plus".to_owned(),
            current_period_start: Some(self.subscription.period.start),
            current_period_end: Some(self.subscription.period.end),
            ever_paid: true,
            highest_tier_subscribed: Some("plus".to_owned()),
            stripe_customer_id: Some(self.subscription.customer.clone()),
            stripe_subscription_id: Some(self.subscription.id.clone()),
            ..Entitlement::default()
        };
        self.step("Ada subscribes to plus");
    }

    /// The session, which names the user in one of the places where applications do.
    fn checkout(&mut self) -> Session {
        let mut session = Session::of_subscription(&mut self.mint, &self.subscription);
        match self.mint.version() {
            ApiVersion::V2020 => session.client_reference_id = Some(USER.to_owned()),
            ApiVersion::V2024 => {
                session.metadata.insert("user_id".to_owned(), USER.to_owned());
            }
            ApiVersion::Basil | ApiVersion::Y2026 => {
                self.subscription = self.subscription.clone().of_user(USER);
            }
        }
        session
    }

    /// Plus to max after ten days: a third of plus is credited, two thirds of max are charged.
    fn upgrades(&mut self) {
        let old = self.subscription.clone();
        let now = old.created + 10 * DAY;
        let rest = Period {
            start: now,
            end: old.period.end,
        };
        self.subscription.price = MAX_MONTHLY;
        let lines = vec![
            Line::proration(&mut self.mint, PLUS_MONTHLY, rest, -1_333),
            Line::proration(&mut self.mint, MAX_MONTHLY, rest, 2_667),
        ];
        let invoice = self.invoice("subscription_update", now, lines);
        self.send_updated(&old);
        self.send_paid(&invoice);

        self.row.tier = "max".into();
        self.row.effective_tier = "max".into();
        self.row.highest_tier_subscribed = Some("max".to_owned());
        self.step("Ada upgrades to max, paying the difference");
    }

    /// Max to basic without proration: nothing is credited, so what was paid for stays.
    fn downgrades(&mut self) {
        let old = self.subscription.clone();
        self.subscription.price = BASIC_MONTHLY;
        self.send_updated(&old);

        self.row.tier = "basic".into();
        self.row.grace_tier = Some("max".to_owned());
        self.row.grace_until = Some(old.period.end);
        self.step("Ada downgrades to basic: grace keeps max until the period's end");
    }

    /// Two events that no worker can apply; they change no row.
    fn meets_poison(&mut self) {
        let customer = self.mint.id("cus");
        let started = self.subscription.created;
        let unknown = Subscription::new(&mut self.mint, &customer, UNKNOWN, started).of_user(STRANGER);
        let event = self.mint.event("customer.subscription.created", self.clock, &unknown);
        self.send(event, Verdict::Dead("unknown_price"));

        let broken = json!({ "object": { "id": 7, "object": "subscription", "status": ["active"], "items": null } });
        let event = self.mint.envelope("customer.subscription.updated", self.clock, &broken);
        self.send(event, Verdict::Dead("malformed"));
        self.step("Poison: a price that no catalog knows, and a broken subscription");
    }

    /// Everything so far, many times at once: each event has its effect once.
    fn weathers_a_storm(&mut self) {
        self.sendings = self.steps.iter().flat_map(|step| step.sendings.clone()).collect();
        self.step("A storm of duplicates: every event so far 20 times, at once");
        if let Some(storm) = self.steps.last_mut() {
            storm.copies = 20;
        }
    }

    /// The next period, of the lower tier; the grace is over when it is paid.
    fn renews(&mut self) {
        let old = self.subscription.clone();
        self.subscription.renew();
        let lines = vec![Line::plan(&mut self.mint, BASIC_MONTHLY, self.subscription.period)];
        let mut invoice = self.invoice("subscription_cycle", old.period.end, lines);
        invoice.period = old.period;
        self.send_updated(&old);
        let finalized = self.mint.event("invoice.finalized", self.clock, &invoice);
        self.send(finalized, Verdict::Ignored);
        self.clock += 61;
        self.send_paid(&invoice);

        self.row.effective_tier = "basic".into();
        self.row.grace_tier = None;
        self.row.grace_until = None;
        self.row.current_period_start = Some(self.subscription.period.start);
        self.row.current_period_end = Some(self.subscription.period.end);
        self.step("The renewal is paid: the grace is over");
    }

    fn cancels(&mut self) {
        let old = self.subscription.clone();
        let asked = old.period.start + 5 * DAY;
        self.subscription.cancel_with_period(asked, self.mint.version());
        self.send_updated(&old);

        self.row.is_canceling = true;
        self.row.cancel_at = Some(old.period.end);
        self.row.canceled_at = Some(asked);
        self.step("Ada cancels: what is paid for stays until the period's end");
    }

    fn ends(&mut self) {
        self.subscription.end(self.subscription.period.end);
        let deleted = self
            .mint
            .event("customer.subscription.deleted", self.clock, &self.subscription);
        self.send(deleted, Verdict::Applied);

        self.row.entitled = false;
        self.row.status = "canceled".into();
        self.row.effective_tier = "free".into();
        self.row.is_canceling = false;
        self.step("The subscription ends");
    }

    /// A paid invoice of the subscription, which becomes its latest.
    fn invoice(&mut self, billing_reason: &'static str, created: i64, lines: Vec<Line>) -> Invoice {
        let invoice = Invoice::new(&mut self.mint, &self.subscription, billing_reason, created, lines);
        self.subscription.latest_invoice = Some(invoice.id.clone());
        invoice
    }

    fn send_updated(&mut self, old: &Subscription) {
        let kind = "customer.subscription.updated";
        let event = self.mint.update(kind, self.clock, old, &self.subscription);
        self.send(event, Verdict::Applied);
    }

    /// The two events that Stripe sends of one payment.
    fn send_paid(&mut self, invoice: &Invoice) {
        for kind in ["invoice.paid", "invoice.payment_succeeded"] {
            let event = self.mint.event(kind, self.clock, invoice);
            self.send(event, Verdict::Applied);
        }
    }

    fn send(&mut self, event: Event, verdict: Verdict) {
        self.sendings.push(Sending { event, verdict });
    }

    /// Ends the step `title`: what was sent since the last one, and the row as it is now.
    fn step(&mut self, title: &'static str) {
        self.clock += 120;
        self.steps.push(Step {
            title,
            sendings: std::mem::take(&mut self.sendings),
            copies: 1,
            after: self.row.clone(),
        });
    }
}
