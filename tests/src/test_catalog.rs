//! A catalog that lacks a price until the test adds it. Events with that price become dead letters.

use crate::crowd::newcomers;
use crate::fixtures::price::{self, PLUS_MONTHLY};
use crate::fixtures::{ApiVersion, Event, Mint, Subscription};
use crate::harness::{Pair, Queues, TestEnv, eventually, repository, unix_now};
use anyhow::{Result, ensure};
use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_mins(1);

/// The lookup key of the price that the catalog lacks.
pub const MISSING_PRICE: &str = "replayed_monthly";

/// What [`TestCatalog::extended`] sells beside the shipped catalog.
const EXTENSION: &str = r#"
[[product]]
id = "prod_team"
name = "Team"
description = "3 million tokens a month for each seat"
tax_code = "txcd_10103000"

[[tier]]
name = "team"
rank = 4
per_unit = true
product = "prod_team"
limits = { tokens = 3_000_000, voice_chars = 300_000, basic_chars = "unlimited" }

[[price]]
lookup_key = "team_monthly"
tier = "team"
amount = 1500
currency = "eur"
interval = "month"

[[price]]
lookup_key = "team_yearly"
tier = "team"
amount = 15000
currency = "eur"
interval = "year"
limits = { tokens = 40_000_000 }

[[price]]
lookup_key = "basic_weekly"
tier = "basic"
amount = 300
currency = "eur"
interval = "week"

[[price]]
lookup_key = "plus_quarterly"
tier = "plus"
amount = 5400
currency = "eur"
interval = "month"
interval_count = 3
"#;

/// A catalog that a test can change. Dropping the value removes the file.
#[derive(Debug)]
pub struct TestCatalog {
    file: PathBuf,
}

impl TestCatalog {
    /// A copy of the shipped catalog, in a file with the name of the test in it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn new(test: &str) -> Result<Self> {
        let file = std::env::temp_dir().join(format!("tollbridge-{test}-{}.toml", std::process::id()));
        std::fs::copy(repository().join("deploy/catalog.toml"), &file)?;
        Ok(Self { file })
    }

    /// The shipped catalog with all that the lives of further kinds buy: seats, other intervals, a trial with
    /// limits of its own. What is not ours is ignored.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn extended(test: &str) -> Result<Self> {
        let catalog = Self::new(test)?;
        let strangers = "ignored_products = [\"prod_support\", \"prod_newsletter\"]";
        catalog.replace("ignored_products = []", strangers)?;
        let own_limits = "product = \"prod_basic\"\ntrial_limits = { tokens = 1_000_000 }\nlimits";
        catalog.replace("product = \"prod_basic\"\nlimits", own_limits)?;
        let contents = std::fs::read_to_string(&catalog.file)?;
        std::fs::write(&catalog.file, contents + EXTENSION)?;
        Ok(catalog)
    }

    /// Replaces a part of the text. Workers read the catalog when they start.
    ///
    /// # Errors
    /// When the file does not have that part.
    pub fn replace(&self, from: &str, to: &str) -> Result<()> {
        let text = std::fs::read_to_string(&self.file)?;
        ensure!(text.contains(from), "the catalog has no {from}");
        Ok(std::fs::write(&self.file, text.replace(from, to))?)
    }

    /// The path, for the setting `CATALOG_FILE`.
    #[must_use]
    pub fn path(&self) -> String {
        self.file.display().to_string()
    }

    /// Adds [`MISSING_PRICE`]. Workers read the catalog when they start.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn add_missing_price(&self) -> Result<()> {
        self.add_price(MISSING_PRICE)
    }

    /// Adds a price of the tier plus with this lookup key. Workers read the catalog when they start.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn add_price(&self, lookup_key: &str) -> Result<()> {
        let mut text = std::fs::read_to_string(&self.file)?;
        write!(
            text,
            "\n[[price]]\nlookup_key = \"{lookup_key}\"\ntier = \"plus\"\namount = 1\ncurrency = \"eur\"\ninterval = \"month\"\n"
        )?;
        Ok(std::fs::write(&self.file, text)?)
    }
}

impl Drop for TestCatalog {
    fn drop(&mut self) {
        let _gone = std::fs::remove_file(&self.file);
    }
}

/// An event of a subscription to [`price::UNKNOWN`].
#[must_use]
pub fn unknown_price(seed: &str) -> Event {
    let mut mint = Mint::new(ApiVersion::Y2026, &format!("{seed}price"));
    let (customer, now) = (mint.id("cus"), unix_now());
    let subscription = Subscription::new(&mut mint, &customer, price::UNKNOWN, now).of_user("user_price");
    mint.event("customer.subscription.created", now, &subscription)
}

/// The first events of `count` users, with the price [`MISSING_PRICE`].
#[must_use]
pub fn missing_price_events(seed: &str, count: usize) -> Vec<Event> {
    let mut events = newcomers(seed, count);
    for event in &mut events {
        event.body = event
            .body
            .replace(PLUS_MONTHLY.lookup_key, MISSING_PRICE)
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

/// Publishes `events`, and waits until they are dead letters in the table and in the queue.
///
/// # Errors
/// When the broker does not accept them.
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

/// The number of dead letters that wait for an operator.
///
/// # Errors
/// When the database does not answer.
pub async fn open(env: &TestEnv) -> Result<i64> {
    let sql = "SELECT count(*) FROM billing.dead_letter WHERE resolved_at IS NULL AND queued";
    Ok(sqlx::query_scalar(sql).fetch_one(env.pool()).await?)
}
