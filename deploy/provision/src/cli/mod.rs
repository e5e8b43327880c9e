//! The commands, and the exit codes: 0 done, 1 failed, 2 wrong usage or configuration.

mod clock;
mod work;

use crate::guard::{self, Account, Usage};
use clap::{Args, Parser, Subcommand};
use shared::{
    broker,
    catalog::{CATALOG_FILE, Catalog, CatalogError},
    settings::{Program, SettingError, Settings},
    telemetry, topology,
};
use std::{path::PathBuf, process::ExitCode};
use work::{Task, apply_now, check, inspect_now, plan};
use worker::stripe::api::{self, Api, KeyMode};

/// Every setting of provision.
pub static PROGRAM: Program = Program {
    name: "provision",
    settings: &[
        &broker::AMQP_URL,
        &topology::QUEUE_NAMESPACE,
        &topology::RETRY_DELAYS,
        &api::STRIPE_SECRET_KEY,
        &api::STRIPE_API_BASE,
        &api::STRIPE_REQUESTS_PER_SECOND,
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
    /// Check the catalog alone: no key, no network
    Check,
    /// Show what apply would change
    #[command(after_help = PLAN_HELP)]
    Plan {
        #[command(flatten)]
        mode: Mode,
        #[command(flatten)]
        replace: Replace,
        /// One JSON object instead of text
        #[arg(long)]
        json: bool,
        /// 0 nothing to do, 1 failed, 2 changes
        #[arg(long)]
        detailed_exitcode: bool,
    },
    /// Change what differs, then read it back
    Apply {
        #[command(flatten)]
        mode: Mode,
        #[command(flatten)]
        replace: Replace,
        /// Do not ask for confirmation in live mode
        #[arg(long)]
        yes: bool,
        /// Write the secret of a new webhook endpoint there (mode 0600) instead of showing it
        #[arg(long, value_name = "FILE")]
        secret_file: Option<PathBuf>,
    },
    /// Show what is there, and what only the Dashboard can set
    Inspect {
        #[command(flatten)]
        mode: Mode,
        /// One JSON object instead of text
        #[arg(long)]
        json: bool,
    },
    /// Let the months of a test customer pass in seconds
    #[command(subcommand)]
    TestClock(clock::TestClock),
}

#[derive(Debug, Clone, Copy, Args)]
#[group(required = true, multiple = false)]
struct Mode {
    /// The key must be one of test mode
    #[arg(long)]
    test: bool,
    /// The key must be one of live mode
    #[arg(long)]
    live: bool,
}

impl Mode {
    fn stated(self) -> KeyMode {
        if self.live { KeyMode::Live } else { KeyMode::Test }
    }
}

#[derive(Debug, Args)]
struct Replace {
    /// Replace this price by a new one if it differs for good, and archive it; may be repeated
    #[arg(long = "replace", value_name = "LOOKUP_KEY")]
    lookup_keys: Vec<String>,
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
    let done = match telemetry::init(&settings) {
        Ok(()) => execute(cli.command, &settings).await,
        Err(error) => Err(error.into()),
    };
    done.unwrap_or_else(|error| {
        let usage = error.is::<SettingError>() || error.is::<CatalogError>() || error.is::<Usage>();
        eprint_line(&format!("provision: {error:#}"));
        // Where 2 means changes, it means nothing else.
        ExitCode::from(if usage && !detailed { 2 } else { 1 })
    })
}

/// As clap itself ends, with 0 for --help and 2 for wrong usage; but 1 where 2 means changes.
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
            let task = Task::new(settings, mode.stated(), replace)?;
            plan(&task, json, detailed_exitcode).await
        }
        Command::Apply {
            mode,
            replace,
            yes,
            secret_file,
        } => {
            let task = Task::new(settings, mode.stated(), replace)?;
            guard::can_confirm(task.mode, yes)?;
            apply_now(&task, yes, secret_file).await
        }
        Command::Inspect { mode, json } => inspect_now(settings, mode.stated(), json).await,
        Command::TestClock(command) => clock::execute(command, settings).await,
    }
}

#[expect(
    clippy::print_stderr,
    reason = "progress, and the last line of a failed command, for people"
)]
fn eprint_line(line: &str) {
    eprintln!("{line}");
}

/// Names of accounts in test mode, for the commands that need no other.
async fn test_account(settings: &Settings) -> anyhow::Result<(Api, Account)> {
    let api = guard::test_client(settings)?;
    let account = guard::account(&api, KeyMode::Test).await?;
    Ok((api, account))
}
