//! Billing decisions: total functions of values. **Nothing here knows IO, a
//! clock, a database or Stripe's JSON**; time is an argument, or the time of an
//! event.

pub mod account;
pub mod books;
pub mod entitlement;
pub mod explain;
pub mod fact;
pub mod grace;
pub mod ids;
pub mod link;
pub mod order;
pub mod subscription;
pub mod trail;

#[cfg(test)]
mod testkit;
