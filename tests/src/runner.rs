//! Where the story is played, and lives are: their events go to a running pair, and what becomes of
//! them is awaited in the tables.

use crate::crowd::Delivery;
use crate::harness::{Client, Entitlement, Pair, recorded, wait_for};
use crate::merchant::{Life, delivered};
use crate::proof::{self, Counted};
use crate::story::{STRANGER, Sending, Step, USER, Verdict};
use anyhow::{Context, Result, ensure};
use sqlx::PgPool;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How long a step may take to show.
const DEADLINE: Duration = Duration::from_secs(20);
/// How many connections a storm comes in on.
const STORM_CONNECTIONS: usize = 16;

/// What was measured while a step was played.
#[derive(Clone, Debug)]
pub struct Played {
    /// How many requests were answered with 200.
    pub posted: usize,
    /// From each event's post to its effect being visible, in the order of the step; nothing of
    /// a storm.
    pub visible: Vec<Duration>,
    /// From the first post until everything was settled.
    pub took: Duration,
}

/// Posts the events of `step` and waits until what they must lead to is there.
///
/// # Errors
/// When an event is refused, or the tables do not show in time what the step expects.
pub async fn play(pair: &Pair, pool: &PgPool, step: &Step) -> Result<Played> {
    let settled_before = pair.settled().await?;
    let start = Instant::now();
    let (posted, visible) = if step.copies == 1 {
        let posts = post_in_order(&pair.client, &step.sendings).await?;
        (posts.len(), watch(pool, &step.sendings, &posts).await?)
    } else {
        (post_at_once(&pair.client, step).await?, Vec::new())
    };
    settle(pair, settled_before + i64::try_from(posted)?).await?;
    let took = start.elapsed();
    check(pool, step).await?;
    Ok(Played { posted, visible, took })
}

/// What was measured while lives were played.
#[derive(Clone, Copy, Debug)]
pub struct Lived {
    /// How many requests were answered with 200.
    pub posted: usize,
    /// What became of the events.
    pub counted: Counted,
    /// From the first post until everything was settled.
    pub took: Duration,
}

/// Posts all events of `lives` in any order, each twice, and compares what they lead to with the
/// merchant's books.
///
/// # Errors
/// When an event is refused, or the tables do not show in time what the books say.
pub async fn play_lives(pair: &Pair, pool: &PgPool, lives: &[Life], seed: u64) -> Result<Lived> {
    let events = delivered(lives, seed, 100);
    let settled_before = pair.settled().await?;
    let start = Instant::now();
    Delivery::start(&pair.client, &events, STORM_CONNECTIONS)
        .finish()
        .await?;
    settle(pair, settled_before + i64::try_from(events.len())?).await?;
    let took = start.elapsed();
    proof::rows(pool, lives).await?;
    Ok(Lived {
        posted: events.len(),
        counted: proof::events(pool, lives).await?,
        took,
    })
}

/// Waits until the workers have settled so many deliveries in all.
async fn settle(pair: &Pair, expected: i64) -> Result<()> {
    wait_for(DEADLINE, "the workers have settled every delivery", async || {
        let settled = pair.settled().await?;
        ensure!(settled >= expected, "settled {settled} of {expected}");
        Ok(())
    })
    .await
}

/// Posts one after the other, without waiting for effects; returns when each post began.
async fn post_in_order(client: &Client, sendings: &[Sending]) -> Result<Vec<Instant>> {
    let mut posts = Vec::new();
    for Sending { event, .. } in sendings {
        posts.push(Instant::now());
        let answer = client.post_event(event).await?;
        answer
            .accepted()
            .with_context(|| format!("{} {}", event.kind, event.id))?;
    }
    Ok(posts)
}

/// Posts all copies of all events over several connections, each starting elsewhere.
async fn post_at_once(client: &Client, step: &Step) -> Result<usize> {
    let all: Vec<_> = std::iter::repeat_n(&step.sendings, step.copies).flatten().collect();
    let mut storm = JoinSet::new();
    for first in 0..STORM_CONNECTIONS {
        let share = all.iter().skip(first).step_by(STORM_CONNECTIONS);
        let events: Vec<_> = share.map(|sending| sending.event.clone()).collect();
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

/// Waits until every event is on record, and notes when each was first seen there.
async fn watch(pool: &PgPool, sendings: &[Sending], posts: &[Instant]) -> Result<Vec<Duration>> {
    let ids: Vec<String> = sendings.iter().map(|sending| sending.event.id.clone()).collect();
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

/// Compares the tables with what the step expects of them.
async fn check(pool: &PgPool, step: &Step) -> Result<()> {
    for Sending { event, verdict } in &step.sendings {
        let record = recorded(pool, std::slice::from_ref(&event.id)).await?.pop().flatten();
        let record = record.with_context(|| format!("{} {} is not in billing.events", event.kind, event.id))?;
        let as_expected = match verdict {
            Verdict::Applied => record.outcome == "applied",
            Verdict::Ignored => record.outcome == "ignored",
            Verdict::Dead(reason) => record.outcome == "dead" && record.reason.as_deref() == Some(reason),
        };
        ensure!(as_expected, "{} {}: {record:?}, not {verdict:?}", event.kind, event.id);
    }
    let row = Entitlement::load(pool, USER).await?;
    let row = row.with_context(|| format!("{USER} has no row in billing.entitlements"))?;
    let differences = row.differences(&step.after);
    ensure!(differences.is_empty(), "{}: {}", step.title, differences.join("; "));
    let stranger = Entitlement::load(pool, STRANGER).await?;
    ensure!(
        stranger.is_none(),
        "{}: half of a poison event was applied: {stranger:?}",
        step.title
    );
    Ok(())
}
