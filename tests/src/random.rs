//! Random choices that a seed repeats.

use anyhow::Result;
use shared::settings::Settings;

/// The seed of a randomised test: the variable `TEST_SEED`, or 7.
///
/// # Errors
/// When the variable is not a number.
pub fn seed() -> Result<u64> {
    let settings = Settings::from_process();
    Ok(settings.variable("TEST_SEED").unwrap_or("7").parse()?)
}

/// A generator of random numbers: splitmix64, which is small and good enough for choices.
#[derive(Clone, Debug)]
pub(crate) struct SeededRandom {
    state: u64,
}

impl SeededRandom {
    /// The generator for the thing `number` of a test's `seed`.
    pub(crate) fn new(seed: u64, number: usize) -> Self {
        let mut random = Self { state: seed };
        // Mixing in the number makes the generators of neighbours independent.
        random.state = random.next() ^ u64::try_from(number).unwrap_or_default();
        random.state = random.next();
        random
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number from `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: i64, high: i64) -> i64 {
        let span = (high - low + 1).max(1);
        low + (self.next() >> 1).cast_signed() % span
    }

    /// An index into something of `length`.
    pub(crate) fn below(&mut self, length: usize) -> usize {
        let length = i64::try_from(length).unwrap_or(i64::MAX);
        usize::try_from(self.between(0, length - 1)).unwrap_or_default()
    }

    /// True in `percent` of all cases.
    pub(crate) fn chance(&mut self, percent: i64) -> bool {
        self.between(1, 100) <= percent
    }

    /// One of `choices`, all equally likely.
    pub(crate) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// One of `choices` by weight; `None` if no weight is above zero.
    pub(crate) fn pick_weighted<T: Copy>(&mut self, choices: &[(i64, T)]) -> Option<T> {
        let total: i64 = choices.iter().map(|(weight, _)| weight).sum();
        let mut drawn = self.between(1, total);
        let hit = |(weight, _): &&(i64, T)| {
            drawn -= weight;
            drawn <= 0
        };
        let chosen = choices.iter().filter(|(weight, _)| *weight > 0).find(hit);
        chosen.map(|(_, choice)| *choice)
    }

    /// Puts `things` into a random order.
    pub(crate) fn shuffle<T>(&mut self, things: &mut [T]) {
        for last in (1..things.len()).rev() {
            things.swap(last, self.below(last + 1));
        }
    }
}
