//! `make demo`: the whole system on one machine, in a story that a person can follow.
//! `make up` leaves it running.
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
use tests::stage::{play, play_lives};
use tests::story::Story;

/// How many simulated customers follow the story's.
const LIVES: usize = 50;
/// What their lives are made from.
const SEED: u64 = 7;

/// Shows Tollbridge at work: a signed story goes through ingest, RabbitMQ and worker into
/// PostgreSQL. The environment names the servers.
#[derive(Debug, Parser)]
struct Arguments {
    /// Start the pair and leave it running, in the given database
    #[arg(long)]
    up: bool,
    /// Post these files to a running pair, each signed as Stripe signs
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with = "up")]
    post: Vec<PathBuf>,
    /// Where the pair to post to listens
    #[arg(long, value_name = "ADDRESS", default_value = up::INGEST_ADDR)]
    to: SocketAddr,
    /// The shape of the story's events
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
        // Returning cleans up what was started; dying of the signal would not.
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
        tell(arguments.api_version).await
    } else {
        post(arguments).await
    }
}

/// Plays the story on a fresh database, and shows what it led to.
async fn tell(version: ApiVersion) -> Result<()> {
    let start = Instant::now();
    let env = TestEnv::new("demo").await?;
    let pair = Pair::start(&env, Setup::default()).await?;
    show::beginning(&env, &pair, version, start.elapsed());

    let story = Story::new(version, env.namespace(), unix_now());
    let mut visible = Vec::new();
    for (number, step) in (1..).zip(&story.steps) {
        let played = play(&pair, env.pool(), step).await;
        let played = played.with_context(|| format!("step {number} (logs: {})", env.logs().display()))?;
        show::step(number, step, &played);
        visible.push(played.visible);
    }

    let lives = merchant::lives(SEED, LIVES, unix_now());
    let played = play_lives(&pair, env.pool(), &lives, SEED).await;
    let played = played.with_context(|| format!("the lives (logs: {})", env.logs().display()))?;
    show::lives(story.steps.len() + 1, &lives, &played);
    credits::act(story.steps.len() + 2, &env, &pair, version).await?;

    show::dead_letters(&pair, &story).await?;
    show::times(&visible.concat().into());
    show::metrics(&pair).await?;
    show::ending(&env, start.elapsed());
    Ok(())
}

/// Posts files, such as those that `--up` wrote.
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
