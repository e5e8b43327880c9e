//! Runs Stripe's own command line against the stand-in.

use super::Stripe;
use crate::harness::{installed, repository};
use anyhow::{Result, ensure};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

const TIME_LIMIT: Duration = Duration::from_mins(1);

/// The output of `stripe ARGUMENTS` for the account of `key`. The command does not use the user's own
/// settings of it.
///
/// # Errors
/// When the command line is not installed, or fails.
pub async fn cli(stripe: &Stripe, key: &str, arguments: &[&str]) -> Result<String> {
    let [binary] = installed("stripe-cli")?;
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
