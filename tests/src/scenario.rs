//! The scenario that the demo shows and a test checks. One user subscribes, upgrades, downgrades, renews and
//! cancels. Between these steps come events that no worker can apply, and many duplicates.
//!
//! The subscription has a simulated clock, like Stripe's test clocks. Its periods are chosen so that a grace
//! runs at the present time, while the `created` of all events lies in the last half hour.

use crate::fixtures::price::{BASIC_MONTHLY, MAX_MONTHLY, PLUS_MONTHLY, UNKNOWN};
use crate::fixtures::{ApiVersion, DAY, Event, Invoice, Line, Mint, Period, Session, Subscription};
use crate::harness::Entitlement;
use serde_json::json;

/// The user of the scenario.
pub const USER: &str = "user_ada";
/// A user with a price that the catalog does not have, and so without a row.
pub const USER_WITHOUT_ROW: &str = "user_stranger";

/// The expected outcome of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpectedOutcome {
    /// The event is applied.
    Applied,
    /// The worker does not handle its type.
    Ignored,
    /// The event is a dead letter, for this reason.
    Dead(&'static str),
}

/// An event and its expected outcome.
#[derive(Clone, Debug)]
pub struct ScenarioEvent {
    /// The event to post.
    pub event: Event,
    /// Its expected outcome in `billing.events`.
    pub expected: ExpectedOutcome,
}

/// A step: its events, and the expected row after it.
#[derive(Clone, Debug)]
pub struct ScenarioStep {
    /// The title, for people.
    pub title: &'static str,
    /// Why the row is as it is, for people.
    pub explanation: &'static str,
    /// The events, in the order of posting.
    pub events: Vec<ScenarioEvent>,
    /// The number of posts of each event: 1, or more at once in a storm.
    pub copies: usize,
    /// The expected row of [`USER`] in `billing.entitlements`.
    pub expected_row: Entitlement,
}

/// All steps, with events of one API version.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The API version of the events.
    pub version: ApiVersion,
    /// The steps in order.
    pub steps: Vec<ScenarioStep>,
}

impl Scenario {
    /// The scenario with events of `version` around `now` (Unix time). `seed` makes the ids.
    #[must_use]
    pub fn new(version: ApiVersion, seed: &str, now: i64) -> Self {
        let mut writer = ScenarioWriter::new(Mint::new(version, seed), now);
        writer.subscribes();
        writer.upgrades();
        writer.downgrades();
        writer.sends_invalid_events();
        writer.repeats_all_events();
        writer.renews();
        writer.cancels();
        writer.ends();
        Self {
            version,
            steps: writer.steps,
        }
    }

    /// The events that must end as dead letters, with their reasons.
    pub fn dead(&self) -> impl Iterator<Item = (&Event, &'static str)> {
        let once = self.steps.iter().filter(|step| step.copies == 1);
        once.flat_map(|step| &step.events)
            .filter_map(|sent| match sent.expected {
                ExpectedOutcome::Dead(reason) => Some((&sent.event, reason)),
                _ => None,
            })
    }
}

/// Writes a scenario: the state so far, and the steps that led to it.
struct ScenarioWriter {
    mint: Mint,
    /// `created` of the next event (Unix time). It moves by minutes, so that no rule connects two steps.
    clock: i64,
    subscription: Subscription,
    row: Entitlement,
    events: Vec<ScenarioEvent>,
    steps: Vec<ScenarioStep>,
}

impl ScenarioWriter {
    fn new(mut mint: Mint, now: i64) -> Self {
        let customer = mint.id("cus");
        let started = now - 10 * DAY;
        let subscription = Subscription::new(&mut mint, &customer, PLUS_MONTHLY, started);
        Self {
            mint,
            clock: now - 1_800,
            subscription,
            row: Entitlement::default(),
            events: Vec::new(),
            steps: Vec::new(),
        }
    }

    /// A checkout. As at Stripe, all its events are of one second.
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
        self.send(created, ExpectedOutcome::Applied);
        self.send_updated(&incomplete);
        self.send_paid(&invoice);
        let completed = self.mint.event("checkout.session.completed", self.clock, &session);
        self.send(completed, ExpectedOutcome::Applied);

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
        self.step(
            "Ada subscribes to plus",
            "The payment succeeded, so plus is available at once.",
        );
    }

    /// The session. Each API version identifies the user in another place, as applications do.
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

    /// Plus to max after ten days: the rest of plus is credited, the rest of max is charged.
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
        self.step(
            "Ada upgrades to max and pays the difference",
            "The difference is paid, so max is available at once.",
        );
    }

    /// Max to basic without proration: nothing is credited, so max stays until the end of the period.
    fn downgrades(&mut self) {
        let old = self.subscription.clone();
        self.subscription.price = BASIC_MONTHLY;
        self.send_updated(&old);

        self.row.tier = "basic".into();
        self.row.grace_tier = Some("max".to_owned());
        self.row.grace_until = Some(old.period.end);
        self.step(
            "Ada downgrades to basic",
            "Max was paid for and nothing was refunded: a grace keeps max until the period ends.",
        );
    }

    /// Two events that no worker can apply; they change no row.
    fn sends_invalid_events(&mut self) {
        let customer = self.mint.id("cus");
        let started = self.subscription.created;
        let unknown = Subscription::new(&mut self.mint, &customer, UNKNOWN, started).of_user(USER_WITHOUT_ROW);
        let event = self.mint.event("customer.subscription.created", self.clock, &unknown);
        self.send(event, ExpectedOutcome::Dead("unknown_price"));

        let broken = json!({ "object": { "id": 7, "object": "subscription", "status": ["active"], "items": null } });
        let event = self.mint.envelope("customer.subscription.updated", self.clock, &broken);
        self.send(event, ExpectedOutcome::Dead("malformed"));
        self.step(
            "Two events arrive that cannot be applied",
            "One has a price that is not in the catalog, one is malformed. Both become dead letters; Ada's row stays.",
        );
    }

    /// All events so far, many times at once. Each must count only once.
    fn repeats_all_events(&mut self) {
        self.events = self.steps.iter().flat_map(|step| step.events.clone()).collect();
        self.step(
            "All events so far arrive again, 20 times each, at once",
            "Each event counts once, so the row stays.",
        );
        if let Some(storm) = self.steps.last_mut() {
            storm.copies = 20;
        }
    }

    /// The next period with the lower tier. Its payment ends the grace.
    fn renews(&mut self) {
        let old = self.subscription.clone();
        self.subscription.renew();
        let lines = vec![Line::plan(&mut self.mint, BASIC_MONTHLY, self.subscription.period)];
        let mut invoice = self.invoice("subscription_cycle", old.period.end, lines);
        invoice.period = old.period;
        self.send_updated(&old);
        let finalized = self.mint.event("invoice.finalized", self.clock, &invoice);
        self.send(finalized, ExpectedOutcome::Ignored);
        self.clock += 61;
        self.send_paid(&invoice);

        self.row.effective_tier = "basic".into();
        self.row.grace_tier = None;
        self.row.grace_until = None;
        self.row.current_period_start = Some(self.subscription.period.start);
        self.row.current_period_end = Some(self.subscription.period.end);
        self.step(
            "Ada's subscription renews as basic",
            "The new period is paid as basic, so the grace is over. The worker does not need invoice.finalized.",
        );
    }

    fn cancels(&mut self) {
        let old = self.subscription.clone();
        let asked = old.period.start + 5 * DAY;
        self.subscription.cancel_with_period(asked, self.mint.version());
        self.send_updated(&old);

        self.row.is_canceling = true;
        self.row.cancel_at = Some(old.period.end);
        self.row.canceled_at = Some(asked);
        self.step("Ada cancels", "The period is paid, so basic stays until it ends.");
    }

    fn ends(&mut self) {
        self.subscription.end(self.subscription.period.end);
        let deleted = self
            .mint
            .event("customer.subscription.deleted", self.clock, &self.subscription);
        self.send(deleted, ExpectedOutcome::Applied);

        self.row.entitled = false;
        self.row.status = "canceled".into();
        self.row.effective_tier = "free".into();
        self.row.is_canceling = false;
        self.step(
            "The subscription ends",
            "The user is not entitled any more and has the free tier.",
        );
    }

    /// A paid invoice of the subscription, as its latest invoice.
    fn invoice(&mut self, billing_reason: &'static str, created: i64, lines: Vec<Line>) -> Invoice {
        let invoice = Invoice::new(&mut self.mint, &self.subscription, billing_reason, created, lines);
        self.subscription.latest_invoice = Some(invoice.id.clone());
        invoice
    }

    fn send_updated(&mut self, old: &Subscription) {
        let kind = "customer.subscription.updated";
        let event = self.mint.update(kind, self.clock, old, &self.subscription);
        self.send(event, ExpectedOutcome::Applied);
    }

    /// The two events that Stripe sends for one payment.
    fn send_paid(&mut self, invoice: &Invoice) {
        for kind in ["invoice.paid", "invoice.payment_succeeded"] {
            let event = self.mint.event(kind, self.clock, invoice);
            self.send(event, ExpectedOutcome::Applied);
        }
    }

    fn send(&mut self, event: Event, expected: ExpectedOutcome) {
        self.events.push(ScenarioEvent { event, expected });
    }

    /// Ends a step: it has the events since the last step, and the present row.
    fn step(&mut self, title: &'static str, explanation: &'static str) {
        self.clock += 120;
        self.steps.push(ScenarioStep {
            title,
            explanation,
            events: std::mem::take(&mut self.events),
            copies: 1,
            expected_row: self.row.clone(),
        });
    }
}
