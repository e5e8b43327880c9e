//! The stand-in for Stripe's API behaves as Stripe does.

mod caller;
mod catalog;
mod clocks;
mod command_line;
mod faults;
mod lists;
mod refusals;
