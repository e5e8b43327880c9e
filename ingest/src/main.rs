//! `ingest`: the process. Reads its settings, binds its listeners, serves.

use anyhow::Context;
use clap::Parser;
use ingest::config::{self, Config};
use shared::{
    http,
    settings::{SettingError, Settings},
    shutdown, telemetry, trace,
};
use std::{io::Write, process::ExitCode};

/// Takes Stripe's webhooks, and applications' reports of use: verifies each,
/// publishes it to RabbitMQ with confirm, and only then accepts it.
#[derive(Debug, Parser)]
#[command(name = "ingest", version, about, after_help = config::HELP)]
struct Cli {}

#[tokio::main]
async fn main() -> ExitCode {
    Cli::parse();
    let Err(error) = start().await else {
        return ExitCode::SUCCESS;
    };
    // Where standard error is closed there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "ingest: {error:#}");
    ExitCode::from(if error.is::<SettingError>() { 2 } else { 1 })
}

async fn start() -> anyhow::Result<()> {
    let settings = Settings::from_process();
    telemetry::init(&settings)?;
    trace::init(&settings, "tollbridge-ingest")?;
    let config = Config::from_settings(&settings)?;
    let stop = shutdown::on_signal().context("cannot listen for signals")?;
    let public = http::bind("INGEST_ADDR", &config.ingest_addr).await?;
    let private = http::bind("OPS_ADDR", &config.ops_addr).await?;
    let ended = ingest::run(config, public, private, stop).await;
    trace::end().await;
    ended?;
    tracing::info!("drained; done");
    Ok(())
}
