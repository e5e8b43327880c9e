//! The billing rules, as total functions of values. **Nothing here does IO, reads
//! a clock, is async, or knows a database or Stripe's JSON.** Time is an argument
//! or the time of an event.
//!
//! Begin with [`fact`], the content of events. [`subscription`] folds facts into
//! states and entitlements, [`balance`] into balances, and [`explain`] writes both
//! as text.

pub mod balance;
pub mod explain;
pub mod fact;
pub mod ids;
pub mod moment;
mod returned_money;
pub mod subscription;

#[cfg(test)]
mod testkit;
