//! The way of a delivery: from RabbitMQ's queue to its acknowledgement.
//!
//! [`consumer`] opens the connection and starts the tasks. `deal` gives each
//! delivery to the lane of its customer; a `lane` gathers a batch, looks up what
//! only Stripe knows, applies it (`attempt`), publishes what belongs on another
//! queue (`settle`) and acknowledges (`acks`).

pub(crate) mod acks;
mod attempt;
mod batch;
pub mod consumer;
pub(crate) mod context;
pub mod database;
mod deal;
mod delivery;
mod lane;
mod lookup;
mod report;
pub mod settle;
mod traced;
pub mod tuning;
pub mod watchdog;
