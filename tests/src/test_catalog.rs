//! A shop whose catalog lacks a price until the test adds it. Events of that price become dead letters.

use crate::crowd::newcomers;
use crate::fixtures::price::{self, PLUS_MONTHLY};
use crate::fixtures::{ApiVersion, Event, Mint, Subscription};
use crate::harness::{Pair, Queues, TestEnv, eventually, repository, unix_now};
use anyhow::{Result, ensure};
use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_mins(1);

/// The lookup key of the price of [`unsold`] events.
pub const UNSOLD: &str = "replayed_monthly";

/// A catalog that can be changed, in a file that is removed with the value.
#[derive(Debug)]
pub struct Shop {
    catalog: PathBuf,
}

impl Shop {
    /// A copy of the shipped catalog, in a file named after the test's `env`.
    ///
    /// # Errors
    /// When no file can be written.
    pub fn new(env: &str) -> Result<Self> {
        let catalog = std::env::temp_dir().join(format!("tollbridge-{env}-{}.toml", std::process::id()));
        std::fs::copy(repository().join("deploy/catalog.toml"), &catalog)?;
        Ok(Self { catalog })
    }

    /// For `CATALOG_FILE`.
    #[must_use]
    pub fn path(&self) -> String {
        self.catalog.display().to_string()
    }

    /// Adds the price of [`unsold`] events. Workers read the catalog when they start.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn mend(&self) -> Result<()> {
        self.sell(UNSOLD)
    }

    /// Adds a price of the tier plus with this lookup key. Workers read the catalog when they start.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn sell(&self, lookup_key: &str) -> Result<()> {
        let mut text = std::fs::read_to_string(&self.catalog)?;
        write!(
            text,
            "\n[[price]]\nlookup_key = \"{lookup_key}\"\ntier = \"plus\"\namount = 1\ncurrency = \"eur\"\ninterval = \"month\"\n"
        )?;
        Ok(std::fs::write(&self.catalog, text)?)
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        let _gone = std::fs::remove_file(&self.catalog);
    }
}

/// The event of one user's subscription to [`price::UNKNOWN`].
#[must_use]
pub fn unknown_price(seed: &str) -> Event {
    let mut mint = Mint::new(ApiVersion::Y2026, &format!("{seed}price"));
    let (customer, now) = (mint.id("cus"), unix_now());
    let subscription = Subscription::new(&mut mint, &customer, price::UNKNOWN, now).of_user("user_price");
    mint.event("customer.subscription.created", now, &subscription)
}

/// First events of so many users, of a price that the catalog does not have.
#[must_use]
pub fn unsold(seed: &str, count: usize) -> Vec<Event> {
    let mut events = newcomers(seed, count);
    for event in &mut events {
        event.body = event
            .body
            .replace(PLUS_MONTHLY.lookup_key, UNSOLD)
            .replace(PLUS_MONTHLY.product, "prod_replayed");
    }
    events
}

/// Restarts the first worker.
///
/// # Errors
/// When it does not stop or start.
pub async fn restart(pair: &mut Pair) -> Result<()> {
    pair.workers[0].sigterm().await?;
    ensure!(pair.workers[0].exit(DEADLINE).await?.success());
    pair.workers[0].start().await
}

/// Publishes `events` and waits until they are dead, in the record and in their queue.
///
/// # Errors
/// When the broker does not take them.
pub async fn all_dead(env: &TestEnv, queues: &Queues, events: &[Event]) -> Result<()> {
    let bodies = events
        .iter()
        .map(|e| (lapin::BasicProperties::default(), e.body.as_bytes()));
    queues.publish_all(&env.topology().work(), bodies).await?;
    let expected = i64::try_from(events.len())?;
    eventually(DEADLINE, "they are dead", async || {
        let open = open(env).await?;
        ensure!(open == expected, "{open} of {expected} are dead");
        let depth = queues.depth(&env.topology().dead()).await?;
        ensure!(depth == expected, "{depth} of {expected} are queued");
        Ok(())
    })
    .await;
    Ok(())
}

/// How many dead letters wait for an operator.
///
/// # Errors
/// When the database does not answer.
pub async fn open(env: &TestEnv) -> Result<i64> {
    let sql = "SELECT count(*) FROM billing.dead_letter WHERE resolved_at IS NULL AND queued";
    Ok(sqlx::query_scalar(sql).fetch_one(env.pool()).await?)
}
