//! Code that several programs share.
//!
//! Begin reading at [`message`], the message that ingest publishes and a worker
//! consumes, and [`topology`], the queues that it passes. [`publisher`] and [`broker`]
//! are the connections to RabbitMQ. [`usage`] is a usage report, [`catalog`] the tiers,
//! prices and packs for sale. The rest is what every process needs: settings, logs,
//! metrics, traces, listeners and shutdown.

pub mod broker;
pub mod catalog;
pub mod http;
pub mod message;
pub mod metrics;
pub mod moment;
pub mod ops;
pub mod publisher;
pub mod reconnect;
pub mod settings;
pub mod shutdown;
pub mod telemetry;
pub mod terminal;
pub mod token;
pub mod topology;
pub mod trace;
pub mod usage;
pub mod work_queue;
