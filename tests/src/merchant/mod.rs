//! A simulated merchant. From a seed it makes whole customer lives as Stripe events, and it computes the
//! expected rows independently of the worker.
//!
//! The [`ExpectedState`] follows from the billing rules alone and reads no event. A [`Script`] enters each
//! act with its meaning (credited, unpaid, scheduled); the worker must find that meaning in events of any
//! order. [`life`] makes a random script; a test may write one by hand.
//!
//! A random life avoids what the billing rules leave open: the header of `random_acts.rs` lists it, and
//! [`ExpectedState::is_decided`] finds subscriptions that compete without a rule. A script written by hand
//! has no such limits.

mod acts;
pub mod books;
mod checkout;
mod downgrade;
mod ending;
mod expected_state;
mod life;
mod life_generator;
mod noise;
mod order;
mod random_acts;
mod renewal;
mod script;
mod scripted_subscription;
#[cfg(test)]
mod scripted_tests;
#[cfg(test)]
mod tests;
mod tier;
mod upgrade;

pub use acts::ACTS;
pub use downgrade::{BurstStep, DowngradeCredit};
pub use expected_state::{ExpectedGrace, ExpectedState, ExpectedSubscription};
pub use life::{Checkpoint, Life};
pub use order::{CheckoutOrder, FirstPeriod, UserLink};
pub use renewal::RenewalPayment;
pub use script::Script;
pub use tier::PaidTier;
pub use upgrade::{FailedPayment, PaymentFailure, StatusAfterFailure, UpgradePayment};

use crate::fixtures::Event;
use crate::random::SeededRandom;
use life_generator::LifeGenerator;

/// The life `number` of `seed`, seen at `now` (Unix time). The same arguments make the same bytes.
#[must_use]
pub fn life(seed: u64, number: usize, now: i64) -> Life {
    LifeGenerator::new(seed, number, now).generate()
}

/// The first `count` lives of `seed` in which no grace ends within an hour after `now`, since a test may
/// take that long.
#[must_use]
pub fn lives(seed: u64, count: usize, now: i64) -> Vec<Life> {
    let all = (0..).map(|number| life(seed, number, now));
    all.filter(|life| life.is_stable_until(now + 3_600))
        .take(count)
        .collect()
}

/// All events of `lives` in random order, and `duplicate_percent` of them twice.
#[must_use]
pub fn delivered(lives: &[Life], seed: u64, duplicate_percent: u32) -> Vec<Event> {
    let mut random = SeededRandom::new(seed, lives.len());
    let mut delivered = Vec::new();
    for event in lives.iter().flat_map(|life| &life.events) {
        delivered.push(event.clone());
        if random.chance(duplicate_percent.into()) {
            delivered.push(event.clone());
        }
    }
    random.shuffle(&mut delivered);
    delivered
}
