//! Events for load: distinct, realistic, and cheap to make, so that making them is not measured.

use anyhow::{Context, Result};
use bytes::Bytes;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tests::fixtures::{ApiVersion, Event, Invoice, Line, Mint, Session, Subscription, price};
use tests::harness::{Client, unix_now};
use tokio::task::JoinSet;

/// The facts that a subscription's life starts with, of which each subscription of the load
/// has a copy with ids of its own.
pub(crate) struct Life {
    facts: Vec<Template>,
}

/// An event's body, and where in it ids stand that make it another one's.
struct Template {
    body: Vec<u8>,
    tags: Vec<usize>,
}

impl Life {
    /// Which fact is the one that a user is first seen by.
    pub(crate) const CREATED: usize = 0;

    /// A life that started now.
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
            facts: events.iter().map(|event| Template::new(event, mint.tag())).collect(),
        }
    }

    /// Fact number `fact` of subscription number `subscription`.
    pub(crate) fn fact(&self, subscription: usize, fact: usize) -> Bytes {
        self.facts[fact].stamp(&tag(subscription))
    }

    /// How many facts each subscription has.
    pub(crate) const fn facts(&self) -> usize {
        self.facts.len()
    }

    /// The mean size of an event.
    pub(crate) fn mean_bytes(&self) -> usize {
        self.facts.iter().map(|fact| fact.body.len()).sum::<usize>() / self.facts.len()
    }
}

/// The user of subscription number `subscription`.
pub(crate) fn user_of(subscription: usize) -> String {
    user(&tag(subscription))
}

fn user(tag: &str) -> String {
    format!("user_{tag}")
}

/// What stands in the ids of subscription number `subscription`, in the place of a mint's tag.
fn tag(subscription: usize) -> String {
    format!("{subscription:0width$}", width = Mint::TAG_LENGTH)
}

impl Template {
    /// Without indentation, which is a third of an event and tells nothing.
    fn new(event: &Event, tag: &str) -> Self {
        let compact: Value = serde_json::from_str(&event.body).expect("an event is JSON");
        let body = compact.to_string();
        let tags = body.match_indices(tag).map(|(place, _)| place).collect();
        Self {
            body: body.into_bytes(),
            tags,
        }
    }

    fn stamp(&self, tag: &str) -> Bytes {
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
    /// After so many events in all.
    Count(usize),
}

/// A source of events, each of which is posted once.
pub(crate) struct Load {
    life: Life,
    next: AtomicUsize,
}

impl Load {
    /// From the first event on.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            life: Life::new(),
            next: AtomicUsize::new(0),
        })
    }

    /// The mean size of an event.
    pub(crate) fn mean_bytes(&self) -> usize {
        self.life.mean_bytes()
    }

    /// Posts over so many `connections` at once; returns how long each answer took.
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
            let body = self.life.fact(number / self.life.facts(), number % self.life.facts());
            let start = Instant::now();
            let answer = client.post_signed(body).await?;
            answer.accepted().with_context(|| format!("event number {number}"))?;
            times.push(start.elapsed());
        }
    }
}
