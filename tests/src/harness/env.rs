//! A database and queues for one test.

use crate::harness::process::{fresh_folder, repository};
use crate::harness::{Queues, SECRET, unix_now};
use anyhow::{Context, Result};
use shared::settings::Settings;
use shared::topology::Topology;
use sqlx::postgres::{PgConnection, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The servers that tests run on.
#[derive(Clone, Debug)]
pub struct Servers {
    /// `postgres://…`
    pub database_url: String,
    /// `amqp://…`
    pub amqp_url: String,
}

impl Servers {
    /// The servers named in `DATABASE_URL` and `AMQP_URL`.
    ///
    /// # Errors
    /// If one is not set: a test without servers fails, it is not skipped.
    pub fn from_env() -> Result<Self> {
        let settings = Settings::from_process();
        let read = |name: &str| {
            let url = settings.variable(name).map(str::to_owned);
            url.with_context(|| format!("{name} is not set: run through `make`, such as `make test`"))
        };
        Ok(Self {
            database_url: read("DATABASE_URL")?,
            amqp_url: read("AMQP_URL")?,
        })
    }

    /// The URL of another database of the same server.
    fn database(&self, name: &str) -> Result<String> {
        let (url, query) = match self.database_url.split_once('?') {
            Some((url, query)) => (url, format!("?{query}")),
            None => (self.database_url.as_str(), String::new()),
        };
        let (scheme, rest) = url.split_once("://").context("DATABASE_URL is no URL")?;
        let server = rest.split_once('/').map_or(rest, |(server, _)| server);
        Ok(format!("{scheme}://{server}/{name}{query}"))
    }
}

/// A database and a namespace of queues; both are empty at first.
#[derive(Debug)]
pub struct TestEnv {
    servers: Servers,
    namespace: String,
    database_url: String,
    pool: PgPool,
    logs: PathBuf,
    further: BTreeMap<String, String>,
    /// The database to drop at the end; `None` if it existed before.
    own_database: Option<String>,
}

impl TestEnv {
    /// Creates both for the test `name`, on the servers of the environment.
    ///
    /// # Errors
    /// When the database server refuses.
    pub async fn new(name: &str) -> Result<Self> {
        Self::on(Servers::from_env()?, name).await
    }

    /// Creates both for the test `name`, on `servers`.
    ///
    /// # Errors
    /// When the database server refuses.
    pub async fn on(servers: Servers, name: &str) -> Result<Self> {
        let database = format!("tb_{name}_{}", unique());
        administer(&servers, &format!("CREATE DATABASE {database}")).await?;
        let database_url = servers.database(&database)?;
        Ok(Self {
            namespace: database.replace('_', "-"),
            pool: pool(&database_url)?,
            logs: logs(name)?,
            further: BTreeMap::new(),
            own_database: Some(database),
            database_url,
            servers,
        })
    }

    /// Uses an existing database and namespace, and does not drop them.
    ///
    /// # Errors
    /// When the URL of the database is invalid.
    pub fn given(servers: Servers, namespace: &str, logs: &Path) -> Result<Self> {
        fresh_folder(logs)?;
        Ok(Self {
            namespace: namespace.to_owned(),
            database_url: servers.database_url.clone(),
            pool: pool(&servers.database_url)?,
            logs: logs.to_owned(),
            further: BTreeMap::new(),
            own_database: None,
            servers,
        })
    }

    /// Adds a setting of both processes, such as `RETRY_DELAYS`.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.further.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The connection pool of the database.
    #[must_use]
    pub const fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// The URL of the database.
    #[must_use]
    pub fn database_url(&self) -> &str {
        &self.database_url
    }

    /// The broker's URL.
    #[must_use]
    pub fn amqp_url(&self) -> &str {
        &self.servers.amqp_url
    }

    /// The prefix of all its queues.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The folder of the processes' logs.
    #[must_use]
    pub fn logs(&self) -> &Path {
        &self.logs
    }

    /// A connection that inspects its queues.
    ///
    /// # Errors
    /// When the broker is not there.
    pub async fn queues(&self) -> Result<Queues> {
        Queues::connect(&self.servers.amqp_url, self.topology()).await
    }

    /// The settings of both processes, as environment variables.
    #[must_use]
    pub fn settings(&self) -> BTreeMap<String, String> {
        let catalog = repository().join("deploy/catalog.toml");
        let settings = [
            ("DATABASE_URL", self.database_url.clone()),
            ("AMQP_URL", self.servers.amqp_url.clone()),
            ("QUEUE_NAMESPACE", self.namespace.clone()),
            ("STRIPE_WEBHOOK_SECRET", SECRET.to_owned()),
            ("CATALOG_FILE", catalog.display().to_string()),
            ("LOG_FORMAT", "json".to_owned()),
            ("RUST_BACKTRACE", "1".to_owned()),
        ];
        let mut settings = BTreeMap::from(settings.map(|(name, value)| (name.to_owned(), value)));
        settings.extend(self.further.clone());
        settings
    }

    /// The names of its queues.
    ///
    /// # Panics
    /// If `RETRY_DELAYS` is invalid.
    #[must_use]
    pub fn topology(&self) -> Topology {
        let settings = self.settings();
        let pairs: Vec<_> = settings
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        Topology::from_settings(&Settings::from_pairs(&pairs)).expect("the test's own settings are valid")
    }

    async fn clean(servers: &Servers, topology: Topology, database: &str) -> Result<()> {
        let dropped = drop_database(servers, database).await;
        Queues::connect(&servers.amqp_url, topology).await?.delete_all().await?;
        dropped
    }
}

impl Drop for TestEnv {
    /// Drops the database and the queues, also after a failure. Prints the names of those that could not be
    /// dropped because their server is down.
    #[expect(clippy::print_stderr, reason = "the developer must remove what a test could not")]
    fn drop(&mut self) {
        let Some(database) = self.own_database.take() else {
            return;
        };
        let (servers, topology) = (self.servers.clone(), self.topology());
        // A runtime cannot block on itself, so another thread has its own.
        let cleaning = std::thread::spawn(move || -> Result<()> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let clean = Self::clean(&servers, topology, &database);
            runtime.block_on(async { tokio::time::timeout(Duration::from_secs(20), clean).await? })
        });
        match cleaning.join() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => eprintln!("left behind {}: {error:#}", self.namespace),
            Err(_) => eprintln!("left behind {}: its cleaning panicked", self.namespace),
        }
    }
}

fn pool(url: &str) -> Result<PgPool> {
    let options = PgPoolOptions::new().max_connections(4);
    let options = options.acquire_timeout(Duration::from_secs(10));
    options
        .connect_lazy(url)
        .context("DATABASE_URL is no URL of PostgreSQL")
}

/// Without `WITH (FORCE)`, which fails while autovacuum works there. A plain `DROP` ends autovacuum.
async fn drop_database(servers: &Servers, database: &str) -> Result<()> {
    let end_sessions = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}' AND usename = current_user"
    );
    administer(servers, &end_sessions).await?;
    administer(servers, &format!("DROP DATABASE IF EXISTS {database}")).await
}

async fn administer(servers: &Servers, statement: &str) -> Result<()> {
    let connection = PgConnection::connect(&servers.database_url).await;
    let mut connection = connection.context("cannot reach the server of DATABASE_URL")?;
    // Names cannot be bound as parameters; these are made of safe letters.
    let done = sqlx::raw_sql(AssertSqlSafe(statement.to_owned()))
        .execute(&mut connection)
        .await;
    done.with_context(|| statement.to_owned())?;
    Ok(connection.close().await?)
}

fn logs(name: &str) -> Result<PathBuf> {
    let folder = repository().join("target/test-logs").join(name);
    fresh_folder(&folder)?;
    Ok(folder)
}

/// A text that no other run has: the second, the process id, and a count.
fn unique() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{:x}_{:x}_{count}", unix_now(), std::process::id())
}
