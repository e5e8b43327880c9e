//! The `ingest` program: reads its settings, opens its listeners, and serves.

use anyhow::Context;
use clap::Parser;
use ingest::config::{self, Config};
use shared::{
    http,
    settings::{SettingError, Settings},
    shutdown, telemetry, trace,
};
use std::{io::Write, process::ExitCode};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Takes Stripe's webhooks and applications' usage reports: verifies each,
/// publishes it to RabbitMQ, and accepts it once the broker has confirmed it.
#[derive(Debug, Parser)]
#[command(name = "ingest", version, about, after_help = config::PROGRAM.help())]
struct Cli {}

#[tokio::main]
async fn main() -> ExitCode {
    Cli::parse();
    let Err(error) = start().await else {
        return ExitCode::SUCCESS;
    };
    // If standard error is closed, nothing more can be done.
    let _ = writeln!(std::io::stderr(), "ingest: {error:#}");
    ExitCode::from(if error.is::<SettingError>() { 2 } else { 1 })
}

async fn start() -> anyhow::Result<()> {
    let settings = Settings::of(&config::PROGRAM);
    telemetry::init(&settings)?;
    trace::init(&settings, "tollbridge-ingest")?;
    let config = Config::from_settings(&settings)?;
    let stop = shutdown::on_signal().context("cannot listen for signals")?;
    let public = http::bind(&config::INGEST_ADDR, &config.ingest_addr).await?;
    let private = http::bind(&config::OPS_ADDR, &config.ops_addr).await?;
    let ended = ingest::run(config, public, private, stop).await;
    trace::end().await;
    ended?;
    tracing::info!("drained; done");
    Ok(())
}
