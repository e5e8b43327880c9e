//! `provision test-clock …`: the arguments, and what is printed.

use super::{eprint_line, test_account};
use crate::{
    clock::{self, Wanted, events},
    time::{length, rfc3339},
};
use clap::{Args, Subcommand};
use shared::moment::moment;
use shared::settings::Settings;
use std::{
    io::{Write, stdout},
    process::ExitCode,
    time::Duration,
};
use time::OffsetDateTime;

/// How long an advance may take.
const ADVANCE_MOST: Duration = Duration::from_mins(15);

#[derive(Debug, Subcommand)]
pub(super) enum TestClock {
    /// Make a clock, a customer with a card on it, and a subscription
    Create {
        /// The price, by its lookup key
        #[arg(long, value_name = "LOOKUP_KEY")]
        price: String,
        /// The application's id of the user, in the metadata of both
        #[arg(long, value_name = "ID")]
        user: String,
        /// Where the clock begins: RFC 3339, or seconds since 1970 [default: now]
        #[arg(long, value_name = "TIME", value_parser = moment)]
        at: Option<i64>,
        /// Days of trial
        #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=730))]
        trial_days: u32,
        #[command(flatten)]
        mode: TestMode,
    },
    /// Move a clock on, and wait until Stripe has done what falls due until then
    Advance {
        /// Its id, clock_…
        clock: String,
        /// By so much, such as 32d, 12h or 90m
        #[arg(long, value_name = "LENGTH", value_parser = length, conflicts_with = "to", required_unless_present = "to")]
        by: Option<i64>,
        /// To this time: RFC 3339, or seconds since 1970
        #[arg(long, value_name = "TIME", value_parser = moment)]
        to: Option<i64>,
        #[command(flatten)]
        mode: TestMode,
    },
    /// List the events of a clock's customers, which Stripe's command line does not forward
    #[command(
        after_help = "With --publish they go to the work queue of AMQP_URL and QUEUE_NAMESPACE, each confirmed; what was\nthere before has no effect again. `created` is the real time, periods are the clock's."
    )]
    Events {
        /// Its id, clock_…
        clock: String,
        /// Put them on the work queue, oldest first
        #[arg(long)]
        publish: bool,
        #[command(flatten)]
        mode: TestMode,
    },
    /// Delete a clock, its customers and their subscriptions
    Delete {
        /// Its id, clock_…
        clock: String,
        #[command(flatten)]
        mode: TestMode,
    },
}

/// Clocks are in test mode; who likes to may say so.
#[derive(Debug, Args)]
pub(super) struct TestMode {
    /// The key must be one of test mode, which is always so here
    #[arg(long)]
    test: bool,
}

pub(super) async fn execute(command: TestClock, settings: &Settings) -> anyhow::Result<ExitCode> {
    let (api, account) = test_account(settings).await?;
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
            let wanted = Wanted {
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
                (None, by) => clock::standing(&api, &clock).await?.at.saturating_add(by.unwrap_or(0)),
            };
            let tell =
                |since: Duration| eprint_line(&format!("advancing to {}, {} s so far", rfc3339(to), since.as_secs()));
            let now = clock::advance(&api, &clock, to, ADVANCE_MOST, tell).await?;
            writeln!(out, "{clock} stands at {}", rfc3339(now.at))?;
        }
        TestClock::Events { clock, publish, .. } => {
            let found = events::fetch(&api, &clock).await?;
            for event in &found {
                writeln!(out, "{}  {}  {}", rfc3339(event.created), event.id, event.kind)?;
            }
            if publish {
                events::publish(settings, &found).await?;
                writeln!(out, "{} on the work queue, confirmed.", found.len())?;
            }
        }
        TestClock::Delete { clock, .. } => {
            clock::delete(&api, &clock).await?;
            writeln!(out, "{clock} is deleted, with its customers and their subscriptions")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
