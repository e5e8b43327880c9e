//! Distinct, realistic events that are cheap to make, so that the making does not distort the measurement.

use anyhow::{Context, Result};
use bytes::Bytes;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tests::fixtures::{ApiVersion, Event, Invoice, Line, Mint, Session, Subscription, price};
use tests::harness::{Client, unix_now};
use tokio::task::JoinSet;

/// The first events of a subscription. Each subscription of the load gets a copy with its own ids.
pub(crate) struct EventTemplates {
    events: Vec<Template>,
}

/// The body of an event, and the places of its ids.
struct Template {
    body: Vec<u8>,
    tags: Vec<usize>,
}

impl EventTemplates {
    /// The number of the event that introduces the user.
    pub(crate) const CREATED: usize = 0;

    /// The events of a subscription that starts now.
    pub(crate) fn new() -> Self {
        let mut mint = Mint::new(ApiVersion::Y2026, "bench");
        let now = unix_now() - 60;
        let customer = mint.id("cus");
        let user = user(mint.tag());
        let mut subscription = Subscription::new(&mut mint, &customer, price::PLUS_MONTHLY, now).of_user(&user);
        let lines = vec![Line::plan(&mut mint, price::PLUS_MONTHLY, subscription.period)];
        let invoice = Invoice::new(&mut mint, &subscription, "subscription_create", now, lines);
        subscription.latest_invoice = Some(invoice.id.clone());
        let session = Session::of_subscription(&mut mint, &subscription);
        let created = mint.event("customer.subscription.created", now, &subscription);
        let old = subscription.clone();
        subscription.price = price::MAX_MONTHLY;
        let events = [
            created,
            mint.event("invoice.paid", now, &invoice),
            mint.event("checkout.session.completed", now + 1, &session),
            mint.update("customer.subscription.updated", now + 30, &old, &subscription),
        ];
        Self {
            events: events.iter().map(|event| Template::new(event, mint.tag())).collect(),
        }
    }

    /// The event number `event` of subscription number `subscription`.
    pub(crate) fn event(&self, subscription: usize, event: usize) -> Bytes {
        self.events[event].with_tag(&tag(subscription))
    }

    /// The number of events of each subscription.
    pub(crate) const fn count(&self) -> usize {
        self.events.len()
    }

    /// The mean size of an event.
    pub(crate) fn mean_bytes(&self) -> usize {
        self.events.iter().map(|event| event.body.len()).sum::<usize>() / self.events.len()
    }
}

/// The user of subscription number `subscription`.
pub(crate) fn user_of(subscription: usize) -> String {
    user(&tag(subscription))
}

fn user(tag: &str) -> String {
    format!("user_{tag}")
}

/// The tag in the ids of subscription number `subscription`.
fn tag(subscription: usize) -> String {
    format!("{subscription:0width$}", width = Mint::TAG_LENGTH)
}

impl Template {
    /// Without indentation, which is a third of an event.
    fn new(event: &Event, tag: &str) -> Self {
        let compact: Value = serde_json::from_str(&event.body).expect("an event is JSON");
        let body = compact.to_string();
        let tags = body.match_indices(tag).map(|(place, _)| place).collect();
        Self {
            body: body.into_bytes(),
            tags,
        }
    }

    fn with_tag(&self, tag: &str) -> Bytes {
        let mut body = self.body.clone();
        for place in &self.tags {
            body[*place..place + tag.len()].copy_from_slice(tag.as_bytes());
        }
        body.into()
    }
}

/// When to stop posting.
#[derive(Clone, Copy)]
pub(crate) enum Until {
    /// At this time.
    Time(Instant),
    /// After so many events.
    Count(usize),
}

/// A source of events. Each is posted once.
pub(crate) struct Load {
    templates: EventTemplates,
    next: AtomicUsize,
}

impl Load {
    /// A source that starts with the first event.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            templates: EventTemplates::new(),
            next: AtomicUsize::new(0),
        })
    }

    /// The mean size of an event.
    pub(crate) fn mean_bytes(&self) -> usize {
        self.templates.mean_bytes()
    }

    /// Posts over `connections` at once; returns the time of each answer.
    pub(crate) async fn post(
        self: &Arc<Self>,
        client: &Client,
        connections: usize,
        until: Until,
    ) -> Result<Vec<Duration>> {
        let mut posting = JoinSet::new();
        for _ in 0..connections {
            posting.spawn(Arc::clone(self).post_on(client.clone(), until));
        }
        let mut times = Vec::new();
        while let Some(done) = posting.join_next().await {
            times.extend(done??);
        }
        Ok(times)
    }

    async fn post_on(self: Arc<Self>, client: Client, until: Until) -> Result<Vec<Duration>> {
        let mut times = Vec::new();
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let over = match until {
                Until::Time(end) => Instant::now() >= end,
                Until::Count(count) => number >= count,
            };
            if over {
                return Ok(times);
            }
            let body = self
                .templates
                .event(number / self.templates.count(), number % self.templates.count());
            let start = Instant::now();
            let answer = client.post_signed(body).await?;
            answer.accepted().with_context(|| format!("event number {number}"))?;
            times.push(start.elapsed());
        }
    }
}
