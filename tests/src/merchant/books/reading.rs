//! The other ways to read the rules.

/// A way to read the rules where they can be read in more than one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// The way that the books take.
    Taken,
    /// Time without access in a period counts as the plan's.
    GapsCount,
    /// A pack that went back was never granted.
    TakesAreNetted,
    /// What was used beyond a cut and credited period takes what was bought, too.
    OveruseSpends,
    /// A change of the tier within a trial gives the whole new limit.
    TrialsAreWhole,
    /// Usage is decided by what is known of payments now, not at its time.
    PaymentsInHindsight,
    /// An end that nobody told of leaves the counter that `used` shows.
    UntoldEndsKeepTheCounter,
}

impl Reading {
    /// The others than the one that the books take.
    pub(super) const OTHERS: [Self; 6] = [
        Self::GapsCount,
        Self::TakesAreNetted,
        Self::OveruseSpends,
        Self::TrialsAreWhole,
        Self::PaymentsInHindsight,
        Self::UntoldEndsKeepTheCounter,
    ];
}
