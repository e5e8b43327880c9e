//! The command line of `worker`. The exit codes of every command: 0 done, 1 failed,
//! 2 wrong usage or configuration.

mod argument_error;
mod connect;
mod dead_letters;
mod migrate;
mod print;
mod recovery;
use crate::{
    audit,
    config::{self, Config, ConfigError},
    explain, run,
};
use anyhow::Context;
use argument_error::ArgumentError;
use clap::{CommandFactory, Parser, Subcommand};
use connect::database_to_read;
use print::eprint_line;
use shared::{
    moment::moment,
    settings::{SettingError, Settings},
    shutdown, telemetry, trace,
};
use std::{io::stdout, path::PathBuf, process::ExitCode};

// No doc comment: clap prints the description in Cargo.toml.
#[derive(Debug, Parser)]
#[command(name = "worker", version, about, after_help = config::PROGRAM.help())]
struct WorkerCli {
    #[command(subcommand)]
    command: WorkerCommand,
}

#[derive(Debug, Subcommand)]
enum WorkerCommand {
    /// Consume until SIGTERM or SIGINT, then drain
    #[command(after_help = config::PROGRAM.help())]
    Run,
    /// Bring the schema up to date; several replicas may run it at once
    Migrate,
    /// Look at messages that the workers gave up, replay them, or discard them
    #[command(subcommand)]
    DeadLetters(dead_letters::DeadLettersCommand),
    /// Explain why a user has their entitlement and balances: each event in order, and its changes
    #[command(after_help = EXPLAIN_HELP)]
    Explain {
        /// The application's id of the user
        user: String,
        /// At this time, from the events created until then: RFC 3339, or seconds since 1970 [default: now]
        #[arg(long, value_name = "TIME", value_parser = moment, allow_negative_numbers = true)]
        at: Option<i64>,
        /// Print one JSON object instead of text
        #[arg(long)]
        json: bool,
    },
    /// Compare every subscription with Stripe, and repair differences; needs a Stripe API key
    #[command(after_help = recovery::RECONCILE_HELP)]
    Reconcile {
        /// Only print the differences
        #[arg(long)]
        dry_run: bool,
        /// End every subscription that Stripe does not have any more, even if that is all of them
        #[arg(long)]
        end_gone: bool,
        /// Print a JSON object for each subscription that differs, then one with the counts
        #[arg(long)]
        json: bool,
    },
    /// Fetch the events that Stripe could not deliver; needs a Stripe API key
    #[command(after_help = recovery::BACKFILL_HELP)]
    Backfill {
        /// Fetch all events since this time instead: RFC 3339, or seconds since 1970
        #[arg(long, value_name = "TIME", value_parser = moment)]
        since: Option<i64>,
    },
    /// Compute every user's state again from the stored events, and report each row that differs
    #[command(after_help = AUDIT_HELP)]
    Audit {
        /// Also write the counts to this file, for the textfile collector of node-exporter, which reads *.prom
        #[arg(long, value_name = "FILE")]
        metrics: Option<PathBuf>,
    },
}

const EXPLAIN_HELP: &str = "\
Prints what the user has and why, the row of billing.entitlements, then each subscription with its events
in the order in which they count. The current subscription comes first.
Exit codes: 0 done, 1 no event names the user, or failed, 2 wrong usage or configuration.";

const AUDIT_HELP: &str = "\
Prints a line for each row that differs, then a summary. It changes nothing. Workers may keep running.
Exit codes: 0 no difference, 1 a difference, or failed, 2 wrong usage or configuration.";

/// Runs the command that the arguments name, and returns its exit code.
pub async fn main() -> ExitCode {
    // clap itself exits with 0 for --help, and with 2 for wrong usage.
    let cli = WorkerCli::parse();
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
            if let Some(usage) = error.downcast_ref::<ArgumentError>() {
                usage.with_usage(WorkerCli::command()).exit();
            }
            let is_configuration = error.is::<SettingError>() || error.is::<ConfigError>();
            eprint_line(&format!("worker: {error:#}"));
            ExitCode::from(if is_configuration { 2 } else { 1 })
        }
    }
}

async fn execute(command: WorkerCommand, settings: &Settings) -> anyhow::Result<()> {
    match command {
        WorkerCommand::Run => {
            let stop = shutdown::on_signal().context("cannot install signal handlers")?;
            run::run(Config::from_settings(settings)?, stop).await
        }
        WorkerCommand::Migrate => migrate::migrate(settings).await,
        WorkerCommand::DeadLetters(command) => dead_letters::execute(command, settings).await,
        WorkerCommand::Explain { user, at, json } => {
            let database = database_to_read(settings).await?;
            explain::explain(&database, &user, at, json, &mut stdout().lock()).await
        }
        WorkerCommand::Reconcile {
            dry_run,
            end_gone,
            json,
        } => Box::pin(recovery::reconcile(settings, dry_run, json, end_gone)).await,
        WorkerCommand::Backfill { since } => recovery::backfill(settings, since).await,
        WorkerCommand::Audit { metrics } => {
            let database = database_to_read(settings).await?;
            audit::audit(&database, metrics.as_deref(), &mut stdout().lock()).await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_defined_without_contradictions() {
        WorkerCli::command().debug_assert();
    }

    #[test]
    fn a_wrong_argument_prints_the_usage_of_its_subcommand() {
        let error = ArgumentError {
            subcommand: &["dead-letters", "replay"],
            message: "name the dead letters",
        };
        let printed = error.with_usage(WorkerCli::command()).to_string();
        assert!(printed.contains("error: name the dead letters"), "{printed}");
        assert!(printed.contains("Usage: worker dead-letters replay"), "{printed}");
    }
}
