//! One meter of one user: rollover, debt and what was bought.

/// What is left beside the period's limit, in units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Purse {
    /// Left from earlier periods; below zero it is a debt.
    pub(super) rollover: i64,
    /// Left of packs.
    pub(super) purchased: i64,
}

impl Purse {
    /// Usage beyond the period's limit: rollover while positive, then what was bought, then debt.
    pub(super) fn spend(&mut self, units: i64) {
        let from_rollover = units.min(self.rollover.max(0));
        let from_purchased = (units - from_rollover).min(self.purchased);
        self.purchased -= from_purchased;
        self.rollover -= units - from_purchased;
    }

    /// A pack: debt first, the rest is bought.
    pub(super) fn grant(&mut self, units: i64) {
        let debt = (-self.rollover).clamp(0, units);
        self.rollover += debt;
        self.purchased += units - debt;
    }

    /// A pack goes back: what was bought first, then debt.
    pub(super) fn take(&mut self, units: i64) {
        let from_purchased = units.min(self.purchased);
        self.purchased -= from_purchased;
        self.rollover -= units - from_purchased;
    }

    /// What a paid period left, up to `cap`. What is above the cap already is not cut.
    pub(super) fn roll_over(&mut self, unused: i64, cap: i64) {
        self.rollover = self.rollover.max(cap.min(self.rollover + unused));
    }

    /// What a cut period left, or (below zero) what was used beyond its limit.
    pub(super) fn carry(&mut self, units: i64) {
        self.rollover += units;
    }
}
