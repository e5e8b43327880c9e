//! The commands, and the exit codes: 0 done, 1 failed, 2 wrong usage or
//! configuration.

mod dead_letters;
mod recovery;

use crate::{
    apply::transaction,
    audit,
    config::{self, Config, ConfigError},
    dead_letters::Tools,
    explain, run,
    store::{
        catalog,
        pool::{self, NotReady},
        settings::Database,
    },
};
use anyhow::Context;
use clap::{Parser, Subcommand};
use shared::{
    broker::Broker,
    catalog::Catalog,
    moment::moment,
    settings::{SettingError, Settings},
    shutdown, telemetry,
    topology::Topology,
    trace, work_queue,
};
use sqlx::PgPool;
use std::{io::stdout, path::PathBuf, process::ExitCode, time::Duration};

/// Applies Stripe's events to PostgreSQL, and lets operators see what it did.
#[derive(Debug, Parser)]
#[command(name = "worker", version, about, after_help = config::PROGRAM.help())]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Consume until SIGTERM or SIGINT, then drain
    #[command(after_help = config::PROGRAM.help())]
    Run,
    /// Bring the schema up to date; safe to run from many replicas at once
    Migrate,
    /// Look at the messages that were given up, put them back to work, or discard them
    #[command(subcommand)]
    DeadLetters(dead_letters::DeadLetters),
    /// Say why a user has what they have: each event, in order, and the change it made
    #[command(after_help = EXPLAIN_HELP)]
    Explain {
        /// The application's own id of the user
        user: String,
        /// As of this time, by the events created until then: RFC 3339, or seconds since 1970 [default: now]
        #[arg(long, value_name = "TIME", value_parser = moment, allow_negative_numbers = true)]
        at: Option<i64>,
        /// One JSON object instead of text
        #[arg(long)]
        json: bool,
    },
    /// Compare every subscription with Stripe, and repair what differs; needs a key of Stripe's
    #[command(after_help = recovery::RECONCILE_HELP)]
    Reconcile {
        /// Only print what differs
        #[arg(long)]
        dry_run: bool,
        /// End those that are gone at Stripe, however many, and though Stripe may know none that is kept here
        #[arg(long)]
        end_gone: bool,
        /// A JSON object for each subscription that differs, then one with the figures
        #[arg(long)]
        json: bool,
    },
    /// Fetch the events that Stripe could not deliver; needs a key of Stripe's
    #[command(after_help = recovery::BACKFILL_HELP)]
    Backfill {
        /// All events since this time instead: RFC 3339, or seconds since 1970
        #[arg(long, value_name = "TIME", value_parser = moment)]
        since: Option<i64>,
    },
    /// Recompute every user's state from the stored events, and report any row that differs
    #[command(after_help = AUDIT_HELP)]
    Audit {
        /// Write the figures there too, for Prometheus: node-exporter's textfile collector reads *.prom
        #[arg(long, value_name = "FILE")]
        metrics: Option<PathBuf>,
    },
}

const EXPLAIN_HELP: &str = "\
First what the user has and why, then their row of billing.entitlements, then each subscription, the
current one first, with its events in the order in which they count.
Exit codes: 0 done, 1 no event tells of the user, or failed, 2 wrong usage or configuration.";

const AUDIT_HELP: &str = "\
Prints a line for each row that differs, then a summary; changes nothing. Workers may run meanwhile.
Exit codes: 0 no difference, 1 a difference, or failed, 2 wrong usage or configuration.";

/// Runs the command that the arguments name.
pub async fn main() -> ExitCode {
    // Clap itself answers --help with 0 and wrong usage with 2.
    let cli = Cli::parse();
    let settings = Settings::of(&config::PROGRAM);
    let started = telemetry::init(&settings).and_then(|()| trace::init(&settings, "tollbridge-worker"));
    let done = match started {
        Ok(()) => execute(cli.command, &settings).await,
        Err(error) => Err(error.into()),
    };
    trace::end().await;
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if let Some(usage) = error.downcast_ref::<clap::Error>() {
                usage.exit();
            }
            let configuration = error.is::<SettingError>() || error.is::<ConfigError>();
            eprint_line(&format!("worker: {error:#}"));
            ExitCode::from(if configuration { 2 } else { 1 })
        }
    }
}

async fn execute(command: Command, settings: &Settings) -> anyhow::Result<()> {
    match command {
        Command::Run => {
            let stop = shutdown::on_signal().context("cannot install signal handlers")?;
            run::run(Config::from_settings(settings)?, stop).await
        }
        Command::Migrate => migrate(settings).await,
        Command::DeadLetters(command) => dead_letters::execute(command, settings).await,
        Command::Explain { user, at, json } => {
            explain::explain(&to_read(settings).await?, &user, at, json, &mut stdout().lock()).await
        }
        Command::Reconcile {
            dry_run,
            end_gone,
            json,
        } => Box::pin(recovery::reconcile(settings, dry_run, json, end_gone)).await,
        Command::Backfill { since } => recovery::backfill(settings, since).await,
        Command::Audit { metrics } => {
            let database = to_read(settings).await?;
            audit::audit(&database, metrics.as_deref(), &mut stdout().lock()).await
        }
    }
}

/// A database to read from; a standby will do.
async fn to_read(settings: &Settings) -> anyhow::Result<PgPool> {
    let database = pool::open(&Database::from_settings(settings)?)?;
    match pool::ready(&database).await {
        Ok(()) | Err(NotReady::ReadOnly) => Ok(database),
        Err(error) => Err(error.into()),
    }
}

/// Runs `work` with all that moves messages.
async fn with_tools<T>(settings: &Settings, work: impl AsyncFnOnce(Tools) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let (broker, topology) = (
        Broker::from_settings(settings, "tollbridge operator")?,
        Topology::from_settings(settings)?,
    );
    let database = pool::open(&Database::from_settings(settings)?)?;
    pool::ready(&database).await?;
    let tools = |publisher| Tools {
        pool: database,
        broker: broker.clone(),
        topology: topology.clone(),
        publisher,
    };
    work_queue::with_publisher(broker.clone(), topology.clone(), async |publisher| {
        work(tools(publisher)).await
    })
    .await
}

async fn migrate(settings: &Settings) -> anyhow::Result<()> {
    let tiers = Catalog::from_settings(settings).map_err(ConfigError::from)?;
    // A migration takes as long as it takes, and other replicas wait for its end.
    let unlimited = Database {
        statement_timeout: Duration::ZERO,
        lock_timeout: Duration::ZERO,
        ..Database::from_settings(settings)?
    };
    let database = pool::open(&unlimited)?;
    pool::migrate(&database).await.context("cannot migrate the database")?;
    catalog::write_tiers(&mut *database.acquire().await?, tiers.tiers())
        .await
        .context("cannot write the catalog's tiers")?;
    let accounts = transaction::bring_up_to_date(&database)
        .await
        .context("cannot fold the states of an older version again")?;
    tracing::info!(accounts, "the schema is up to date");
    Ok(())
}

#[expect(
    clippy::print_stderr,
    reason = "the last line of a failed command, for people; logs may be filtered away"
)]
fn eprint_line(line: &str) {
    eprintln!("{line}");
}
