//! `provision test-clock …`: its arguments and its output.

use super::progress::eprint_line;
use crate::{
    clock::{self, ClockSpec, events},
    guard,
    time::{duration, rfc3339},
};
use clap::{Args, Subcommand};
use shared::moment::moment;
use shared::settings::Settings;
use std::{
    io::{Write, stdout},
    process::ExitCode,
    time::Duration,
};
use stripe_api::KeyMode;
use time::OffsetDateTime;

/// Longest time that an advance may take.
const ADVANCE_TIME_MAX: Duration = Duration::from_mins(15);

#[derive(Debug, Subcommand)]
pub(super) enum TestClock {
    /// Create a clock, a customer with a card on it, and a subscription
    Create {
        /// The price, by its lookup key
        #[arg(long, value_name = "LOOKUP_KEY")]
        price: String,
        /// The application's user id; it goes into the metadata of customer and subscription
        #[arg(long, value_name = "ID")]
        user: String,
        /// The clock's first time: RFC 3339, or seconds since 1970 [default: now]
        #[arg(long, value_name = "TIME", value_parser = moment)]
        at: Option<i64>,
        /// Days of trial
        #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=730))]
        trial_days: u32,
        #[command(flatten)]
        mode: TestModeArgs,
    },
    /// Advance a clock, and wait until Stripe has done everything that is due by then
    Advance {
        /// The id of the clock, clock_…
        clock: String,
        /// Advance by this duration, such as 32d, 12h or 90m
        #[arg(long, value_name = "DURATION", value_parser = duration, conflicts_with = "to", required_unless_present = "to")]
        by: Option<i64>,
        /// Advance to this time: RFC 3339, or seconds since 1970
        #[arg(long, value_name = "TIME", value_parser = moment)]
        to: Option<i64>,
        #[command(flatten)]
        mode: TestModeArgs,
    },
    /// List the events of a clock's customers; Stripe's command line does not forward them
    #[command(
        after_help = "With --publish the events go to the work queue of AMQP_URL and QUEUE_NAMESPACE, each with a confirm.\nThe worker ignores an event that it already knows. The listed times are real; only billing periods follow the clock."
    )]
    Events {
        /// The id of the clock, clock_…
        clock: String,
        /// Publish the events to the work queue, oldest first
        #[arg(long)]
        publish: bool,
        #[command(flatten)]
        mode: TestModeArgs,
    },
    /// Delete a clock, its customers and their subscriptions
    Delete {
        /// The id of the clock, clock_…
        clock: String,
        #[command(flatten)]
        mode: TestModeArgs,
    },
}

/// `--test` is optional here: test clocks exist only in test mode.
#[derive(Debug, Args)]
pub(super) struct TestModeArgs {
    /// Require a key of test mode, which these commands always do
    #[arg(long)]
    test: bool,
}

pub(super) async fn execute(command: TestClock, settings: &Settings) -> anyhow::Result<ExitCode> {
    let api = guard::test_client(settings)?;
    let account = guard::account(&api, KeyMode::Test).await?;
    eprint_line(&account.to_string());
    let mut out = stdout();
    match command {
        TestClock::Create {
            price,
            user,
            at,
            trial_days,
            ..
        } => {
            let wanted = ClockSpec {
                at: at.unwrap_or_else(|| OffsetDateTime::now_utc().unix_timestamp()),
                lookup_key: &price,
                user: &user,
                trial_days,
            };
            let made = clock::create(&api, &wanted).await?;
            writeln!(out, "clock {}", made.clock)?;
            writeln!(out, "customer {}", made.customer)?;
            writeln!(out, "subscription {}", made.subscription)?;
        }
        TestClock::Advance { clock, by, to, .. } => {
            let to = match (to, by) {
                (Some(to), _) => to,
                (None, by) => clock::state(&api, &clock).await?.at.saturating_add(by.unwrap_or(0)),
            };
            let progress =
                |since: Duration| eprint_line(&format!("advancing to {}, {} s so far", rfc3339(to), since.as_secs()));
            let now = clock::advance(&api, &clock, to, ADVANCE_TIME_MAX, progress).await?;
            writeln!(out, "{clock} is at {}", rfc3339(now.at))?;
        }
        TestClock::Events { clock, publish, .. } => {
            let found = events::fetch(&api, &clock).await?;
            for event in &found {
                writeln!(out, "{}  {}  {}", rfc3339(event.created), event.id, event.kind)?;
            }
            if publish {
                events::publish(settings, &found).await?;
                writeln!(out, "{} events are on the work queue.", found.len())?;
            }
        }
        TestClock::Delete { clock, .. } => {
            clock::delete(&api, &clock).await?;
            writeln!(out, "deleted {clock}, its customers and their subscriptions")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
