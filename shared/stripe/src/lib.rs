//! The one client of Stripe's API. No other crate names async-stripe.
//!
//! [`Api`] reads and writes; [`HANDLED`] lists the event types that Tollbridge
//! handles. Begin reading at `client.rs`.

mod budget;
mod client;
mod error;
mod form;
mod handled;
mod limits;
mod line_items;
pub mod metrics;
mod path;
mod read;
mod settings;
mod write;

pub use client::{Api, KeyMode};
pub use error::{ApiError, ErrorBody};
pub use form::Form;
pub use handled::HANDLED;
pub use limits::TIME_LIMIT;
pub use line_items::{LineItem, Price};
pub use path::is_id;
pub use read::{Answer, version};
pub use settings::{STRIPE_API_BASE, STRIPE_REQUESTS_PER_SECOND, STRIPE_SECRET_KEY};
pub use write::OperationKey;
