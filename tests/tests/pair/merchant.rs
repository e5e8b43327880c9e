//! Whole lives of simulated customers: every row is as the merchant's own books say.

use crate::work::Work;
use anyhow::{Context, Result, ensure};
use std::ops::AddAssign;
use std::time::{Duration, Instant};
use tests::compare;
use tests::crowd::{Senders, all_recorded, ids};
use tests::figures::{note, per_second};
use tests::harness::{Pair, Process, Setup, TestEnv, unix_now};
use tests::merchant::{Life, delivered, lives};
use tests::random;

const DEADLINE: Duration = Duration::from_mins(1);

/// How facts were folded, over several lives of the workers.
#[derive(Clone, Copy, Debug, Default)]
struct Folded {
    first: i64,
    fast: i64,
    slow: i64,
}

impl Folded {
    /// What `worker` counted since it was started.
    async fn by(worker: &Process) -> Result<Self> {
        let metrics = worker.metrics().await?;
        let path = |path: &str| {
            let label = format!("path=\"{path}\"");
            metrics.sum("tollbridge_worker_facts_folded_total", &[&label])
        };
        Ok(Self {
            first: path("first"),
            fast: path("fast"),
            slow: path("slow"),
        })
    }

    fn told(self) -> String {
        let all = self.first + self.fast + self.slow;
        let slow = self.slow * 100 / all.max(1);
        format!("{self:?}: {slow} % on the slow path")
    }
}

impl AddAssign for Folded {
    fn add_assign(&mut self, other: Self) {
        self.first += other.first;
        self.fast += other.fast;
        self.slow += other.slow;
    }
}

#[tokio::test]
async fn two_thousand_lives_shuffled_and_doubled_survive_fifty_kills() -> Result<()> {
    const KILLS: usize = 50;
    let (seed, now, start) = (random::seed()?, unix_now(), Instant::now());
    let lives = lives(seed, 2_000, now);
    let events = delivered(&lives, seed, 100);
    note(&format!(
        "seed {seed}: {} deliveries, made in {:?}",
        events.len(),
        start.elapsed()
    ));

    let env = TestEnv::new("merchant_killed").await?;
    // Small batches: more moments to be killed at.
    let setup = Setup::default()
        .workers(2)
        .worker("BATCH_SIZE", "40")
        .worker("LANES", "2");
    let mut pair = Pair::start(&env, setup).await?;
    let (ids, start, mut folded) = (ids(&events), Instant::now(), Folded::default());
    let work = Work::begin(&env, &pair, events).await?;
    for kill in 1..=KILLS {
        work.taken(ids.len() * kill / (KILLS + 1)).await?;
        let worker = &mut pair.workers[kill % 2];
        // The other one works meanwhile, or is not ready yet itself.
        worker.ready().await?;
        folded += Folded::by(worker).await?;
        worker.kill_9().await?;
        worker.spawn()?;
    }
    work.finish().await?;
    all_recorded(env.pool(), &ids, DEADLINE).await?;
    let took = start.elapsed();
    for worker in &pair.workers {
        folded += Folded::by(worker).await?;
    }
    note(&format!(
        "{KILLS} kills, {took:?}, {} deliveries a second; about {}",
        per_second(ids.len(), took),
        folded.told()
    ));
    let proved = compare::all(env.pool(), &lives).await;
    let counted = proved.with_context(|| format!("seed {seed}"))?;
    note(&format!("{counted:?}"));
    ensure!(pair.dead_letters(&[]).await?.is_empty(), "something is dead");
    audit_finds_what_is_changed_by_hand(&env, &pair, &lives).await
}

async fn audit_finds_what_is_changed_by_hand(env: &TestEnv, pair: &Pair, lives: &[Life]) -> Result<()> {
    let start = Instant::now();
    let clean = pair.operate(&["audit"]).await.context("audit after the kills")?;
    note(&format!("audit in {:?}: {}", start.elapsed(), clean.trim()));
    let mut with_row = lives.iter().filter(|life| life.entitlement.is_some());
    let user = &with_row.next_back().context("nobody has a row")?.user_id;
    let changed = sqlx::query("UPDATE billing.entitlement SET ever_paid = NOT ever_paid WHERE user_id = $1");
    ensure!(changed.bind(user).execute(env.pool()).await?.rows_affected() == 1);
    let output = pair.workers[0].command(&["audit"])?.output().await?;
    let found = String::from_utf8(output.stdout)?;
    ensure!(output.status.code() == Some(1), "{}: {found}", output.status);
    let named: Vec<&str> = found.lines().filter(|line| line.contains(user.as_str())).collect();
    ensure!(named.len() == 1 && named[0].contains("ever_paid"), "{found}");
    Ok(())
}

#[tokio::test]
async fn lives_delivered_in_order_have_the_right_row_after_every_act() -> Result<()> {
    let (seed, now) = (random::seed()?, unix_now());
    let lives = lives(seed + 1, 150, now);
    let env = TestEnv::new("merchant_acts").await?;
    let pair = Pair::start(&env, Setup::default().workers(2)).await?;
    let acts = lives
        .iter()
        .map(|life| life.checkpoints.len())
        .max()
        .unwrap_or_default();
    for act in 0..acts {
        let (mut events, mut expected) = (Vec::new(), Vec::new());
        for life in &lives {
            let Some(checkpoint) = life.checkpoints.get(act) else {
                continue;
            };
            let first = act.checked_sub(1).map_or(0, |before| life.checkpoints[before].events);
            events.extend_from_slice(&life.events[first..checkpoint.events]);
            expected.push((life, checkpoint.entitlement.as_ref()));
        }
        Senders::start(&pair.client, &events, 8).finish().await?;
        all_recorded(env.pool(), &ids(&events), DEADLINE).await?;
        let compared = compare::compare(env.pool(), expected).await;
        compared.with_context(|| format!("seed {seed}, after act {}", act + 1))?;
    }
    let mut folded = Folded::default();
    for worker in &pair.workers {
        folded += Folded::by(worker).await?;
    }
    note(&format!("{acts} acts in order: {}", folded.told()));
    let proved = compare::all(env.pool(), &lives).await;
    proved.map(drop).with_context(|| format!("seed {seed}"))
}
