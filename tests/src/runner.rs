//! Runs a scenario or many lives: posts their events to a running pair, and waits for the result in the
//! tables.

use crate::compare::{self, OutcomeCounts};
use crate::crowd::Senders;
use crate::harness::{Client, Entitlement, Pair, recorded, wait_for};
use crate::merchant::{Life, delivered};
use crate::scenario::{ExpectedOutcome, ScenarioEvent, ScenarioStep, USER, USER_WITHOUT_ROW};
use anyhow::{Context, Result, ensure};
use sqlx::PgPool;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How long the result of a step may take.
const DEADLINE: Duration = Duration::from_secs(20);
/// The number of connections of a storm.
const STORM_CONNECTIONS: usize = 16;

/// The measurements of a step.
#[derive(Clone, Debug)]
pub struct StepResult {
    /// The number of requests with the answer 200.
    pub posted: usize,
    /// The time from the post of each event until its row was visible, in order; empty for a storm.
    pub visible: Vec<Duration>,
    /// From the first post until everything was settled.
    pub took: Duration,
}

/// Posts the events of `step`, and waits for the expected result.
///
/// # Errors
/// When an event is refused, or the tables do not show in time what the step expects.
pub async fn run_step(pair: &Pair, pool: &PgPool, step: &ScenarioStep) -> Result<StepResult> {
    let settled_before = pair.settled().await?;
    let start = Instant::now();
    let (posted, visible) = if step.copies == 1 {
        let posts = post_in_order(&pair.client, &step.events).await?;
        (posts.len(), watch(pool, &step.events, &posts).await?)
    } else {
        (post_at_once(&pair.client, step).await?, Vec::new())
    };
    settle(pair, settled_before + i64::try_from(posted)?).await?;
    let took = start.elapsed();
    check(pool, step).await?;
    Ok(StepResult { posted, visible, took })
}

/// The measurements of many lives.
#[derive(Clone, Copy, Debug)]
pub struct LivesResult {
    /// The number of requests with the answer 200.
    pub posted: usize,
    /// The outcomes of the events.
    pub counts: OutcomeCounts,
    /// From the first post until everything was settled.
    pub took: Duration,
}

/// Posts all events of `lives` in random order, each twice, and compares the rows with the expected ones.
///
/// # Errors
/// When an event is refused, or the tables do not show the expected rows in time.
pub async fn run_lives(pair: &Pair, pool: &PgPool, lives: &[Life], seed: u64) -> Result<LivesResult> {
    let events = delivered(lives, seed, 100);
    let settled_before = pair.settled().await?;
    let start = Instant::now();
    Senders::start(&pair.client, &events, STORM_CONNECTIONS)
        .finish()
        .await?;
    settle(pair, settled_before + i64::try_from(events.len())?).await?;
    let took = start.elapsed();
    compare::rows(pool, lives).await?;
    Ok(LivesResult {
        posted: events.len(),
        counts: compare::events(pool, lives).await?,
        took,
    })
}

/// Waits until the workers have settled `expected` deliveries in all.
async fn settle(pair: &Pair, expected: i64) -> Result<()> {
    wait_for(DEADLINE, "the workers have settled every delivery", async || {
        let settled = pair.settled().await?;
        ensure!(settled >= expected, "settled {settled} of {expected}");
        Ok(())
    })
    .await
}

/// Posts the events one by one without waiting for results; returns the start of each post.
async fn post_in_order(client: &Client, events: &[ScenarioEvent]) -> Result<Vec<Instant>> {
    let mut posts = Vec::new();
    for ScenarioEvent { event, .. } in events {
        posts.push(Instant::now());
        let answer = client.post_event(event).await?;
        answer
            .accepted()
            .with_context(|| format!("{} {}", event.kind, event.id))?;
    }
    Ok(posts)
}

/// Posts all copies of all events over several connections.
async fn post_at_once(client: &Client, step: &ScenarioStep) -> Result<usize> {
    let all: Vec<_> = std::iter::repeat_n(&step.events, step.copies).flatten().collect();
    let mut storm = JoinSet::new();
    for first in 0..STORM_CONNECTIONS {
        let share = all.iter().skip(first).step_by(STORM_CONNECTIONS);
        let events: Vec<_> = share.map(|sent| sent.event.clone()).collect();
        let client = client.clone();
        storm.spawn(async move {
            for event in &events {
                client.post_event(event).await?.accepted()?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(share) = storm.join_next().await {
        share??;
    }
    Ok(all.len())
}

/// Waits until every event has a row; returns the time from its post until the row was first seen.
async fn watch(pool: &PgPool, events: &[ScenarioEvent], posts: &[Instant]) -> Result<Vec<Duration>> {
    let ids: Vec<String> = events.iter().map(|sent| sent.event.id.clone()).collect();
    let mut seen = vec![None; ids.len()];
    wait_for(DEADLINE, "every event is in billing.events", async || {
        let records = recorded(pool, &ids).await?;
        for ((seen, record), posted) in seen.iter_mut().zip(&records).zip(posts) {
            if record.is_some() && seen.is_none() {
                *seen = Some(posted.elapsed());
            }
        }
        let missing: Vec<_> = ids
            .iter()
            .zip(&records)
            .filter(|(_, record)| record.is_none())
            .collect();
        ensure!(missing.is_empty(), "missing: {missing:?}");
        Ok(())
    })
    .await?;
    Ok(seen.into_iter().flatten().collect())
}

/// Compares the tables with the expected result of the step.
async fn check(pool: &PgPool, step: &ScenarioStep) -> Result<()> {
    for ScenarioEvent { event, expected } in &step.events {
        let record = recorded(pool, std::slice::from_ref(&event.id)).await?.pop().flatten();
        let record = record.with_context(|| format!("{} {} is not in billing.events", event.kind, event.id))?;
        let as_expected = match expected {
            ExpectedOutcome::Applied => record.outcome == "applied",
            ExpectedOutcome::Ignored => record.outcome == "ignored",
            ExpectedOutcome::Dead(reason) => record.outcome == "dead" && record.reason.as_deref() == Some(reason),
        };
        ensure!(as_expected, "{} {}: {record:?}, not {expected:?}", event.kind, event.id);
    }
    let row = Entitlement::load(pool, USER).await?;
    let row = row.with_context(|| format!("{USER} has no row in billing.entitlements"))?;
    let differences = row.differences(&step.expected_row);
    ensure!(differences.is_empty(), "{}: {}", step.title, differences.join("; "));
    let other = Entitlement::load(pool, USER_WITHOUT_ROW).await?;
    ensure!(
        other.is_none(),
        "{}: half of an invalid event was applied: {other:?}",
        step.title
    );
    Ok(())
}
