//! A simulated merchant. From a seed it makes whole customer lives as Stripe events, and it computes the
//! expected rows independently of the worker.
//!
//! The expected rows are those of the [`books`], which follow from the billing rules alone and read no event. A
//! [`Script`] enters each act with its meaning (credited, unpaid, scheduled); the worker must find that meaning
//! in events of any order. [`life`] makes a random script; a test may write one by hand.
//!
//! A random life avoids what the billing rules leave open: the header of `random_acts.rs` lists it, and
//! [`books::Books::is_decided`] finds subscriptions that compete without a rule. A script written by hand
//! has no such limits.

mod acts;
pub mod books;
mod checkout;
mod downgrade;
mod ending;
mod items;
#[cfg(test)]
mod kind_tests;
mod kinds;
mod life;
mod life_generator;
mod money;
mod noise;
mod order;
mod packs;
mod payment_failure;
mod random_acts;
mod random_kinds;
mod random_order;
mod random_usage;
mod renewal;
mod script;
mod scripted_pack;
mod scripted_subscription;
#[cfg(test)]
mod scripted_tests;
mod strangers;
#[cfg(test)]
mod tests;
mod tier;
mod upgrade;

pub use acts::{ACTS, ACTS_OF_KINDS};
pub use downgrade::{BurstStep, DowngradeCredit};
pub use kinds::{Kind, Kinds};
pub use life::{Checkpoint, Life};
pub use money::InvoiceReturn;
pub use order::{CheckoutOrder, FirstPeriod, UserLink};
pub use packs::PackNaming;
pub use payment_failure::PaymentFailure;
pub use renewal::RenewalPayment;
pub use script::Script;
pub use tier::PaidTier;
pub use upgrade::{FailedPayment, StatusAfterFailure, UpgradePayment};

use crate::fixtures::Event;
use crate::random::SeededRandom;
use life_generator::LifeGenerator;

/// The life `number` of `seed`, seen at `now` (Unix time). The same arguments make the same bytes.
#[must_use]
pub fn life(seed: u64, number: usize, now: i64) -> Life {
    life_of(&Kinds::none(), seed, number, now)
}

/// As [`life`], with acts of some of `kinds` beside those that every life has.
#[must_use]
pub fn life_of(kinds: &Kinds, seed: u64, number: usize, now: i64) -> Life {
    LifeGenerator::new(kinds, seed, number, now).generate()
}

/// The first `count` lives of `seed` in which no grace ends within an hour after `now`, since a test may
/// take that long.
#[must_use]
pub fn lives(seed: u64, count: usize, now: i64) -> Vec<Life> {
    lives_of(&Kinds::none(), seed, count, now)
}

/// As [`lives`], with acts of some of `kinds` in each.
#[must_use]
pub fn lives_of(kinds: &Kinds, seed: u64, count: usize, now: i64) -> Vec<Life> {
    let all = (0..).map(|number| life_of(kinds, seed, number, now));
    all.filter(|life| life.is_stable_until(now + 3_600))
        .take(count)
        .collect()
}

/// Lives with usage in which the catalog changes once: Basic has 6 million tokens from then on, and Plus 8. What
/// happened before and after is told by [`Life::list_ends`].
#[must_use]
pub fn lives_under_two_catalogs(seed: u64, count: usize, now: i64) -> Vec<Life> {
    let kinds = Kinds::usage();
    let all = (0..).map(|number| {
        LifeGenerator::new(&kinds, seed, number, now)
            .under_two_catalogs()
            .generate()
    });
    all.filter(|life| life.is_stable_until(now + 3_600))
        .take(count)
        .collect()
}

/// All events of `lives` in random order, and `duplicate_percent` of them twice.
#[must_use]
pub fn delivered(lives: &[Life], seed: u64, duplicate_percent: u32) -> Vec<Event> {
    let events: Vec<Event> = lives.iter().flat_map(|life| life.events.clone()).collect();
    let mut random = SeededRandom::new(seed, lives.len());
    mixed(&events, &mut random, duplicate_percent)
}

/// `events` in random order, and `duplicate_percent` of them twice.
#[must_use]
pub fn shuffled(events: &[Event], seed: u64, duplicate_percent: u32) -> Vec<Event> {
    mixed(events, &mut SeededRandom::new(seed, events.len()), duplicate_percent)
}

fn mixed(events: &[Event], random: &mut SeededRandom, duplicate_percent: u32) -> Vec<Event> {
    let mut delivered = Vec::new();
    for event in events {
        delivered.push(event.clone());
        if random.chance(duplicate_percent.into()) {
            delivered.push(event.clone());
        }
    }
    random.shuffle(&mut delivered);
    delivered
}
