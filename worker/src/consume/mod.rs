//! Follows a delivery from RabbitMQ's queue to its acknowledgement.
//!
//! Begin reading at [`consumer`]: it opens the connection and starts the tasks. `deal`
//! gives each delivery to the lane of its account or user. A `lane` gathers a batch (`batch`),
//! asks Stripe for missing line items (`lookup`), applies the batch (`attempt`),
//! publishes messages for the retry and dead-letter queues (`settle`), and acknowledges
//! the deliveries (`acks`). `report` logs and counts the result.

pub(crate) mod acks;
mod attempt;
mod batch;
pub mod consumer;
pub(crate) mod context;
mod database;
mod deal;
mod delivery;
mod lane;
mod lookup;
mod report;
pub mod settle;
mod traced;
pub mod tuning;
pub mod watchdog;
