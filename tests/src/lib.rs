//! Shared by the tests, the demo and the benchmark. Nothing here imitates `ingest` or `worker`.
//!
//! Begin reading at [`harness`], then at a test such as `tests/tests/pair/story.rs`.
//!
//! - [`harness`]: real processes on real servers.
//! - [`fixtures`]: makers of Stripe events.
//! - [`scenario`]: the demo's step-by-step scenario of one user; [`runner`] runs it.
//! - [`merchant`]: random customer lives with their expected rows; [`compare`] compares the tables with
//!   them.
//! - [`crowd`]: many customers, and senders that resend like Stripe.
//! - [`stripe`]: a stand-in for Stripe's API; [`stripe_state`] fills it from events.
//! - [`test_catalog`]: a catalog that a test can change.
//! - [`figures`]: measured times and tables. [`random`]: random numbers from a seed.

pub mod compare;
pub mod crowd;
pub mod figures;
pub mod fixtures;
pub mod harness;
pub mod merchant;
pub mod random;
pub mod runner;
pub mod scenario;
pub mod stripe;
pub mod stripe_state;
pub mod test_catalog;
