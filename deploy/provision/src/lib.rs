//! Makes Stripe agree with `deploy/catalog.toml`.
//!
//! Begin reading at [`desired`] (the catalog as Stripe's objects), [`actual`] (Stripe's
//! objects, loaded) and [`diff`](diff::diff), a pure function that compares both and returns
//! a [`plan`]. Then [`apply`] writes the plan. There is no state file: each object is found
//! by its own key.

pub mod actual;
pub mod apply;
pub mod cli;
pub mod clock;
mod compare;
pub mod desired;
pub mod diff;
pub mod guard;
pub mod inspect;
pub mod kind;
pub mod notes;
mod offer;
mod pages;
pub mod plan;
#[cfg(test)]
mod plan_tests;
mod promotion;
mod refused;
mod retire;
pub mod secret;
pub mod show;
pub mod time;
pub mod value;
pub mod warnings;
