//! Reads a message: pure functions from bytes to facts.
//!
//! Begin reading at [`message`]: the source of a message decides how it is read. [`stripe`]
//! reads Stripe's events, [`usage`] reads usage reports. [`meaning`] has the results:
//! a fact, usage, a fact that needs a look-up, or nothing to apply. A message that must
//! become a dead letter gives a [refusal](crate::failure::Refusal).

pub mod customer;
pub mod meaning;
pub mod message;
pub mod stripe;
pub mod usage;
