//! The stage of the stories: a running pair that posts events and reports, and reads the rows.
//!
//! Stories that run at the same time share one pair, each with its own users. The last one to end stops it.

use anyhow::{Context, Result, ensure};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tests::crowd::{Senders, all_recorded, ids};
use tests::fixtures::{ApiVersion, Event};
use tests::harness::{Balance, Entitlement, Pair, Recorded, Setup, TestEnv, recorded, report, report_key};
use tokio::runtime::{Builder, Runtime};

/// How long a worker may take for what a story waits for.
pub(crate) const DEADLINE: Duration = Duration::from_mins(1);
/// A million units.
pub(crate) const M: i64 = 1_000_000;
/// An hour in seconds.
pub(crate) const HOUR: i64 = 3_600;

/// A shape with one period for all items, and a shape with a period of each item.
pub(crate) const SHAPES: [ApiVersion; 2] = [ApiVersion::V2024, ApiVersion::Y2026];

/// The pair that stories share, on a runtime of its own: that of a test ends with the test.
struct SharedPair {
    running: Option<(TestEnv, Pair)>,
    runtime: Runtime,
}

static SHARED: Mutex<Weak<SharedPair>> = Mutex::new(Weak::new());

impl SharedPair {
    fn start() -> Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let running = runtime.block_on(async {
            let env = TestEnv::new("known_failures").await?;
            let pair = Pair::start(&env, Setup::default().workers(2).ingest("USAGE_MAX_AGE", "35d")).await?;
            anyhow::Ok((env, pair))
        })?;
        Ok(Self {
            running: Some(running),
            runtime,
        })
    }

    fn join() -> Result<Arc<Self>> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = shared.upgrade() {
            return Ok(running);
        }
        let started = Arc::new(Self::start()?);
        *shared = Arc::downgrade(&started);
        Ok(started)
    }
}

impl Drop for SharedPair {
    fn drop(&mut self) {
        let _entered = self.runtime.enter();
        if let Some((env, pair)) = self.running.take() {
            // The processes first: they use the database.
            drop(pair);
            drop(env);
        }
    }
}

/// Tells a story on the pair that the stories share.
///
/// # Errors
/// When the pair does not start, or the story fails.
pub(crate) fn tell(story: impl AsyncFnOnce(&Stage<'_>) -> Result<()>) -> Result<()> {
    let shared = SharedPair::join()?;
    let (env, pair) = shared.running.as_ref().context("it runs until it is dropped")?;
    shared.runtime.block_on(story(&Stage { env, pair }))
}

/// A running pair and its database.
pub(crate) struct Stage<'a> {
    pub(crate) env: &'a TestEnv,
    pub(crate) pair: &'a Pair,
}

impl Stage<'_> {
    /// Posts `events` in their order, and waits until they are on record.
    pub(crate) async fn told(&self, events: &[Event]) -> Result<()> {
        Senders::start(&self.pair.client, events, 1).finish().await?;
        all_recorded(self.env.pool(), &ids(events), DEADLINE).await
    }

    /// Reports that `user` used `amount` tokens at `time` (Unix time), and waits until it is on record.
    pub(crate) async fn used(&self, user: &str, amount: i64, time: i64) -> Result<()> {
        let report = report(&format!("{user} {amount} {time}"), user, "tokens", amount, time)?;
        let answer = self.pair.client.post_usage(&report).await?;
        ensure!(answer.status == 202, "{} {}", answer.status, answer.body);
        all_recorded(self.env.pool(), &[report_key(&report)?], DEADLINE).await
    }

    /// The row of `user` in `billing.entitlements`, if there is one.
    pub(crate) async fn found(&self, user: &str) -> Result<Option<Entitlement>> {
        Entitlement::load(self.env.pool(), user).await
    }

    /// The row of `user` in `billing.entitlements`.
    pub(crate) async fn row(&self, user: &str) -> Result<Entitlement> {
        self.found(user).await?.with_context(|| format!("{user} has no row"))
    }

    /// Checks the balance of `meter`.
    pub(crate) async fn meter(&self, user: &str, meter: &str, expected: Balance) -> Result<()> {
        let seen = Balance::load(self.env.pool(), user).await?;
        let seen = seen.get(meter).copied();
        ensure!(seen == Some(expected), "{user}, {meter}: {seen:?}\nnot {expected:?}");
        Ok(())
    }

    /// Checks the balance of tokens.
    pub(crate) async fn tokens(&self, user: &str, expected: Balance) -> Result<()> {
        self.meter(user, "tokens", expected).await
    }

    /// Checks the effective tier, and the grace.
    pub(crate) async fn has(&self, user: &str, effective_tier: &str, grace: Option<(&str, i64)>) -> Result<()> {
        let row = self.row(user).await?;
        let seen = row.grace_tier.as_deref().zip(row.grace_until);
        ensure!(
            row.effective_tier == effective_tier && seen == grace,
            "not {effective_tier} with {grace:?}: {row:?}"
        );
        Ok(())
    }

    /// What is on record of an event.
    pub(crate) async fn outcome(&self, event: &Event) -> Result<Recorded> {
        let found = recorded(self.env.pool(), std::slice::from_ref(&event.id)).await?;
        let found = found.into_iter().next().flatten();
        found.with_context(|| format!("{} {} is not on record", event.kind, event.id))
    }

    /// Checks that an event is ignored for `reason`.
    pub(crate) async fn ignored(&self, event: &Event, reason: &str) -> Result<()> {
        let seen = self.outcome(event).await?;
        let expected = seen.outcome == "ignored" && seen.reason.as_deref() == Some(reason);
        ensure!(expected, "{} is {seen:?}, not ignored: {reason}", event.kind);
        Ok(())
    }

    /// Checks that all events are applied.
    pub(crate) async fn applied(&self, events: &[Event]) -> Result<()> {
        for event in events {
            let seen = self.outcome(event).await?;
            ensure!(seen.outcome == "applied", "{} is {seen:?}, not applied", event.kind);
        }
        Ok(())
    }

    /// Checks that `worker audit` finds nothing wrong with the users whose names contain `name`.
    pub(crate) async fn audited(&self, name: &str) -> Result<()> {
        let printed = self.pair.workers[0].command(&["audit"])?.output().await?;
        let printed = String::from_utf8(printed.stdout)?;
        let about: Vec<&str> = printed.lines().filter(|line| line.contains(name)).collect();
        ensure!(about.is_empty(), "audit: {}", about.join("\n"));
        Ok(())
    }

    /// Tells the events of `life` in every order, each order to a user of its own, and each event twice. The
    /// events of each order come one after the other. In the end `check` sees every user.
    pub(crate) async fn in_every_order(
        &self,
        name: &str,
        life: impl Fn(&str) -> Vec<Event>,
        check: impl AsyncFn(&str) -> Result<()>,
    ) -> Result<()> {
        let length = life(name).len();
        let told = (0_usize..).zip(orders(length)).map(|(number, order)| {
            let user = format!("{name}_{number}");
            let events = life(&user);
            let events: Vec<Event> = order.iter().map(|place| events[*place].clone()).collect();
            (user, events)
        });
        let told: Vec<(String, Vec<Event>)> = told.collect();
        for round in 0..length {
            let events = told
                .iter()
                .flat_map(|(_, events)| [events[round].clone(), events[round].clone()]);
            let events: Vec<Event> = events.collect();
            Senders::start(&self.pair.client, &events, 4).finish().await?;
            all_recorded(self.env.pool(), &ids(&events), DEADLINE).await?;
        }
        for (user, events) in &told {
            let order: Vec<String> = events.iter().map(|e| format!("{} {}", e.kind, e.created)).collect();
            let order = || format!("{user} in the order\n{}", order.join("\n"));
            check(user).await.with_context(order)?;
        }
        self.audited(name).await
    }
}

/// All orders of the places from 0 to below `length`.
fn orders(length: usize) -> Vec<Vec<usize>> {
    let Some(last) = length.checked_sub(1) else {
        return vec![Vec::new()];
    };
    let with_last = |order: &Vec<usize>| {
        let order = order.clone();
        (0..length).map(move |place| {
            let mut order = order.clone();
            order.insert(place, last);
            order
        })
    };
    orders(last).iter().flat_map(with_last).collect()
}
