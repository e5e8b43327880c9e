//! Runs one of our binaries as a child process.

use crate::harness::ports::free_address;
use crate::harness::{Answer, Client, Metrics, wait_for};
use anyhow::{Context, Result, bail, ensure};
use shared::settings::Settings;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::process::{Child, Command};

/// How long a process may take to become ready.
const START: Duration = Duration::from_secs(30);

/// A binary that can be started several times with the same settings.
#[derive(Debug)]
pub struct Process {
    name: String,
    binary: &'static str,
    arguments: Vec<&'static str>,
    settings: BTreeMap<String, String>,
    log: PathBuf,
    ops: Client,
    child: Option<Child>,
    detached: bool,
}

impl Process {
    /// Describes a process. `name` is for messages and for its log in the folder `logs`. Its environment has the
    /// settings, `PATH` and `HOME`. It gets its own private listener.
    ///
    /// # Errors
    /// When no port is free.
    pub fn new(
        name: &str,
        binary: &'static str,
        arguments: &[&'static str],
        mut settings: BTreeMap<String, String>,
        logs: &Path,
    ) -> Result<Self> {
        let ops = match settings.get("OPS_ADDR") {
            Some(given) => given.parse().context("OPS_ADDR is no address")?,
            None => free_address()?,
        };
        settings.insert("OPS_ADDR".into(), ops.to_string());
        Ok(Self {
            name: name.to_owned(),
            binary,
            arguments: arguments.to_vec(),
            settings,
            log: logs.join(format!("{name}.log")),
            ops: Client::new(ops, ""),
            child: None,
            detached: false,
        })
    }

    /// Lets it run on after this program, in its own process group.
    pub fn detach(&mut self) {
        self.detached = true;
    }

    /// Starts it, without waiting.
    ///
    /// # Errors
    /// When the binary is not there.
    pub fn spawn(&mut self) -> Result<()> {
        ensure!(self.child.is_none(), "{} runs already", self.name);
        let log = OpenOptions::new().create(true).append(true).open(&self.log)?;
        let mut command = self.command(&self.arguments)?;
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(!self.detached);
        if self.detached {
            command.process_group(0);
        }
        self.child = Some(command.spawn()?);
        Ok(())
    }

    /// The binary with its settings and `arguments`, as an operator would call it.
    ///
    /// # Errors
    /// When the binary is not there.
    pub fn command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(built(self.binary)?);
        command.args(arguments).env_clear().envs(&self.settings);
        let own = Settings::from_process();
        for name in ["PATH", "HOME"] {
            if let Some(value) = own.variable(name) {
                command.env(name, value);
            }
        }
        Ok(command)
    }

    /// Runs the binary with `arguments` to its end; returns its output.
    ///
    /// # Errors
    /// When it fails; the message has its standard error.
    pub async fn run(&self, arguments: &[&str]) -> Result<String> {
        let output = self.command(arguments)?.output().await?;
        ensure!(
            output.status.success(),
            "{} {} failed ({}): {}",
            self.binary,
            arguments.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Waits until `/readyz` answers 200.
    ///
    /// # Errors
    /// When it ends before that, or the time is over; the message has the end of its log.
    pub async fn ready(&mut self) -> Result<()> {
        let what = format!("{} is ready", self.name);
        let mut exit = None;
        let ready = wait_for(START, &what, async || {
            exit = self.child.as_mut().and_then(|child| child.try_wait().transpose());
            if exit.is_some() {
                return Ok(());
            }
            self.ops.get("/readyz").await?.accepted()
        });
        let ready = ready.await;
        match exit {
            Some(status) => bail!("{} ended with {}\n{}", self.name, status?, self.log_tail()),
            None => ready.with_context(|| self.log_tail()),
        }
    }

    /// Its process id, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }

    /// Asks it to end.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn sigterm(&self) -> Result<()> {
        let pid = self.pid().with_context(|| format!("{} does not run", self.name))?;
        let kill = Command::new("kill").args(["-TERM", &pid.to_string()]).status().await?;
        ensure!(kill.success(), "kill -TERM {pid}: {kill}");
        Ok(())
    }

    /// Waits until it ended.
    ///
    /// # Errors
    /// When it does not run, or does not end in time.
    pub async fn exit(&mut self, deadline: Duration) -> Result<ExitStatus> {
        let child = self.child.as_mut();
        let child = child.with_context(|| format!("{} does not run", self.name))?;
        let status = tokio::time::timeout(deadline, child.wait()).await;
        let status = status.with_context(|| format!("{} did not end in {deadline:?}", self.name))??;
        self.child = None;
        Ok(status)
    }

    /// Kills it with SIGKILL.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn kill_9(&mut self) -> Result<()> {
        let child = self.child.take();
        let mut child = child.with_context(|| format!("{} does not run", self.name))?;
        Ok(child.kill().await?)
    }

    /// Starts it again after it ended, and waits until it is ready.
    ///
    /// # Errors
    /// As [`Process::spawn`] and [`Process::ready`].
    pub async fn start(&mut self) -> Result<()> {
        self.spawn()?;
        self.ready().await
    }

    /// A client of its private listener with `/healthz`, `/readyz` and `/metrics`.
    #[must_use]
    pub const fn ops(&self) -> &Client {
        &self.ops
    }

    /// The present values of `/metrics`.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn metrics(&self) -> Result<Metrics> {
        let Answer { body, .. } = self.ops.get("/metrics").await?;
        Ok(Metrics::parse(&body))
    }

    /// Its whole log, over all starts.
    #[must_use]
    pub fn log(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let tail = &lines[lines.len().saturating_sub(30)..];
        format!("--- end of {}:\n{}", self.log.display(), tail.join("\n"))
    }
}

impl Drop for Process {
    #[expect(clippy::print_stderr, reason = "shown when a test fails")]
    fn drop(&mut self) {
        if std::thread::panicking() && self.log.exists() {
            eprintln!("{}", self.log_tail());
        }
    }
}

/// The repository's root.
///
/// # Panics
/// Never: the crate is in a folder of the repository.
#[must_use]
pub fn repository() -> &'static Path {
    let crate_root = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_root.parent().expect("the crate lies in the repository")
}

/// The path of one of our binaries, of the same build profile as this program.
fn built(binary: &str) -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    // target/<profile>/demo, or target/<profile>/deps/pair-1a2b3c
    let mut folders = own.ancestors().skip(1).take(2);
    let found = folders.find_map(|folder| Some(folder.join(binary)).filter(|path| path.is_file()));
    found.with_context(|| format!("no binary `{binary}` near {}: build first: make test", own.display()))
}

/// Empties the log folder `path`, or makes it.
pub(super) fn fresh_folder(path: &Path) -> Result<()> {
    if path.exists() {
        std::fs::remove_dir_all(path)?;
    }
    std::fs::create_dir_all(path)?;
    File::open(path).map(drop).context("cannot open the log folder")
}
