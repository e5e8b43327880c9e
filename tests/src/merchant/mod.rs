//! A simulated merchant: from a seed it makes whole customer lives as Stripe events, and it knows
//! the right answer by its own book-keeping.
//!
//! The [`Books`] are written from the billing rules alone, apart from the worker, and see no
//! event: a [`Script`] enters each act as what it is (credited, unpaid, scheduled), while a worker
//! must find that out from events in any order. [`life`] plays a script by chance; a test may play
//! one by hand.
//!
//! What the rules leave open is not played: the head of `menu.rs` lists it, and
//! [`Books::is_decided`] finds where two subscriptions compete and the rules do not say which counts.
//! A script by hand is not held back.

mod acts;
mod books;
mod checkout;
mod dice;
mod downgrade;
mod ending;
mod menu;
mod noise;
mod player;
mod renewal;
mod script;
#[cfg(test)]
mod scripted_tests;
#[cfg(test)]
mod tests;
mod tier;
mod upgrade;

pub use acts::ACTS;
pub use books::{Books, Claim, Statement};
pub use checkout::{Link, Order, Terms};
pub use downgrade::{Credit, Step};
pub use renewal::Renewal;
pub use script::Script;
pub use tier::Tier;
pub use upgrade::{Aftermath, Failed, Failure, Payment};

use crate::fixtures::{ApiVersion, Event};
use crate::harness::Entitlement;
pub(crate) use dice::Dice;
use player::Player;
use std::collections::BTreeSet;

/// What one user did, as Stripe tells it, and what the user must have of it.
#[derive(Clone, Debug)]
pub struct Life {
    /// Whose life it is.
    pub user_id: String,
    /// The shapes of its events.
    pub version: ApiVersion,
    /// In the order in which they happened, twins included; `created` never falls.
    pub events: Vec<Event>,
    /// The ids of those that must be recorded as `ignored`; all others must be `applied`.
    pub ignored: BTreeSet<String>,
    /// The row of `billing.entitlements` when all events are applied; `None`: there is no row.
    pub entitlement: Option<Entitlement>,
    /// The row after each act.
    pub checkpoints: Vec<Checkpoint>,
    /// The kinds of acts in it, of [`ACTS`].
    pub acts: BTreeSet<&'static str>,
    /// What happened, a line for each of `checkpoints`.
    pub log: Vec<String>,
}

/// What the user must have when only the first events are applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// How many events that are.
    pub events: usize,
    /// The row, as of the life's `now`, not of the time of the last event.
    pub entitlement: Option<Entitlement>,
}

impl Life {
    /// The life for people to read, for the message of a failing test.
    #[must_use]
    pub fn story(&self) -> String {
        format!("{} ({})\n  {}", self.user_id, self.version, self.log.join("\n  "))
    }

    /// Whether its rows stay as they are until `then` (Unix time) if nothing happens.
    fn lasts_until(&self, then: i64) -> bool {
        let rows = self
            .checkpoints
            .iter()
            .filter_map(|checkpoint| checkpoint.entitlement.as_ref());
        rows.filter_map(|row| row.grace_until).all(|end| end > then)
    }
}

/// The life `number` of `seed`, seen at `now` (Unix time): the same three make the same bytes.
#[must_use]
pub fn life(seed: u64, number: usize, now: i64) -> Life {
    Player::new(seed, number, now).play()
}

/// The first `count` lives of `seed` whose rows no grace's end changes for an hour after `now`: a
/// test may take so long.
#[must_use]
pub fn lives(seed: u64, count: usize, now: i64) -> Vec<Life> {
    let all = (0..).map(|number| life(seed, number, now));
    all.filter(|life| life.lasts_until(now + 3_600)).take(count).collect()
}

/// All events of `lives` in disorder, and so many of a hundred once more.
#[must_use]
pub fn delivered(lives: &[Life], seed: u64, duplicate_percent: u32) -> Vec<Event> {
    let mut dice = Dice::new(seed, lives.len());
    let mut delivered = Vec::new();
    for event in lives.iter().flat_map(|life| &life.events) {
        delivered.push(event.clone());
        if dice.chance(duplicate_percent.into()) {
            delivered.push(event.clone());
        }
    }
    dice.shuffle(&mut delivered);
    delivered
}
