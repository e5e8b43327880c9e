//! A life under construction. Each act adds its events, and enters its meaning into the [`Books`].

use crate::fixtures::{ApiVersion, Charge, DAY, Event, Invoice, InvoicePayment, Mint, Resource, Subscription};
use crate::merchant::books::{BookInvoice, Books, Grace, Plan, PriceList, Snapshot};
use crate::merchant::scripted_pack::ScriptedPack;
use crate::merchant::scripted_subscription::ScriptedSubscription;
use crate::merchant::{Checkpoint, Life, PaidTier, PaymentFailure};
use serde_json::Value;
use std::collections::BTreeSet;

/// The products that the extended catalog ignores.
const OTHER_PRODUCTS: [&str; 2] = ["prod_support", "prod_newsletter"];
const UPDATED: &str = "customer.subscription.updated";

/// A life under construction. Only [`Script::wait`] moves the time, and acts with a fixed date, such as a
/// renewal: they happen at that date at the earliest.
///
/// Some rules look at the minute before and after an act. So wait three minutes between two acts.
#[derive(Clone, Debug)]
pub struct Script {
    pub(super) mint: Mint,
    pub(super) books: Books,
    pub(super) packs: Vec<ScriptedPack>,
    pub(super) subscriptions: Vec<ScriptedSubscription>,
    pub(super) clock: i64,
    user_id: String,
    has_single_payment_events: bool,
    has_charges: bool,
    began: i64,
    /// The numbers of events that were read with each price list but the last.
    list_ends: Vec<usize>,
    events: Vec<Event>,
    ignored: BTreeSet<String>,
    acts: BTreeSet<&'static str>,
    log: Vec<String>,
    /// The number of events, and the books, after each act.
    history: Vec<(usize, Books)>,
}

impl Script {
    /// The life of `user_id` in the shapes of `version`, from `start` (Unix time) on. All ids are made from
    /// the user's id.
    #[must_use]
    pub fn new(version: ApiVersion, user_id: &str, start: i64) -> Self {
        Self {
            mint: Mint::new(version, user_id),
            books: Books::new(PriceList::shipped()),
            packs: Vec::new(),
            subscriptions: Vec::new(),
            clock: start,
            user_id: user_id.to_owned(),
            has_single_payment_events: false,
            has_charges: false,
            began: start,
            list_ends: Vec::new(),
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

    /// Sells what `list` says instead of the shipped catalog.
    #[must_use]
    pub fn selling(mut self, list: PriceList) -> Self {
        self.books.lists = vec![list];
        self
    }

    /// Shows the charge behind each paid invoice, so that it can be refunded.
    #[must_use]
    pub const fn with_charges(mut self) -> Self {
        self.has_charges = true;
        self
    }

    /// From now on events are read with `list`.
    pub fn change_list(&mut self, list: PriceList) {
        self.books.lists.push(list);
        self.list_ends.push(self.events.len());
        self.act(&["the catalog changes"], "the catalog changes");
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

    /// The API version of the events.
    #[must_use]
    pub const fn version(&self) -> ApiVersion {
        self.mint.version()
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

    /// The books so far.
    #[must_use]
    pub const fn books(&self) -> &Books {
        &self.books
    }

    /// The subscription `which` as Stripe shows it.
    #[must_use]
    pub fn shown(&self, which: usize) -> &Subscription {
        &self.subscriptions[which].shown
    }

    /// The tier of the subscription `which` that Stripe shows.
    #[must_use]
    pub fn tier(&self, which: usize) -> PaidTier {
        PaidTier::of(&self.shown(which).price)
    }

    /// The grace of the subscription `which`.
    #[must_use]
    pub fn grace(&self, which: usize) -> Option<Grace> {
        self.books.records[which].grace(self.clock)
    }

    /// What counts of the subscription `which`, if a change of it is unpaid.
    #[must_use]
    pub fn held_back(&self, which: usize) -> Option<Plan> {
        self.books.records[which].held_back()
    }

    /// Whether the unpaid change of the subscription `which` shows another period.
    #[must_use]
    pub fn is_switch_unpaid(&self, which: usize) -> bool {
        self.books.records[which].is_period_held()
    }

    /// The numbers of the subscriptions that have not ended.
    #[must_use]
    pub fn alive(&self) -> Vec<usize> {
        let is_alive = |which: &usize| !matches!(self.shown(*which).status, "canceled" | "incomplete_expired");
        (0..self.subscriptions.len()).filter(is_alive).collect()
    }

    /// Whether the subscription `which` gives access.
    #[must_use]
    pub fn is_entitled(&self, which: usize) -> bool {
        matches!(self.shown(which).status, "trialing" | "active" | "past_due")
    }

    /// The life so far, seen at `now` (Unix time).
    #[must_use]
    pub fn life(self, now: i64) -> Life {
        let checkpoints = self.history.iter().map(|(events, books)| Checkpoint {
            events: *events,
            entitlement: books.entitlement(&self.user_id, now),
        });
        let checkpoints = checkpoints.collect();
        let rows = self.books.rows(now);
        let own = rows.iter().find(|row| row.user_id == self.user_id);
        Life {
            version: self.mint.version(),
            entitlement: own.and_then(|row| row.entitlement.clone()),
            rows,
            checkpoints,
            untold_ends: self.books.untold_ends(),
            user_id: self.user_id,
            events: self.events,
            usages: self.books.usages,
            list_ends: self.list_ends,
            line_items: self.packs.iter().filter_map(ScriptedPack::line_items).collect(),
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

    /// Adds `event`, which the worker handles.
    pub(super) fn push(&mut self, event: Event) {
        self.events.push(event);
    }

    /// Adds `event`, which the worker ignores.
    pub(super) fn push_ignored(&mut self, event: Event) {
        self.ignored.insert(event.id.clone());
        self.events.push(event);
    }

    /// Adds an event of a type that the worker ignores.
    pub(super) fn add_ignored_event(&mut self, kind: &str, data: &Value) {
        let event = self.mint.envelope(kind, self.clock, data);
        self.ignored.insert(event.id.clone());
        self.events.push(event);
    }

    /// The subscription `which` changes to `new`, and nothing was credited. Returns the number in the books.
    pub(super) fn change(&mut self, which: usize, new: Subscription) -> usize {
        self.change_plan(which, new, false)
    }

    /// The subscription `which` changes to `new`. Says whether the rest of the old plan was credited.
    pub(super) fn change_plan(&mut self, which: usize, new: Subscription, is_credited: bool) -> usize {
        let old = &self.subscriptions[which].shown;
        let event = self.mint.update(UPDATED, self.clock, old, &new);
        self.events.push(event);
        self.show(which, new, is_credited)
    }

    /// Enters that Stripe shows the subscription `which` as `new` from now on.
    pub(super) fn show(&mut self, which: usize, new: Subscription, is_credited: bool) -> usize {
        let grace = self.grace(which);
        if let Some(user_id) = new.metadata.get("user_id").filter(|user_id| !user_id.is_empty()) {
            self.books.name(which, user_id, self.clock);
        }
        let snapshot = self.snapshot(&new, is_credited);
        let scripted = &mut self.subscriptions[which];
        if new.period != scripted.shown.period {
            scripted.failed.clear();
        }
        scripted.before = std::mem::replace(&mut scripted.shown, new);
        let number = self.books.records[which].show(snapshot);
        if !self.is_entitled(which) {
            self.subscriptions[which].has_lost_grace |= grace.is_some();
        }
        number
    }

    pub(super) fn snapshot(&self, shown: &Subscription, is_credited: bool) -> Snapshot {
        Snapshot {
            at: self.clock,
            status: shown.status,
            plan: Plan {
                price: shown.price,
                quantity: shown.quantity,
            },
            period: shown.period,
            trial_end: shown.trial.map(|trial| trial.end),
            cancel_at_period_end: shown.cancel_at_period_end,
            cancel_at: shown.cancel_at,
            canceled_at: shown.canceled_at,
            is_credited,
            list: self.books.lists.len() - 1,
        }
    }

    /// The subscription `which` gets another status.
    pub(super) fn change_status(&mut self, which: usize, status: &'static str) {
        let mut new = self.shown(which).clone();
        new.status = status;
        self.change(which, new);
    }

    /// Enters `invoice` into the books, if it is not there yet. `bills` is the number of the change that it
    /// bills.
    pub(super) fn enter(&mut self, which: usize, invoice: &Invoice, bills: Option<usize>) {
        let invoices = &mut self.books.records[which].invoices;
        if invoices.iter().any(|known| known.id == invoice.id) {
            return;
        }
        invoices.push(BookInvoice {
            id: invoice.id.clone(),
            covers: invoice.covers(),
            bills,
            is_cycle: invoice.billing_reason == "subscription_cycle",
            total: invoice.total(),
            failed_at: None,
            paid_at: None,
            is_returned: false,
        });
    }

    /// The payment of `invoice` fails.
    pub(super) fn fail(&mut self, which: usize, invoice: &mut Invoice, failure: PaymentFailure) {
        invoice.status = "open";
        self.add_event(failure.kind(), invoice);
        self.enter(which, invoice, None);
        self.books.records[which].fail(&invoice.id, self.clock);
        self.subscriptions[which].failed.insert(invoice.id.clone());
    }

    /// `invoice` is paid.
    pub(super) fn pay(&mut self, which: usize, mut invoice: Invoice) {
        invoice.status = "paid";
        let is_ours = !invoice.is_of(&OTHER_PRODUCTS);
        let charge = (is_ours && self.has_charges && invoice.total() > 0)
            .then(|| Charge::of_invoice(&mut self.mint, &mut invoice, self.clock));
        let kinds = ["invoice.paid", "invoice.payment_succeeded"];
        // Either type gives the same result, so a life with one event per payment alternates them.
        let kinds = match (self.has_single_payment_events, self.events.len() % 2) {
            (false, _) => &kinds[..],
            (true, 0) => &kinds[..1],
            (true, _) => &kinds[1..],
        };
        // An invoice about nothing but other products is ignored, whosever subscription it is of.
        if !is_ours {
            for kind in kinds {
                let event = self.mint.event(kind, self.clock, &invoice);
                self.push_ignored(event);
            }
            return;
        }
        for kind in kinds {
            self.add_event(kind, &invoice);
        }
        self.enter(which, &invoice, None);
        self.books.records[which].pay(&invoice.id, self.clock);
        self.subscriptions[which].failed.remove(&invoice.id);
        if let Some(charge) = charge {
            if self.mint.version().is_since_basil() {
                let payment = InvoicePayment::of(&mut self.mint, &invoice, self.clock);
                self.add_event("invoice_payment.paid", &payment);
            }
            self.subscriptions[which].paid.push((invoice, charge));
        }
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
        self.history.push((self.events.len(), self.books.clone()));
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
