//! Dead letters, for operators. Commands that only look read the record in
//! PostgreSQL and touch no queue. Only replay and discard move messages. Each puts
//! its intent on record first. A worker [removes](sweep) what is left of resolved ones.

pub mod discard;
pub mod error;
pub mod list;
mod lock;
mod queue;
pub mod redact;
pub mod rehearse;
pub mod replay;
pub mod selection;
pub mod show;
pub mod sweep;
pub mod tools;
mod words;
