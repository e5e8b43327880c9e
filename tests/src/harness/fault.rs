//! Servers that a test can break.

use crate::harness::{Servers, repository, wait_for};
use anyhow::{Context, Result, ensure};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Confirmation, Connection, ConnectionProperties};
use sqlx::{Connection as _, PgConnection};
use std::process::Command;
use std::time::{Duration, Instant};

/// How long a server may take to recover.
const HEALING: Duration = Duration::from_mins(1);
/// How long one probe may take.
const PROBE: Duration = Duration::from_secs(2);

/// A broker and a database for one test, controlled by `deploy/local/servers.py`.
#[derive(Debug)]
pub struct OwnServers {
    name: String,
    servers: Servers,
}

impl OwnServers {
    /// Starts both under `name`, empty.
    ///
    /// # Errors
    /// When they do not come up.
    pub async fn up(name: &str) -> Result<Self> {
        // A killed run may have left servers.
        control(&["stop", "--wipe", "--name", name]).await?;
        let printed = control(&["up", "--name", name]).await?;
        let value = |key: &str| {
            let lines = printed.lines().filter_map(|line| line.split_once('='));
            let mut values = lines.filter(|(name, _)| name.trim_start_matches("export ") == key);
            let found = values
                .next()
                .map(|(_, value)| value.trim_matches(['\'', '"']).to_owned());
            found.with_context(|| format!("servers.py up printed no {key}: {printed}"))
        };
        let servers = Servers {
            database_url: value("DATABASE_URL")?,
            amqp_url: value("AMQP_URL")?,
        };
        Ok(Self {
            name: name.to_owned(),
            servers,
        })
    }

    /// Their URLs.
    #[must_use]
    pub const fn servers(&self) -> &Servers {
        &self.servers
    }

    /// Runs an action on the broker: `["stop"]`, `["start"]`, `["kill"]`, or `["ctl", …]` for a command of
    /// `rabbitmqctl`.
    ///
    /// # Errors
    /// When the action fails.
    pub async fn broker(&self, action: &[&str]) -> Result<String> {
        self.act("broker", action).await
    }

    /// Runs an action on the database: `["stop"]`, `["start"]`, `["kill"]`, `["pause"]` or `["resume"]`.
    ///
    /// # Errors
    /// When the action fails.
    pub async fn database(&self, action: &[&str]) -> Result<String> {
        self.act("database", action).await
    }

    /// Waits until the broker works again: it confirms a message on a new connection, to a queue of the same kind
    /// as the pair's. Returns the time of that.
    ///
    /// # Errors
    /// When that takes more than a minute.
    pub async fn broker_heals(&self) -> Result<Instant> {
        wait_for(HEALING, "the broker takes messages", async || {
            let probe = tokio::time::timeout(PROBE, probe_broker(&self.servers.amqp_url)).await;
            probe.context("no answer")?
        })
        .await?;
        Ok(Instant::now())
    }

    /// Waits until the database works again: it commits a write on a new connection. Returns the time of that.
    ///
    /// # Errors
    /// When that takes more than a minute.
    pub async fn database_heals(&self) -> Result<Instant> {
        wait_for(HEALING, "the database commits", async || {
            let probe = tokio::time::timeout(PROBE, probe_database(&self.servers.database_url)).await;
            probe.context("no answer")?
        })
        .await?;
        Ok(Instant::now())
    }

    async fn act(&self, server: &str, action: &[&str]) -> Result<String> {
        let name = ["--name", self.name.as_str()];
        control(&[&[server], &name[..], action].concat()).await
    }
}

impl Drop for OwnServers {
    #[expect(clippy::print_stderr, reason = "the developer must remove what a test could not")]
    fn drop(&mut self) {
        let stopped = command(&["stop", "--wipe", "--name", &self.name]).output();
        if !stopped.is_ok_and(|output| output.status.success()) {
            eprintln!("the servers `{}` may still run: make stop", self.name);
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a look from outside, that must not be supervised"
)]
async fn probe_broker(url: &str) -> Result<()> {
    let connection = Connection::connect(url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    let queue = channel.queue_declare("tests.probe".into(), QueueDeclareOptions::durable(), arguments);
    queue.await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let options = BasicPublishOptions {
        mandatory: true,
        ..BasicPublishOptions::default()
    };
    let published = channel.basic_publish(
        "".into(),
        "tests.probe".into(),
        options,
        b"",
        BasicProperties::default(),
    );
    let confirm = published.await?.await?;
    ensure!(matches!(confirm, Confirmation::Ack(None)), "{confirm:?}");
    Ok(connection.close(200, "probed".into()).await?)
}

async fn probe_database(url: &str) -> Result<()> {
    let mut connection = PgConnection::connect(url).await?;
    let statement = sqlx::raw_sql("CREATE TABLE IF NOT EXISTS probe (); INSERT INTO probe DEFAULT VALUES");
    statement.execute(&mut connection).await?;
    Ok(connection.close().await?)
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new("python3");
    command.arg("deploy/local/servers.py").args(arguments);
    command.current_dir(repository());
    command
}

async fn control(arguments: &[&str]) -> Result<String> {
    let output = tokio::process::Command::from(command(arguments)).output().await?;
    ensure!(
        output.status.success(),
        "servers.py {} failed ({}): {}",
        arguments.join(" "),
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}
