//! Stripe's own command line, against the stand-in.

use super::Stripe;
use super::spec::fetch;
use crate::harness::repository;
use anyhow::{Result, ensure};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

const TIME_LIMIT: Duration = Duration::from_mins(1);

/// What `stripe ARGUMENTS` prints of the account behind `key`, with all settings of whoever runs
/// the test left alone. The command line is fetched if it is not there.
///
/// # Errors
/// When it cannot be had, or fails.
pub async fn cli(stripe: &Stripe, key: &str, arguments: &[&str]) -> Result<String> {
    let binary = tokio::task::spawn_blocking(|| fetch("stripe_cli.py")).await??;
    let home = repository().join("target/stripe/home");
    std::fs::create_dir_all(&home)?;
    let mut command = Command::new(binary);
    command
        .args(arguments)
        .args(["--api-base", stripe.base(), "--api-key", key, "--color", "off"])
        .env_clear()
        .env("HOME", &home)
        .env("STRIPE_CLI_TELEMETRY_OPTOUT", "1")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(TIME_LIMIT, command.output()).await??;
    let printed = String::from_utf8(output.stdout)?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "stripe {arguments:?}: {complaint}{printed}");
    Ok(printed)
}
