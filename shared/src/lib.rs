//! What both processes must agree on, and nothing else: settings, the names and
//! arguments of the queues, the message that travels between them, a report of
//! use, the catalog, and how a process is observed, served and stopped.

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
