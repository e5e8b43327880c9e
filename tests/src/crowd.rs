//! Many customers, and senders that behave like Stripe: they resend an event until the answer is 200.

use crate::fixtures::price::{MAX_MONTHLY, PLUS_MONTHLY};
use crate::fixtures::{ApiVersion, DAY, Event, Invoice, Line, Mint, Session, Subscription};
use crate::harness::{Client, unix_now, wait_for};
use anyhow::{Result, ensure};
use sqlx::{PgPool, Row};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How long a sender waits before it resends.
const RESEND_PAUSE: Duration = Duration::from_millis(50);
/// How long a sender tries. The outages of tests are shorter.
const SEND_TIMEOUT: Duration = Duration::from_secs(90);

/// The first event of `count` new users, each with its own customer.
#[must_use]
pub fn newcomers(seed: &str, count: usize) -> Vec<Event> {
    let lives = (0..count).map(|number| life(&format!("{seed}{number}"), 1));
    lives.flatten().collect()
}

/// The events of `count` users that subscribe to plus, upgrade to max and cancel: five events each, all in
/// the order of their time.
#[must_use]
pub fn lives(seed: &str, count: usize) -> Vec<Event> {
    let lives = (0..count).map(|number| life(&format!("{seed}{number}"), 5));
    let mut events: Vec<Event> = lives.flatten().collect();
    events.sort_by_key(|event| event.created);
    events
}

/// The first `length` events of the user `user_{name}`, some seconds apart.
fn life(name: &str, length: usize) -> Vec<Event> {
    let mut mint = Mint::new(ApiVersion::Y2026, name);
    let start = unix_now() - DAY;
    let customer = mint.id("cus");
    let user = format!("user_{name}");
    let mut subscription = Subscription::new(&mut mint, &customer, PLUS_MONTHLY, start).of_user(&user);
    let lines = vec![Line::plan(&mut mint, PLUS_MONTHLY, subscription.period)];
    let invoice = Invoice::new(&mut mint, &subscription, "subscription_create", start, lines);
    let session = Session::of_subscription(&mut mint, &subscription);
    let mut events = vec![mint.event("customer.subscription.created", start, &subscription)];
    if length > 1 {
        let old = subscription.clone();
        subscription.price = MAX_MONTHLY;
        let upgraded = subscription.clone();
        subscription.cancel_with_period(start + 600, ApiVersion::Y2026);
        let updated = "customer.subscription.updated";
        events.extend([
            mint.event("invoice.paid", start + 5, &invoice),
            mint.event("checkout.session.completed", start + 10, &session),
            mint.update(updated, start + 300, &old, &upgraded),
            mint.update(updated, start + 600, &upgraded, &subscription),
        ]);
    }
    events.truncate(length);
    events
}

/// The ids of `events`.
#[must_use]
pub fn ids(events: &[Event]) -> Vec<String> {
    events.iter().map(|event| event.id.clone()).collect()
}

/// The failed posts of a sender.
#[derive(Clone, Debug, Default)]
pub struct SendReport {
    /// The number of posts with the answer 503.
    pub refused: usize,
    /// The number of posts without an answer, because there was no connection or it broke.
    pub unanswered: usize,
    /// The longest time until a 503.
    pub slowest_refusal: Duration,
}

impl SendReport {
    fn add(&mut self, other: &Self) {
        self.refused += other.refused;
        self.unanswered += other.unanswered;
        self.slowest_refusal = self.slowest_refusal.max(other.slowest_refusal);
    }
}

/// Senders at work, each on its own connection.
#[derive(Debug)]
pub struct Senders {
    senders: JoinSet<Result<SendReport>>,
    accepted: Arc<AtomicUsize>,
}

impl Senders {
    /// Starts to post `events` over `connections`, each event until the answer is 200.
    #[must_use]
    pub fn start(client: &Client, events: &[Event], connections: usize) -> Self {
        let events: Arc<[Event]> = events.into();
        let next = Arc::new(AtomicUsize::new(0));
        let accepted = Arc::new(AtomicUsize::new(0));
        let mut senders = JoinSet::new();
        for _ in 0..connections {
            let (client, events) = (client.clone(), Arc::clone(&events));
            let (next, accepted) = (Arc::clone(&next), Arc::clone(&accepted));
            senders.spawn(async move {
                let mut report = SendReport::default();
                while let Some(event) = events.get(next.fetch_add(1, Ordering::Relaxed)) {
                    report.add(&deliver(&client, event).await?);
                    accepted.fetch_add(1, Ordering::Relaxed);
                }
                Ok(report)
            });
        }
        Self { senders, accepted }
    }

    /// The number of events with the answer 200 so far.
    #[must_use]
    pub fn accepted_so_far(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Waits until at least `count` events were answered 200.
    ///
    /// # Errors
    /// When that takes too long.
    pub async fn accepted(&self, count: usize) -> Result<()> {
        wait_for(SEND_TIMEOUT, "enough events are accepted", async || {
            let accepted = self.accepted_so_far();
            ensure!(accepted >= count, "{accepted} of {count}");
            Ok(())
        })
        .await
    }

    /// Waits until every event was answered 200.
    ///
    /// # Errors
    /// When an answer is neither 200 nor 503, or a 503 has no `Retry-After`.
    pub async fn finish(mut self) -> Result<SendReport> {
        let mut report = SendReport::default();
        while let Some(sender) = self.senders.join_next().await {
            report.add(&sender??);
        }
        Ok(report)
    }
}

/// Posts `event` until it is answered 200.
///
/// # Errors
/// As [`Senders::finish`].
pub async fn deliver(client: &Client, event: &Event) -> Result<SendReport> {
    let mut report = SendReport::default();
    let begin = Instant::now();
    loop {
        let start = Instant::now();
        match client.post_event(event).await {
            Ok(answer) if answer.status == 200 => return Ok(report),
            Ok(answer) => {
                answer.refused_for_now()?;
                report.refused += 1;
                report.slowest_refusal = report.slowest_refusal.max(start.elapsed());
            }
            Err(_) => report.unanswered += 1,
        }
        ensure!(
            begin.elapsed() < SEND_TIMEOUT,
            "{} was never accepted: {report:?}",
            event.id
        );
        tokio::time::sleep(RESEND_PAUSE).await;
    }
}

/// Posts `event`, and expects a 503; returns how long that took.
///
/// # Errors
/// When the answer is not a 503 with `Retry-After`.
pub async fn refused(client: &Client, event: &Event) -> Result<Duration> {
    let start = Instant::now();
    let answer = client.post_event(event).await?;
    let took = start.elapsed();
    answer.refused_for_now()?;
    Ok(took)
}

/// The number of the events `ids` by outcome in `billing.events`. An event without a row counts as `lost`.
///
/// # Errors
/// When the database does not answer.
pub async fn outcomes(pool: &PgPool, ids: &[String]) -> Result<BTreeMap<String, i64>> {
    let rows = sqlx::query(
        "SELECT coalesce(e.outcome, 'lost') AS outcome, count(*) AS events \
         FROM unnest($1::text[]) AS asked (id) LEFT JOIN billing.events e ON e.event_id = asked.id GROUP BY 1",
    );
    let rows = rows.bind(ids).fetch_all(pool).await?;
    let outcomes = rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?)));
    outcomes.collect()
}

/// Waits until every event of `ids` is applied; returns how long that took.
///
/// # Errors
/// When that takes longer than `deadline`; the message counts the outcomes.
pub async fn all_applied(pool: &PgPool, ids: &[String], deadline: Duration) -> Result<Duration> {
    let start = Instant::now();
    let all = BTreeMap::from([("applied".to_owned(), i64::try_from(ids.len())?)]);
    loop {
        let outcomes = outcomes(pool, ids).await;
        match outcomes {
            Ok(outcomes) if outcomes == all => return Ok(start.elapsed()),
            outcomes => ensure!(
                start.elapsed() < deadline,
                "not all applied after {deadline:?}: {outcomes:?}"
            ),
        }
        // The query is expensive for the database, so it pauses between two of them.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until every event of `ids` has a row, with any outcome.
///
/// # Errors
/// When that takes longer than `deadline`.
pub async fn all_recorded(pool: &PgPool, ids: &[String], deadline: Duration) -> Result<()> {
    let mut looks = tokio::time::interval(Duration::from_millis(20));
    wait_for(deadline, "every event is on record", async || {
        looks.tick().await;
        let missing = sqlx::query_scalar(
            "SELECT count(*) FROM unnest($1::text[]) AS asked (id) \
             LEFT JOIN billing.events e ON e.event_id = asked.id WHERE e.event_id IS NULL",
        );
        let missing: i64 = missing.bind(ids).fetch_one(pool).await?;
        ensure!(missing == 0, "{missing} of {} are not", ids.len());
        Ok(())
    })
    .await
}
