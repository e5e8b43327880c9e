//! Stripe's API: the stand-in for it, and what asks it: provision, recovery and line items.

mod line_items;
mod local_stripe;
mod managed_payments;
mod provision;
mod recovery;
mod stand_in;
