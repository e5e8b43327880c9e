//! Consumes Stripe's events and usage reports from RabbitMQ. Keeps in PostgreSQL what each
//! user may use: the entitlement and the balances.
//!
//! Begin reading at [`consume`]: it takes a delivery from the queue, and follows it to its
//! acknowledgement. [`read`] turns its bytes into a fact, [`apply`] writes the fact in one
//! transaction, [`domain`] decides what it changes, [`store`] has the SQL. [`cli`] has the
//! commands. `ARCHITECTURE.md` has the map.

pub mod apply;
pub mod audit;
pub mod cli;
pub mod config;
mod console;
pub mod consume;
pub mod dead_letters;
pub mod domain;
pub mod explain;
pub mod failure;
pub mod metrics;
mod plural;
pub mod read;
mod recent;
pub mod recovery;
pub mod run;
pub mod store;
pub mod watch;
