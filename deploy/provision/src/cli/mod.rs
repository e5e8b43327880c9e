//! The commands, and the exit codes: 0 done, 1 failed, 2 wrong usage or configuration.

mod args;
mod clock;
mod commands;
mod progress;

use crate::guard::{self, ArgumentError};
use args::{ModeArgs, ReplaceArgs};
use clap::{Parser, Subcommand};
use commands::{CatalogTask, apply_now, check, inspect_now, plan};
use progress::eprint_line;
use shared::{
    broker,
    catalog::{CATALOG_FILE, Catalog, CatalogError},
    settings::{Program, SettingError, Settings},
    telemetry, topology,
};
use std::{path::PathBuf, process::ExitCode};

/// Every setting of provision.
pub static PROGRAM: Program = Program {
    name: "provision",
    settings: &[
        &broker::AMQP_URL,
        &topology::QUEUE_NAMESPACE,
        &topology::RETRY_DELAYS,
        &stripe_api::STRIPE_SECRET_KEY,
        &stripe_api::STRIPE_API_BASE,
        &stripe_api::STRIPE_REQUESTS_PER_SECOND,
        &CATALOG_FILE,
        &telemetry::LOG_FORMAT,
        &telemetry::RUST_LOG,
    ],
    notes: "\
Only `test-clock events --publish` reads the settings of RabbitMQ.
Results go to standard output, progress and logs to standard error.
Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.",
};

const PLAN_HELP: &str = "\
Exit codes: 0 done, 1 failed, or something differs that Stripe never changes, 2 wrong usage or configuration.
With --detailed-exitcode: 0 nothing to do, 2 changes, 1 anything else.";

/// Makes Stripe agree with the catalog.
#[derive(Debug, Parser)]
#[command(name = "provision", version, about, after_help = PROGRAM.help())]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check only the catalog: needs no key and no network
    Check,
    /// Show what apply would change
    #[command(after_help = PLAN_HELP)]
    Plan {
        #[command(flatten)]
        mode: ModeArgs,
        #[command(flatten)]
        replace: ReplaceArgs,
        /// One JSON object instead of text
        #[arg(long)]
        json: bool,
        /// Exit with 0 if there is nothing to do, 2 if there are changes, 1 for anything else
        #[arg(long)]
        detailed_exitcode: bool,
    },
    /// Change what differs, then read it back to prove it
    Apply {
        #[command(flatten)]
        mode: ModeArgs,
        #[command(flatten)]
        replace: ReplaceArgs,
        /// Do not ask for confirmation in live mode
        #[arg(long)]
        yes: bool,
        /// Write the secret of a new webhook endpoint to this file (mode 0600) instead of printing it
        #[arg(long, value_name = "FILE")]
        secret_file: Option<PathBuf>,
    },
    /// Show the objects that Stripe has, and the settings that only the Dashboard can change
    Inspect {
        #[command(flatten)]
        mode: ModeArgs,
        /// One JSON object instead of text
        #[arg(long)]
        json: bool,
    },
    /// Let months pass in seconds for a test customer
    #[command(subcommand)]
    TestClock(clock::TestClock),
}

/// Runs the command that the arguments name.
pub async fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return unusable(&error),
    };
    let settings = Settings::of(&PROGRAM);
    let detailed = matches!(
        cli.command,
        Command::Plan {
            detailed_exitcode: true,
            ..
        }
    );
    let outcome = match telemetry::init(&settings) {
        Ok(()) => execute(cli.command, &settings).await,
        Err(error) => Err(error.into()),
    };
    outcome.unwrap_or_else(|error| {
        let is_usage = error.is::<SettingError>() || error.is::<CatalogError>() || error.is::<ArgumentError>();
        eprint_line(&format!("provision: {error:#}"));
        // With --detailed-exitcode 2 means changes and nothing else.
        ExitCode::from(if is_usage && !detailed { 2 } else { 1 })
    })
}

/// Prints clap's message. The exit code is clap's: 0 for --help, 2 for wrong usage. With
/// `--detailed-exitcode` wrong usage is 1, because there 2 means changes.
fn unusable(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    let detailed = std::env::args_os().any(|argument| argument == "--detailed-exitcode");
    match error.exit_code() {
        0 => ExitCode::SUCCESS,
        _ if detailed => ExitCode::FAILURE,
        _ => ExitCode::from(2),
    }
}

async fn execute(command: Command, settings: &Settings) -> anyhow::Result<ExitCode> {
    match command {
        Command::Check => check(&Catalog::from_settings(settings)?),
        Command::Plan {
            mode,
            replace,
            json,
            detailed_exitcode,
        } => {
            let task = CatalogTask::new(settings, mode.stated(), replace)?;
            plan(&task, json, detailed_exitcode).await
        }
        Command::Apply {
            mode,
            replace,
            yes,
            secret_file,
        } => {
            let task = CatalogTask::new(settings, mode.stated(), replace)?;
            guard::can_confirm(task.mode, yes)?;
            apply_now(&task, yes, secret_file).await
        }
        Command::Inspect { mode, json } => inspect_now(settings, mode.stated(), json).await,
        Command::TestClock(command) => clock::execute(command, settings).await,
    }
}
