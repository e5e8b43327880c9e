//! Starts `ingest` and workers together.

use crate::harness::ports::free_address;
use crate::harness::{Client, Process, SECRET, TestEnv, USAGE_TOKEN, eventually};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long the workers may take to settle all queued deliveries.
const SETTLING: Duration = Duration::from_mins(1);

/// The settings and the number of workers of a pair.
#[derive(Clone, Debug)]
pub struct Setup {
    workers: usize,
    ingest: BTreeMap<String, String>,
    worker: BTreeMap<String, String>,
    detached: bool,
}

impl Default for Setup {
    /// One ingest with usage reports and one worker, with default settings but one: many stories tell of past
    /// years, so reports may be old.
    fn default() -> Self {
        let ingest = [("USAGE_TOKEN", USAGE_TOKEN), ("USAGE_MAX_AGE", "3650d")];
        Self {
            workers: 1,
            ingest: ingest.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            worker: BTreeMap::new(),
            detached: false,
        }
    }
}

impl Setup {
    /// Sets the number of workers. [`Pair::add_worker`] starts more.
    #[must_use]
    pub const fn workers(mut self, count: usize) -> Self {
        self.workers = count;
        self
    }

    /// Adds a setting of `ingest`.
    #[must_use]
    pub fn ingest(mut self, name: &str, value: &str) -> Self {
        self.ingest.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Adds a setting of every worker.
    #[must_use]
    pub fn worker(mut self, name: &str, value: &str) -> Self {
        self.worker.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Lets the processes run on after this program.
    #[must_use]
    pub const fn detached(mut self) -> Self {
        self.detached = true;
        self
    }
}

/// The running pair.
#[derive(Debug)]
pub struct Pair {
    /// The `ingest` process.
    pub ingest: Process,
    /// The worker processes.
    pub workers: Vec<Process>,
    /// A client of the public listener, which signs with [`SECRET`].
    pub client: Client,
    /// A worker that is not started, for `worker migrate` and the operator's commands.
    operator: Process,
    /// The settings of every worker, and whether it runs on after this program.
    worker: (BTreeMap<String, String>, bool),
    logs: std::path::PathBuf,
}

impl Pair {
    /// Migrates the database of `env`, starts all processes, and waits until they are ready.
    ///
    /// # Errors
    /// When one does not come up; the message has the end of its log.
    pub async fn start(env: &TestEnv, setup: Setup) -> Result<Self> {
        let split = setup.worker.contains_key("RETRY_DELAYS") || setup.ingest.contains_key("RETRY_DELAYS");
        ensure!(
            !split,
            "RETRY_DELAYS names queues: give it to the TestEnv, for both processes"
        );
        let mut ingest = env.settings();
        ingest.extend(setup.ingest);
        let public = match ingest.get("INGEST_ADDR") {
            Some(given) => given.parse().context("INGEST_ADDR is no address")?,
            None => free_address()?,
        };
        ingest.insert("INGEST_ADDR".into(), public.to_string());
        // ingest has no database.
        ingest.remove("DATABASE_URL");
        let mut worker = env.settings();
        worker.remove("STRIPE_WEBHOOK_SECRET");
        worker.extend(setup.worker);

        let logs = env.logs().to_owned();
        let mut ingest = Process::new("ingest", "ingest", &[], ingest, &logs)?;
        if setup.detached {
            ingest.detach();
        }
        let mut pair = Self {
            ingest,
            workers: Vec::new(),
            client: Client::new(public, SECRET),
            operator: Process::new("operator", "worker", &[], worker.clone(), &logs)?,
            worker: (worker, setup.detached),
            logs,
        };
        if let Err(error) = pair.start_all(setup.workers).await {
            // Detached processes too: half a pair is of no use.
            pair.kill_all().await;
            return Err(error);
        }
        Ok(pair)
    }

    async fn start_all(&mut self, workers: usize) -> Result<()> {
        self.operate(&["migrate"]).await?;
        self.ingest.spawn()?;
        for _ in 0..workers {
            self.spawn_worker()?;
        }
        self.ingest.ready().await?;
        for worker in &mut self.workers {
            worker.ready().await?;
        }
        Ok(())
    }

    /// Kills all running processes.
    pub async fn kill_all(&mut self) {
        for process in std::iter::once(&mut self.ingest).chain(&mut self.workers) {
            let _not_running = process.kill_9().await;
        }
    }

    /// Starts one more worker, with the settings of the others, and waits until it is ready.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn add_worker(&mut self) -> Result<()> {
        self.spawn_worker()?.ready().await
    }

    /// Starts one more worker, without waiting.
    ///
    /// # Errors
    /// When the binary is not there.
    pub fn spawn_worker(&mut self) -> Result<&mut Process> {
        let (settings, detached) = self.worker.clone();
        let name = match self.workers.len() {
            0 => "worker".to_owned(),
            others => format!("worker-{}", others + 1),
        };
        let mut worker = Process::new(&name, "worker", &["run"], settings, &self.logs)?;
        if detached {
            worker.detach();
        }
        worker.spawn()?;
        self.workers.push(worker);
        self.workers.last_mut().context("just pushed")
    }

    /// Runs an operator's command, such as `dead-letters list --json`; returns its output.
    ///
    /// # Errors
    /// When it fails; the message has its standard error.
    pub async fn operate(&self, arguments: &[&str]) -> Result<String> {
        self.operator.run(arguments).await
    }

    /// The open dead letters, as `worker dead-letters list --json` prints them with `further`
    /// arguments.
    ///
    /// # Errors
    /// When it fails, or prints anything but one JSON array.
    pub async fn dead_letters(&self, further: &[&str]) -> Result<Vec<Value>> {
        let arguments = [&["dead-letters", "list", "--json"], further].concat();
        Ok(serde_json::from_str(&self.operate(&arguments).await?)?)
    }

    /// Waits until the workers have settled exactly so many deliveries since their start, with duplicates.
    ///
    /// # Panics
    /// When that takes more than a minute.
    pub async fn settles(&self, deliveries: i64) {
        eventually(SETTLING, "every delivery is settled", async || {
            let settled = self.settled().await?;
            ensure!(settled == deliveries, "{settled} of {deliveries}");
            Ok(())
        })
        .await;
    }

    /// The number of deliveries that the workers have settled since their start, with duplicates.
    ///
    /// # Errors
    /// When one does not answer.
    pub async fn settled(&self) -> Result<i64> {
        let mut settled = 0;
        for worker in &self.workers {
            settled += worker.metrics().await?.sum("tollbridge_worker_deliveries_total", &[]);
        }
        Ok(settled)
    }
}
