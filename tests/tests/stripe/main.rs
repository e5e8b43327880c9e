//! Stripe's API: the stand-in for it, and its callers `provision`, recovery and look-ups.

mod line_items;
mod local_stripe;
mod managed_payments;
mod provision;
mod recovery;
mod stand_in;
