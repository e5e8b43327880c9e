//! A life under construction. Each act adds its events, and enters its meaning into the [`ExpectedState`].

use crate::fixtures::{ApiVersion, DAY, Event, Invoice, Mint, Resource, Subscription};
use crate::merchant::scripted_subscription::ScriptedSubscription;
use crate::merchant::{Checkpoint, ExpectedState, ExpectedSubscription, Life};
use serde_json::Value;
use std::collections::BTreeSet;

const UPDATED: &str = "customer.subscription.updated";

/// A life under construction. Only [`Script::wait`] moves the time, and acts with a fixed date, such as a
/// renewal: they happen at that date at the earliest.
///
/// Some rules look at the minute before and after an act. So wait three minutes between two acts.
#[derive(Clone, Debug)]
pub struct Script {
    pub(super) mint: Mint,
    pub(super) expected: ExpectedState,
    pub(super) subscriptions: Vec<ScriptedSubscription>,
    pub(super) clock: i64,
    user_id: String,
    has_single_payment_events: bool,
    began: i64,
    events: Vec<Event>,
    ignored: BTreeSet<String>,
    acts: BTreeSet<&'static str>,
    log: Vec<String>,
    /// The number of events, and the expected state, after each act.
    history: Vec<(usize, ExpectedState)>,
}

impl Script {
    /// The life of `user_id` in the shapes of `version`, from `start` (Unix time) on. All ids are made from
    /// the user's id.
    #[must_use]
    pub fn new(version: ApiVersion, user_id: &str, start: i64) -> Self {
        Self {
            mint: Mint::new(version, user_id),
            expected: ExpectedState::new(user_id),
            subscriptions: Vec::new(),
            clock: start,
            user_id: user_id.to_owned(),
            has_single_payment_events: false,
            began: start,
            events: Vec::new(),
            ignored: BTreeSet::new(),
            acts: BTreeSet::new(),
            log: Vec::new(),
            history: Vec::new(),
        }
    }

    /// Adds one event for each payment instead of two, as if the endpoint were subscribed to only one of
    /// both types.
    #[must_use]
    pub const fn single_payment_events(mut self) -> Self {
        self.has_single_payment_events = true;
        self
    }

    /// Moves the time by so many seconds.
    pub const fn wait(&mut self, seconds: i64) {
        self.clock += seconds;
    }

    /// The time of the next act (Unix time).
    #[must_use]
    pub const fn clock(&self) -> i64 {
        self.clock
    }

    /// The number of events so far.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether there is no event yet.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// The id of the user.
    #[must_use]
    pub fn user_id(&self) -> &str {
        &self.user_id
    }

    /// The expected state so far.
    #[must_use]
    pub const fn expected_state(&self) -> &ExpectedState {
        &self.expected
    }

    /// The expected state of the subscription `which`.
    #[must_use]
    pub fn expected_subscription(&self, which: usize) -> &ExpectedSubscription {
        &self.expected.subscriptions()[which]
    }

    /// The subscription `which` as Stripe shows it.
    #[must_use]
    pub fn shown(&self, which: usize) -> &Subscription {
        &self.expected_subscription(which).shown
    }

    /// The life so far, seen at `now` (Unix time).
    #[must_use]
    pub fn life(self, now: i64) -> Life {
        let checkpoints = self.history.iter().map(|(events, expected)| Checkpoint {
            events: *events,
            entitlement: expected.row(now),
        });
        Life {
            version: self.mint.version(),
            entitlement: self.expected.row(now),
            checkpoints: checkpoints.collect(),
            user_id: self.user_id,
            events: self.events,
            ignored: self.ignored,
            acts: self.acts,
            log: self.log,
        }
    }

    /// Adds an event of a handled type that shows `object`.
    pub(super) fn add_event(&mut self, kind: &str, object: &impl Resource) {
        let event = self.mint.event(kind, self.clock, object);
        self.events.push(event);
    }

    /// Adds an event of a type that the worker ignores.
    pub(super) fn add_ignored_event(&mut self, kind: &str, data: &Value) {
        let event = self.mint.envelope(kind, self.clock, data);
        self.ignored.insert(event.id.clone());
        self.events.push(event);
    }

    /// The subscription `which` changes to `new`.
    pub(super) fn change(&mut self, which: usize, new: Subscription) {
        let old = self.shown(which).clone();
        let event = self.mint.update(UPDATED, self.clock, &old, &new);
        self.events.push(event);
        self.subscriptions[which].before = old;
        self.expected.subscription_mut(which).set_shown(new);
    }

    /// The subscription `which` gets another status.
    pub(super) fn change_status(&mut self, which: usize, status: &'static str) {
        let mut new = self.shown(which).clone();
        new.status = status;
        self.change(which, new);
    }

    /// `invoice` is paid.
    pub(super) fn pay(&mut self, which: usize, mut invoice: Invoice) {
        invoice.status = "paid";
        let kinds = ["invoice.paid", "invoice.payment_succeeded"];
        // Either type gives the same result, so a life with one event per payment alternates them.
        let kinds = match (self.has_single_payment_events, self.events.len() % 2) {
            (false, _) => &kinds[..],
            (true, 0) => &kinds[..1],
            (true, _) => &kinds[1..],
        };
        for kind in kinds {
            self.add_event(kind, &invoice);
        }
        self.expected.subscription_mut(which).invoice_paid(&invoice);
    }

    /// Ends an act. `kinds` are of [`ACTS`](crate::merchant::ACTS); `text` goes into the log.
    pub(super) fn act(&mut self, kinds: &[&'static str], text: &str) {
        self.acts.extend(kinds);
        let elapsed = self.clock - self.began;
        let (hours, minutes, seconds) = (elapsed % DAY / 3_600, elapsed % 3_600 / 60, elapsed % 60);
        self.log.push(format!(
            "day {} {hours:02}:{minutes:02}:{seconds:02} ({}), event {}: {text}",
            elapsed / DAY,
            self.clock,
            self.events.len(),
        ));
        self.history.push((self.events.len(), self.expected.clone()));
    }

    /// Repeats an event with another id, as Stripe does now and then. `back` counts from the last event;
    /// only events of the last act can be repeated.
    pub fn twin(&mut self, back: usize) {
        let first = self.history.iter().rev().nth(1).map_or(0, |(events, _)| *events);
        let place = self.events.len().saturating_sub(back + 1).max(first);
        let Some(event) = self.events.get(place).cloned() else {
            return;
        };
        let twin = self.mint.twin(&event);
        if self.ignored.contains(&event.id) {
            self.ignored.insert(twin.id.clone());
        }
        self.events.insert(place + 1, twin);
        self.acts.insert("an event is sent twice, with two ids");
        if let Some((events, _)) = self.history.last_mut() {
            *events += 1;
        }
        if let Some(line) = self.log.last_mut() {
            line.extend(["; ", &event.kind, " is sent twice"]);
        }
    }
}
