//! The stand-in for Stripe's API does as Stripe does.

mod caller;
mod command_line;
mod refusals;
