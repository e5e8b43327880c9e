//! A customer with one subscription, change by change, and objects in shapes that the fixtures do not have.

use serde_json::Value;
use tests::fixtures::{ApiVersion, Event, Invoice, Line, Mint, Period, Price, Resource, Session, Subscription};

const UPDATED: &str = "customer.subscription.updated";

/// A customer with one subscription.
pub(crate) struct Buyer {
    pub(crate) mint: Mint,
    pub(crate) user: String,
    pub(crate) subscription: Subscription,
}

impl Buyer {
    /// `user` subscribes to `price` at `start`; the subscription's own metadata names the user.
    pub(crate) fn new(version: ApiVersion, user: &str, price: Price, start: i64) -> Self {
        let mut buyer = Self::unnamed(version, user, price, start);
        buyer.subscription = buyer.subscription.of_user(user);
        buyer
    }

    /// The same, but nothing names the user yet.
    pub(crate) fn unnamed(version: ApiVersion, user: &str, price: Price, start: i64) -> Self {
        let mut mint = Mint::new(version, user);
        let customer = mint.id("cus");
        let subscription = Subscription::new(&mut mint, &customer, price, start);
        Self {
            mint,
            user: user.to_owned(),
            subscription,
        }
    }

    /// `customer.subscription.created`.
    pub(crate) fn created(&mut self) -> Event {
        let kind = "customer.subscription.created";
        self.mint.event(kind, self.subscription.created, &self.subscription)
    }

    /// The first invoice, paid.
    pub(crate) fn paid_first(&mut self) -> Event {
        let invoice = self.bill("subscription_create", self.subscription.created);
        self.paid(&invoice, self.subscription.created)
    }

    /// The subscription begins, and its first invoice is paid.
    pub(crate) fn subscribed(&mut self) -> Vec<Event> {
        vec![self.created(), self.paid_first()]
    }

    /// The session of its checkout, which names the user as reference.
    pub(crate) fn checkout(&mut self) -> Session {
        let mut session = Session::of_subscription(&mut self.mint, &self.subscription);
        session.client_reference_id = Some(self.user.clone());
        session
    }

    /// `change` happens at `at`.
    pub(crate) fn updated(&mut self, at: i64, change: impl FnOnce(&mut Subscription)) -> Event {
        let old = self.subscription.clone();
        change(&mut self.subscription);
        self.mint.update(UPDATED, at, &old, &self.subscription)
    }

    /// The same, of a subscription in a shape of its own.
    pub(crate) fn updated_as<F>(&mut self, shape: &F, at: i64, change: impl FnOnce(&mut Subscription)) -> Event
    where
        F: Fn(&Subscription, &mut Value),
    {
        let old = Shaped::new(&self.subscription, shape);
        change(&mut self.subscription);
        self.mint
            .update(UPDATED, at, &old, &Shaped::new(&self.subscription, shape))
    }

    /// Another price at `at` in the same period.
    pub(crate) fn switched(&mut self, price: Price, at: i64) -> Event {
        self.updated(at, |subscription| subscription.price = price)
    }

    /// Another price at `at`, with which a new period begins.
    pub(crate) fn restarted(&mut self, price: Price, at: i64) -> Event {
        self.updated(at, |subscription| {
            subscription.price = price;
            subscription.period = price.period_from(at);
        })
    }

    /// An invoice at `at` for the whole current period.
    pub(crate) fn bill(&mut self, billing_reason: &'static str, at: i64) -> Invoice {
        let lines = vec![Line::plan(
            &mut self.mint,
            self.subscription.price,
            self.subscription.period,
        )];
        self.invoice(billing_reason, at, lines)
    }

    /// An invoice at `at` over `lines`.
    pub(crate) fn invoice(&mut self, billing_reason: &'static str, at: i64, lines: Vec<Line>) -> Invoice {
        Invoice::new(&mut self.mint, &self.subscription, billing_reason, at, lines)
    }

    /// A share of `price` from `at` to the end of `period`, charged or (below zero) credited.
    pub(crate) fn share(&mut self, price: Price, at: i64, period: Period, amount: i64) -> Line {
        let rest = Period {
            start: at,
            end: period.end,
        };
        Line::proration(&mut self.mint, price, rest, amount)
    }

    /// The invoice is paid at `at`.
    pub(crate) fn paid(&mut self, invoice: &Invoice, at: i64) -> Event {
        self.mint.event("invoice.paid", at, invoice)
    }

    /// The payment of the invoice fails at `at`.
    pub(crate) fn failed(&mut self, invoice: &Invoice, at: i64) -> Event {
        let open = Invoice {
            status: "open",
            ..invoice.clone()
        };
        self.mint.event("invoice.payment_failed", at, &open)
    }

    /// The next period begins, and its invoice is paid an hour later.
    pub(crate) fn renewed(&mut self) -> Vec<Event> {
        let (updated, invoice) = self.begins_next();
        let at = self.subscription.period.start + 3_600;
        vec![updated, self.paid(&invoice, at)]
    }

    /// The next period begins; its invoice is still open.
    pub(crate) fn begins_next(&mut self) -> (Event, Invoice) {
        let past = self.subscription.period;
        let updated = self.updated(past.end, Subscription::renew);
        let mut invoice = self.bill("subscription_cycle", past.end);
        invoice.period = past;
        (updated, invoice)
    }

    /// The end, at `at`.
    pub(crate) fn ended(&mut self, at: i64) -> Event {
        self.subscription.end(at);
        let kind = "customer.subscription.deleted";
        self.mint.event(kind, at, &self.subscription)
    }
}

/// An object that is rendered, then changed.
pub(crate) struct Shaped<'a, R, F> {
    object: R,
    shape: &'a F,
}

impl<'a, R: Clone, F> Shaped<'a, R, F> {
    pub(crate) fn new(object: &R, shape: &'a F) -> Self {
        Self {
            object: object.clone(),
            shape,
        }
    }
}

impl<R: Resource, F: Fn(&R, &mut Value)> Resource for Shaped<'_, R, F> {
    fn render(&self, version: ApiVersion) -> Value {
        let mut rendered = self.object.render(version);
        (self.shape)(&self.object, &mut rendered);
        rendered
    }
}

/// The event, changed by `edit`.
pub(crate) fn edited(event: &Event, edit: impl FnOnce(&mut Value)) -> Event {
    let mut body: Value = serde_json::from_str(&event.body).expect("an event is JSON");
    edit(&mut body);
    Event {
        body: format!("{body:#}"),
        ..event.clone()
    }
}

/// Adds an item of `price` to a rendered subscription, before or behind the item that it has.
pub(crate) fn add_item(subscription: &mut Value, id: &str, price: Price, period: Period, is_first: bool) {
    let version = if subscription["current_period_start"].is_null() {
        ApiVersion::Y2026
    } else {
        ApiVersion::V2024
    };
    let items = &mut subscription["items"];
    let mut item = items["data"][0].clone();
    item["id"] = id.into();
    item["price"] = price.render(version);
    item["plan"] = price.render_plan(version);
    if item["current_period_start"].is_i64() {
        item["current_period_start"] = period.start.into();
        item["current_period_end"] = period.end.into();
    }
    let data = items["data"].as_array_mut().expect("items are an array");
    data.insert(if is_first { 0 } else { data.len() }, item);
    items["total_count"] = data_len(&items["data"]);
}

/// Says of which item a line of a rendered invoice is.
pub(crate) fn set_item(line: &mut Value, item: &str) {
    let place = if line["parent"].is_object() {
        &mut line["parent"]["subscription_item_details"]["subscription_item"]
    } else {
        &mut line["subscription_item"]
    };
    *place = item.into();
}

fn data_len(data: &Value) -> Value {
    data.as_array().map_or(0, Vec::len).into()
}
