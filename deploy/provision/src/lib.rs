//! Makes Stripe agree with `deploy/catalog.toml`: what the catalog wants
//! ([`desired`]), what is there ([`actual`]), what must change ([`diff`], pure),
//! and doing it ([`apply`]). No state file: objects are found by their own keys.

pub mod actual;
pub mod apply;
pub mod cli;
pub mod clock;
pub mod desired;
pub mod diff;
#[cfg(test)]
mod diff_tests;
pub mod guard;
pub mod inspect;
pub mod kind;
pub mod note;
mod pages;
mod promotion;
pub mod refused;
mod retire;
pub mod secret;
pub mod show;
pub mod time;
pub mod value;
pub mod warn;
