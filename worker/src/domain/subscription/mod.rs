//! Subscriptions: from the facts of an account to what its user may use.

pub mod account;
mod chain;
pub mod drift;
pub mod entitlement;
pub mod grace;
pub mod invoices;
pub mod link;
pub mod order;
pub mod state;
