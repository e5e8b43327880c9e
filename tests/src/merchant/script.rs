//! A life as it is written: acts are played one by one, each adds its events and enters itself
//! into the [`Books`].

use crate::fixtures::{ApiVersion, DAY, Event, Invoice, Line, Mint, Price, Resource, Session, Subscription};
use crate::merchant::{Books, Checkpoint, Life, Link, Statement};
use serde_json::Value;
use std::collections::BTreeSet;

const UPDATED: &str = "customer.subscription.updated";

/// A life under way. Time passes by [`Script::wait`] alone, but for acts that have a time of
/// their own, such as a renewal, which never come too early.
///
/// The rules look a minute around some acts: let three minutes pass between any two.
#[derive(Clone, Debug)]
pub struct Script {
    pub(super) mint: Mint,
    pub(super) books: Books,
    pub(super) affairs: Vec<Affairs>,
    pub(super) clock: i64,
    user_id: String,
    is_terse: bool,
    began: i64,
    events: Vec<Event>,
    ignored: BTreeSet<String>,
    acts: BTreeSet<&'static str>,
    log: Vec<String>,
    pages: Vec<(usize, Books)>,
}

/// What else the merchant must remember of a subscription.
#[derive(Clone, Debug)]
pub(super) struct Affairs {
    /// Who names its user.
    pub(super) link: Link,
    /// Its checkout, while that is open.
    pub(super) session: Option<Session>,
    /// The first invoice, while the subscription is incomplete.
    pub(super) first: Option<Invoice>,
    /// The invoice of an upgrade that failed or waits.
    pub(super) upgrade: Option<Invoice>,
    /// The invoice of a renewal that failed.
    pub(super) cycle: Option<Invoice>,
    /// The price of its schedule.
    pub(super) scheduled: Option<Price>,
    /// Prorations that wait for the next invoice.
    pub(super) items: Vec<Line>,
    /// The subscription before its last change, which announcements repeat.
    pub(super) before: Subscription,
}

impl Script {
    /// The life of `user_id` in the shapes of `version`, from `start` (Unix time) on; the user's
    /// id also makes all other ids.
    #[must_use]
    pub fn new(version: ApiVersion, user_id: &str, start: i64) -> Self {
        Self {
            mint: Mint::new(version, user_id),
            books: Books::new(user_id),
            affairs: Vec::new(),
            clock: start,
            user_id: user_id.to_owned(),
            is_terse: false,
            began: start,
            events: Vec::new(),
            ignored: BTreeSet::new(),
            acts: BTreeSet::new(),
            log: Vec::new(),
            pages: Vec::new(),
        }
    }

    /// Tells of each payment by one event instead of two, as where the endpoint is subscribed
    /// to one of both types.
    #[must_use]
    pub const fn terse(mut self) -> Self {
        self.is_terse = true;
        self
    }

    /// Lets so many seconds pass.
    pub const fn wait(&mut self, seconds: i64) {
        self.clock += seconds;
    }

    /// The time that the next act happens at (Unix time).
    #[must_use]
    pub const fn clock(&self) -> i64 {
        self.clock
    }

    /// How many events there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether nothing has happened.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Whose life it is.
    #[must_use]
    pub fn user_id(&self) -> &str {
        &self.user_id
    }

    /// The merchant's books as they are.
    #[must_use]
    pub const fn books(&self) -> &Books {
        &self.books
    }

    /// The page of the subscription `which`.
    #[must_use]
    pub fn statement(&self, which: usize) -> &Statement {
        &self.books.statements()[which]
    }

    /// The subscription `which` as Stripe shows it.
    #[must_use]
    pub fn shown(&self, which: usize) -> &Subscription {
        &self.statement(which).shown
    }

    /// The life so far, seen at `now` (Unix time).
    #[must_use]
    pub fn life(self, now: i64) -> Life {
        let checkpoints = self.pages.iter().map(|(events, books)| Checkpoint {
            events: *events,
            entitlement: books.row(now),
        });
        Life {
            version: self.mint.version(),
            entitlement: self.books.row(now),
            checkpoints: checkpoints.collect(),
            user_id: self.user_id,
            events: self.events,
            ignored: self.ignored,
            acts: self.acts,
            log: self.log,
        }
    }

    /// An event of a handled type that shows `object` as it is.
    pub(super) fn tell(&mut self, kind: &str, object: &impl Resource) {
        let event = self.mint.event(kind, self.clock, object);
        self.events.push(event);
    }

    /// An event of a type that no worker handles.
    pub(super) fn tell_unhandled(&mut self, kind: &str, data: &Value) {
        let event = self.mint.envelope(kind, self.clock, data);
        self.ignored.insert(event.id.clone());
        self.events.push(event);
    }

    /// The subscription `which` changes to `new`.
    pub(super) fn change(&mut self, which: usize, new: Subscription) {
        let old = self.shown(which).clone();
        let event = self.mint.update(UPDATED, self.clock, &old, &new);
        self.events.push(event);
        self.affairs[which].before = old;
        self.books.statement_mut(which).shows(new);
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
        // Which of both the endpoint is subscribed to makes no difference, so it may vary.
        let kinds = match (self.is_terse, self.events.len() % 2) {
            (false, _) => &kinds[..],
            (true, 0) => &kinds[..1],
            (true, _) => &kinds[1..],
        };
        for kind in kinds {
            self.tell(kind, &invoice);
        }
        self.books.statement_mut(which).paid(&invoice);
    }

    /// Ends an act of the given kinds (of [`ACTS`](crate::merchant::ACTS)), told by `text`.
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
        self.pages.push((self.events.len(), self.books.clone()));
    }

    /// Has Stripe tell the event that is so many before the last one twice, by another id. Only
    /// the events of the last act can be told again.
    pub fn twin(&mut self, back: usize) {
        let first = self.pages.iter().rev().nth(1).map_or(0, |(events, _)| *events);
        let place = self.events.len().saturating_sub(back + 1).max(first);
        let Some(event) = self.events.get(place).cloned() else {
            return;
        };
        let twin = self.mint.twin(&event);
        if self.ignored.contains(&event.id) {
            self.ignored.insert(twin.id.clone());
        }
        self.events.insert(place + 1, twin);
        self.acts.insert("an event has a twin");
        if let Some((events, _)) = self.pages.last_mut() {
            *events += 1;
        }
        if let Some(line) = self.log.last_mut() {
            line.extend(["; ", &event.kind, " has a twin"]);
        }
    }
}
