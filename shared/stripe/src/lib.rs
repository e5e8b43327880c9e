//! The client of Stripe's API. No other crate names async-stripe.
//!
//! Begin reading at [`Api`] (`client.rs`): it sends and repeats requests, `read.rs` and
//! `write.rs` make them. [`HANDLED`] lists the event types that Tollbridge handles.

mod budget;
mod client;
mod error;
mod form;
mod handled;
mod items;
mod limits;
pub mod metrics;
mod path;
mod read;
mod settings;
mod write;

pub use client::{Api, KeyMode};
pub use error::{ApiError, ErrorBody};
pub use form::Form;
pub use handled::{HANDLED, HandledType, handled_lists};
pub use items::{LineItem, LineItemPrice};
pub use limits::TIME_LIMIT;
pub use path::is_id;
pub use read::{ApiAnswer, version};
pub use settings::{STRIPE_ACCOUNT, STRIPE_API_BASE, STRIPE_REQUESTS_PER_SECOND, STRIPE_SECRET_KEY};
pub use write::OperationKey;
