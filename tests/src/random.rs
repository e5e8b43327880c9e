//! Chance that a seed repeats.

/// A generator of numbers: splitmix64, small and good enough to choose by.
#[derive(Clone, Debug)]
pub(crate) struct Dice {
    state: u64,
}

impl Dice {
    /// Dice for the thing `number` of a test's `seed`.
    pub(crate) fn new(seed: u64, number: usize) -> Self {
        let mut dice = Self { state: seed };
        // The number is stirred in, so that neighbours have nothing in common.
        dice.state = dice.next() ^ u64::try_from(number).unwrap_or_default();
        dice.state = dice.next();
        dice
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number from `low` to `high`, both possible.
    pub(super) fn between(&mut self, low: i64, high: i64) -> i64 {
        let span = (high - low + 1).max(1);
        low + (self.next() >> 1).cast_signed() % span
    }

    /// A place in something of `length`.
    pub(super) fn below(&mut self, length: usize) -> usize {
        let length = i64::try_from(length).unwrap_or(i64::MAX);
        usize::try_from(self.between(0, length - 1)).unwrap_or_default()
    }

    /// True in so many of a hundred cases.
    pub(crate) fn chance(&mut self, percent: i64) -> bool {
        self.between(1, 100) <= percent
    }

    /// One of `choices`, each as likely as the others.
    pub(super) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// One of `choices`, each as likely as its weight says; `None` if no weight is above zero.
    pub(super) fn weigh<T: Copy>(&mut self, choices: &[(i64, T)]) -> Option<T> {
        let total: i64 = choices.iter().map(|(weight, _)| weight).sum();
        let mut drawn = self.between(1, total);
        let hit = |(weight, _): &&(i64, T)| {
            drawn -= weight;
            drawn <= 0
        };
        let chosen = choices.iter().filter(|(weight, _)| *weight > 0).find(hit);
        chosen.map(|(_, choice)| *choice)
    }

    /// Puts `things` into any order.
    pub(super) fn shuffle<T>(&mut self, things: &mut [T]) {
        for last in (1..things.len()).rev() {
            things.swap(last, self.below(last + 1));
        }
    }
}
