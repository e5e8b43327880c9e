//! What a delivery means: pure functions from bytes to facts.
//!
//! [`prepared`] reads any delivery by its source; [`stripe`] reads Stripe's
//! JSON, [`usage`] a report of usage.

pub mod customer;
pub mod meaning;
pub mod prepared;
pub mod stripe;
pub mod usage;
