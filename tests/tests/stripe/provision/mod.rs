//! `provision`, the real binary, against the stand-in for Stripe's API.

mod clocks;
mod converge;
mod cut_off;
mod drift;
mod guard;
mod operator;
mod replace;
mod secret;
