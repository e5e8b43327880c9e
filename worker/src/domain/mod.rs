//! Billing decisions: total functions of values. **Nothing here knows IO, a
//! clock, a database or Stripe's JSON**; time is an argument, or the time of an
//! event.

pub mod account;
pub mod books;
pub mod closing;
pub mod drift;
pub mod entitlement;
pub mod explain;
pub mod fact;
pub mod grace;
pub mod grants;
pub mod ids;
pub mod ledger;
pub mod link;
pub mod order;
pub mod purse;
pub mod replay;
pub mod subscription;
pub mod terms;
pub mod trail;
pub mod usage;
pub mod wallet;

#[cfg(test)]
mod testkit;
