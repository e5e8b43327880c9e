//! Computes the entitlement of a user from the facts of their accounts.
//!
//! Read the files in this order: [`order`] sorts facts, [`billed`] shows each
//! invoice as a whole, [`invoices`] says which changes were paid, [`state`] and [`grace`] hold the state of one subscription,
//! `transition` says how a fact changes it, `fold` folds all facts or only new
//! ones, [`account`] folds all subscriptions of a customer and links them to users
//! by [`link`], [`ranks`] compares tiers, [`entitlement`] gives the row of a user. [`drift`] compares a state
//! with Stripe's answer.

pub mod account;
pub mod billed;
mod chain;
pub mod drift;
pub mod entitlement;
mod fold;
pub mod grace;
pub mod invoices;
pub mod link;
pub mod order;
pub mod ranks;
mod returned;
pub mod state;
mod transition;
