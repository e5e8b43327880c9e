//! Runs ingest and worker (a pair) as real processes on real servers, with their own database and queues.
//!
//! A test makes a [`TestEnv`], starts a [`Pair`] in it, talks to it through a [`Client`],
//! and waits with [`eventually`]. When the test ends, everything that it started or created is removed.

mod balance;
mod browser;
mod client;
mod console;
mod entitlement;
mod env;
mod fault;
mod installed;
mod metrics;
mod pair;
mod poll;
mod ports;
mod process;
mod prometheus;
mod queues;
mod signature;

pub use balance::{Balance, Balances, every_balance_is_the_sum_of_its_ledger, report, report_key};
pub use browser::{Browser, Viewport};
pub use client::{Answer, Client};
pub use console::console_session;
pub use entitlement::{Entitlement, Recorded, recorded};
pub use env::{Servers, TestEnv};
pub use fault::OwnServers;
pub use installed::installed;
pub use metrics::Metrics;
pub use pair::{Pair, Setup};
pub use poll::{eventually, wait_for};
pub use ports::free_address;
pub use process::{Process, repository};
pub use prometheus::{Prometheus, Promtool};
pub use queues::{Queues, header};
pub use signature::{sign, unix_now};

/// The token for `POST /v1/usage` in all tests.
pub const USAGE_TOKEN: &str = "usage-tollbridge-tests-0123456789";
/// The token for the console in all tests.
pub const OPS_TOKEN: &str = "ops-tollbridge-tests-0123456789";
/// The webhook secret in all tests.
pub const SECRET: &str = "whsec_tollbridge_tests_0123456789";
