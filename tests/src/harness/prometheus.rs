//! A real Prometheus with the shipped rules.

use crate::harness::ports::free_address;
use crate::harness::process::fresh_folder;
use crate::harness::{Client, Pair, installed, repository, wait_for};
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};

const START: Duration = Duration::from_mins(1);

/// The binaries of Prometheus.
#[derive(Clone, Debug)]
pub struct Promtool {
    prometheus: PathBuf,
    promtool: PathBuf,
}

impl Promtool {
    /// Finds them.
    ///
    /// # Errors
    /// When they are not installed.
    pub fn find() -> Result<Self> {
        let [prometheus, promtool] = installed("prometheus")?;
        Ok(Self { prometheus, promtool })
    }

    /// Runs `promtool` with `arguments` and `input` on its standard input.
    ///
    /// # Errors
    /// When it finds an error; the message has its output.
    pub async fn run(&self, arguments: &[&str], input: &str) -> Result<()> {
        let file = tempfile(&format!("promtool-{}", arguments.concat().replace(['/', '.'], "-")))?;
        fs::write(&file, input)?;
        let mut promtool = Command::new(&self.promtool);
        promtool.args(arguments).stdin(File::open(&file)?).kill_on_drop(true);
        let output = promtool.output().await?;
        fs::remove_file(file)?;
        let printed = [output.stdout, output.stderr].concat();
        let printed = String::from_utf8_lossy(&printed);
        ensure!(output.status.success(), "promtool {arguments:?}: {printed}");
        Ok(())
    }
}

/// A Prometheus with the shipped rules that scrapes a pair every second. Dropping the value ends it.
#[derive(Debug)]
pub struct Prometheus {
    client: Client,
    folder: PathBuf,
    /// Killed when it is dropped.
    process: Child,
}

impl Prometheus {
    /// Starts it in its own folder `name`, with `pair` as its targets. The waiting time (`for`) of all alerts
    /// is two seconds; unit tests of the rules check the real ones.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start(promtool: &Promtool, name: &str, pair: &Pair) -> Result<Self> {
        let folder = tempfile(name)?;
        fresh_folder(&folder)?;
        let shipped = repository().join("deploy/prometheus");
        fs::copy(shipped.join("rules.yml"), folder.join("rules.yml"))?;
        let alerts = fs::read_to_string(shipped.join("alerts.yml"))?;
        fs::write(folder.join("alerts.yml"), with_short_waits(&alerts)?)?;
        let workers: Vec<SocketAddr> = pair.workers.iter().map(|w| w.ops().server()).collect();
        let config = fs::read_to_string(shipped.join("prometheus.yml"))?;
        let config = with_targets(&config, pair.ingest.ops().server(), &workers)?;
        fs::write(folder.join("prometheus.yml"), config)?;

        let address = free_address()?;
        let log = File::create(folder.join("log"))?;
        let mut command = Command::new(&promtool.prometheus);
        command
            .arg(format!("--config.file={}", folder.join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true);
        let prometheus = Self {
            client: Client::new(address, ""),
            process: command.spawn()?,
            folder,
        };
        let ready = wait_for(START, "Prometheus is ready", async || {
            prometheus.client.get("/-/ready").await?.accepted()
        });
        ready.await.with_context(|| prometheus.log())?;
        Ok(prometheus)
    }

    /// The answer of `/api/v1/{path}`.
    ///
    /// # Errors
    /// When the answer is an error.
    pub async fn api(&self, path: &str) -> Result<Value> {
        let answer = self.client.get(&format!("/api/v1/{path}")).await?;
        let mut body: Value = serde_json::from_str(&answer.body)?;
        ensure!(body["status"] == "success", "{path}: {}", answer.body);
        Ok(body["data"].take())
    }

    /// The states of an alert, such as `firing`, one for each set of labels; empty if the alert is inactive.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn states(&self, alert: &str) -> Result<Vec<String>> {
        let alerts = self.api("alerts").await?;
        let alerts = alerts["alerts"].as_array().context("no alerts")?;
        let named = alerts.iter().filter(|a| a["labels"]["alertname"] == alert);
        Ok(named.filter_map(|a| Some(a["state"].as_str()?.to_owned())).collect())
    }

    /// The values of `selector` now, one for each series.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn values(&self, selector: &str) -> Result<Vec<f64>> {
        let found = self.api(&format!("query?query={selector}")).await?;
        let series = found["result"].as_array().context("no result")?;
        let value = |s: &Value| s["value"][1].as_str().context("no value")?.parse().context("no number");
        series.iter().map(value).collect()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ended_before = self.process.start_kill();
        let _is_left_to_the_system = fs::remove_dir_all(&self.folder);
    }
}

/// The alerts with a waiting time of two seconds.
fn with_short_waits(alerts: &str) -> Result<String> {
    let wait = |line: &str| match line.split_once("for: ") {
        Some((indent, _)) if indent.trim().is_empty() => format!("{indent}for: 2s"),
        _ => line.to_owned(),
    };
    let hasty: Vec<String> = alerts.lines().map(wait).collect();
    ensure!(hasty.iter().any(|line| line.ends_with("for: 2s")), "no alert waits");
    Ok(hasty.join("\n"))
}

/// The configuration with these targets, scraped every second, and without a target for audits.
fn with_targets(config: &str, ingest: SocketAddr, workers: &[SocketAddr]) -> Result<String> {
    let list = |addresses: &[SocketAddr]| {
        let quoted: Vec<String> = addresses.iter().map(|a| format!("\"{a}\"")).collect();
        quoted.join(", ")
    };
    let mut aimed = config.to_owned();
    for (shipped, ours) in [
        ("_interval: 15s", "_interval: 1s"),
        ("\"127.0.0.1:9101\"", &list(&[ingest])),
        ("\"127.0.0.1:9102\"", &list(workers)),
        ("\"127.0.0.1:9100\"", ""),
    ] {
        if !aimed.contains(shipped) {
            bail!("prometheus.yml has no {shipped}");
        }
        aimed = aimed.replace(shipped, ours);
    }
    Ok(aimed)
}

/// A new path in the system's folder for temporary files.
fn tempfile(name: &str) -> Result<PathBuf> {
    let folder = std::env::temp_dir();
    ensure!(Path::new(&folder).is_dir(), "no {}", folder.display());
    Ok(folder.join(format!("tollbridge-{name}-{}", std::process::id())))
}
