//! The path of an event: from a signed webhook or a usage report to the rows that applications read.

mod abuse;
mod concurrency;
mod configuration;
mod credits;
mod credits_law;
mod delivery;
mod examples;
mod harness;
mod kinds;
mod lifecycle;
mod merchant;
mod orders;
mod pool;
mod story;
mod traces;
mod usage;
mod usage_http;
mod work;
