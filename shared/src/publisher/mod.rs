//! Publishes persistent messages, and reports success only after the broker has
//! routed, stored and confirmed them, within a time limit.
//!
//! [`Publisher`] is the handle. Behind it, one task serves the connection (`session`).

mod channels;
mod error;
mod publish;
mod session;
mod slots;

pub use error::PublishError;
pub use publish::Publisher;
