//! Billing decisions: total functions of values. **Nothing here knows IO, a
//! clock, a database or Stripe's JSON**; time is an argument, or the time of an
//! event.
//!
//! [`fact`] holds what events tell. [`subscription`] folds facts into states and
//! entitlements, [`balance`] into balances; [`explain`] puts both into words.

pub mod balance;
pub mod explain;
pub mod fact;
pub mod ids;
pub mod subscription;

#[cfg(test)]
mod testkit;
