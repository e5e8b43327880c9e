//! Consumes Stripe's events from RabbitMQ and keeps in PostgreSQL what each
//! customer may use. `ARCHITECTURE.md` has the map.

pub mod apply;
pub mod audit;
pub mod balances;
pub mod batch;
pub mod cli;
pub mod config;
mod console;
pub mod consumer;
pub mod database;
pub mod dead_letters;
mod deal;
pub mod domain;
pub mod explain;
pub mod failure;
pub mod fold;
pub mod lane;
mod lookup;
pub mod metrics;
pub mod outlet;
pub mod packs;
pub mod process;
mod recent;
pub mod recovery;
mod report;
pub mod run;
pub mod settle;
pub mod store;
pub mod stripe;
pub mod terminal;
mod traced;
pub mod tuning;
pub mod usage;
pub mod watch;
pub mod watchdog;
