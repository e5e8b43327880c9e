//! `make demo`: runs the whole system on one machine, and shows step by step what it does. `make up` starts
//! the system and leaves it running.
#![expect(clippy::print_stdout, reason = "printing is what a demo does")]

mod credits;
mod show;
mod up;

use anyhow::{Context, Result, anyhow, ensure};
use bytes::Bytes;
use clap::Parser;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;
use tests::fixtures::ApiVersion;
use tests::harness::{Client, Pair, SECRET, Setup, TestEnv, unix_now};
use tests::merchant;
use tests::runner::{run_lives, run_step};
use tests::scenario::Scenario;

/// The number of simulated customers after the scenario.
const LIVES: usize = 50;
/// The seed of their lives.
const SEED: u64 = 7;

/// Shows Tollbridge at work: signed events go through ingest, RabbitMQ and the worker into PostgreSQL.
/// `DATABASE_URL` and `AMQP_URL` name the servers.
#[derive(Debug, Parser)]
struct Arguments {
    /// Start ingest and worker with the database of `DATABASE_URL`, and leave them running
    #[arg(long)]
    up: bool,
    /// Post the events in these files to a running ingest, signed as by Stripe
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with = "up")]
    post: Vec<PathBuf>,
    /// The address of that ingest
    #[arg(long, value_name = "ADDRESS", default_value = up::INGEST_ADDR)]
    to: SocketAddr,
    /// The version of Stripe's API that writes the events
    #[arg(long, value_name = "VERSION", default_value = ApiVersion::Y2026.name(), value_parser = version)]
    api_version: ApiVersion,
}

fn version(name: &str) -> Result<ApiVersion, String> {
    let known = ApiVersion::ALL.into_iter();
    let mut found = known.filter(|version| version.name() == name || version.date() == name);
    found
        .next()
        .ok_or_else(|| format!("one of {}", ApiVersion::ALL.map(ApiVersion::name).join(", ")))
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = tokio::select! {
        done = run(&arguments) => done,
        // A normal return ends the started processes; death by the signal would not.
        _ = tokio::signal::ctrl_c() => Err(anyhow!("interrupted")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("\nFAILED: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<()> {
    if arguments.up {
        up::up(arguments.api_version).await
    } else if arguments.post.is_empty() {
        demonstrate(arguments.api_version).await
    } else {
        post(arguments).await
    }
}

/// Runs the scenario on a new database, and prints each step and its result.
async fn demonstrate(version: ApiVersion) -> Result<()> {
    let start = Instant::now();
    let env = TestEnv::new("demo").await?;
    let pair = Pair::start(&env, Setup::default()).await?;
    show::introduction();
    show::addresses(&env, &pair, version, start.elapsed());

    let scenario = Scenario::new(version, env.namespace(), unix_now());
    let mut visible = Vec::new();
    for (number, step) in (1..).zip(&scenario.steps) {
        let result = run_step(&pair, env.pool(), step).await;
        let result = result.with_context(|| format!("step {number} (logs: {})", env.logs().display()))?;
        show::step(number, step, &result);
        visible.push(result.visible);
    }

    let lives = merchant::lives(SEED, LIVES, unix_now());
    let result = run_lives(&pair, env.pool(), &lives, SEED).await;
    let result = result.with_context(|| format!("the simulated customers (logs: {})", env.logs().display()))?;
    show::lives(scenario.steps.len() + 1, &lives, &result);
    credits::run(scenario.steps.len() + 2, &env, &pair, version).await?;

    show::dead_letters(&pair, &scenario).await?;
    show::times(&visible.concat().into());
    show::counters(&pair).await?;
    show::ending(&env, start.elapsed());
    Ok(())
}

/// Posts the events in files, such as those that `--up` wrote.
async fn post(arguments: &Arguments) -> Result<()> {
    let client = Client::new(arguments.to, SECRET);
    for file in &arguments.post {
        let body = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        let answer = client.post_signed(Bytes::from(body)).await?;
        println!("{} {} {}", file.display(), answer.status, answer.body);
        ensure!(answer.status.is_success(), "{} was refused", file.display());
    }
    Ok(())
}
