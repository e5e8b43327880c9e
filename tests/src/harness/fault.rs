//! Servers that a test may break.

use crate::harness::{Servers, repository};
use anyhow::{Context, Result, ensure};
use std::process::Command;

/// A broker and a database of one test's own, started and broken by `deploy/local/servers.py`.
#[derive(Debug)]
pub struct OwnServers {
    name: String,
    servers: Servers,
}

impl OwnServers {
    /// Starts both under `name`.
    ///
    /// # Errors
    /// When they do not come up.
    pub async fn up(name: &str) -> Result<Self> {
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

    /// Does to the broker what `action` says: `["stop"]`, `["start"]`, `["kill"]`, or
    /// `["ctl", …]` for a command of `rabbitmqctl`.
    ///
    /// # Errors
    /// When it cannot be done.
    pub async fn broker(&self, action: &[&str]) -> Result<String> {
        self.act("broker", action).await
    }

    /// Does to the database what `action` says: `["stop"]`, `["start"]`, `["kill"]`,
    /// `["pause"]` or `["resume"]`.
    ///
    /// # Errors
    /// When it cannot be done.
    pub async fn database(&self, action: &[&str]) -> Result<String> {
        self.act("database", action).await
    }

    async fn act(&self, server: &str, action: &[&str]) -> Result<String> {
        let name = ["--name", self.name.as_str()];
        control(&[&[server], &name[..], action].concat()).await
    }
}

impl Drop for OwnServers {
    #[expect(clippy::print_stderr, reason = "what a test could not clean up, somebody must")]
    fn drop(&mut self) {
        let stopped = command(&["stop", "--wipe", "--name", &self.name]).output();
        if !stopped.is_ok_and(|output| output.status.success()) {
            eprintln!("the servers `{}` may still run: make stop", self.name);
        }
    }
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
