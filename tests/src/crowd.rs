//! Many customers, and a sender who treats their events as Stripe does: what was not answered
//! with 200 is sent again.

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

/// How long a sender waits before it sends again.
const RESEND_PAUSE: Duration = Duration::from_millis(50);
/// How long a sender tries. A test's outages are shorter.
const PATIENCE: Duration = Duration::from_secs(90);

/// So many users' first events, each of a customer of its own.
#[must_use]
pub fn newcomers(seed: &str, count: usize) -> Vec<Event> {
    let lives = (0..count).map(|number| life(&format!("{seed}{number}"), 1));
    lives.flatten().collect()
}

/// `count` users subscribe to plus, upgrade to max and cancel: five events each, those of
/// all users mixed, in the order in which they happened.
#[must_use]
pub fn lives(seed: &str, count: usize) -> Vec<Event> {
    let lives = (0..count).map(|number| life(&format!("{seed}{number}"), 5));
    let mut events: Vec<Event> = lives.flatten().collect();
    events.sort_by_key(|event| event.created);
    events
}

/// The first events of the user `user_{name}`, some seconds between each.
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

/// What a sender met with.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// How many posts were answered 503.
    pub refused: usize,
    /// How many posts had no answer: the connection broke, or there was none.
    pub unanswered: usize,
    /// The slowest 503.
    pub slowest_refusal: Duration,
}

impl Report {
    fn add(&mut self, other: &Self) {
        self.refused += other.refused;
        self.unanswered += other.unanswered;
        self.slowest_refusal = self.slowest_refusal.max(other.slowest_refusal);
    }
}

/// A sender at work on several connections.
#[derive(Debug)]
pub struct Delivery {
    senders: JoinSet<Result<Report>>,
    accepted: Arc<AtomicUsize>,
}

impl Delivery {
    /// Starts to post `events`, each until it is answered 200, over so many `connections`.
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
                let mut report = Report::default();
                while let Some(event) = events.get(next.fetch_add(1, Ordering::Relaxed)) {
                    report.add(&deliver(&client, event).await?);
                    accepted.fetch_add(1, Ordering::Relaxed);
                }
                Ok(report)
            });
        }
        Self { senders, accepted }
    }

    /// How many events were answered 200.
    #[must_use]
    pub fn accepted_so_far(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Waits until at least `count` events were answered 200.
    ///
    /// # Errors
    /// When that takes too long.
    pub async fn accepted(&self, count: usize) -> Result<()> {
        wait_for(PATIENCE, "enough events are accepted", async || {
            let accepted = self.accepted_so_far();
            ensure!(accepted >= count, "{accepted} of {count}");
            Ok(())
        })
        .await
    }

    /// Waits until every event was answered 200.
    ///
    /// # Errors
    /// When one was answered with anything but 200 and 503, or a 503 did not say when to come
    /// again.
    pub async fn finish(mut self) -> Result<Report> {
        let mut report = Report::default();
        while let Some(sender) = self.senders.join_next().await {
            report.add(&sender??);
        }
        Ok(report)
    }
}

/// Posts `event` until it is answered 200.
///
/// # Errors
/// As [`Delivery::finish`].
pub async fn deliver(client: &Client, event: &Event) -> Result<Report> {
    let mut report = Report::default();
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
            begin.elapsed() < PATIENCE,
            "{} was never accepted: {report:?}",
            event.id
        );
        tokio::time::sleep(RESEND_PAUSE).await;
    }
}

/// Posts `event`, which must be refused for now; returns how long that took.
///
/// # Errors
/// When the answer is not a 503 that says when to come again.
pub async fn refused(client: &Client, event: &Event) -> Result<Duration> {
    let start = Instant::now();
    let answer = client.post_event(event).await?;
    let took = start.elapsed();
    answer.refused_for_now()?;
    Ok(took)
}

/// How many of the events `ids` have which outcome in `billing.events`; those not there are
/// `lost`.
///
/// # Errors
/// When the database is not there.
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
/// When that takes longer than `deadline`; says how many have which outcome.
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
        // The answer costs the database more than most questions do.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until every event of `ids` is on record, whatever became of it.
///
/// # Errors
/// When that takes longer than `deadline`.
pub async fn all_recorded(pool: &PgPool, ids: &[String], deadline: Duration) -> Result<()> {
    // As above.
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
