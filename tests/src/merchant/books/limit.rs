//! The limit of a period: what was sold in it, weighted by time.

use super::walk::{BookPeriod, Term};
use super::{Allowance, Meter, Plan, PriceList, Reading};

/// For what a limit is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LimitUse {
    /// What may be used in the period.
    Plan,
    /// What of it may roll over.
    Rollover,
    /// What of it was sold until it was cut, and the rest went back.
    UntilCut(i64),
}

/// A period, and whether it is paid.
#[derive(Clone, Copy, Debug)]
pub(super) struct LimitOf<'a> {
    pub(super) period: &'a BookPeriod,
    /// From when the user has the subscription (Unix time). What was sold before is another's.
    pub(super) from: i64,
    pub(super) is_paid: bool,
    pub(super) lists: &'a [PriceList],
    pub(super) reading: Reading,
}

impl LimitOf<'_> {
    /// The limit of `meter`.
    pub(super) fn allowance(&self, meter: Meter, usage: LimitUse) -> Allowance {
        let period = self.period.period;
        let length = period.end - period.start;
        let terms = self.rounded_terms();
        let is_whole = match usage {
            LimitUse::Plan if self.period.is_trial && self.reading == Reading::TrialsAreWhole => true,
            LimitUse::Plan => self.lists.last().is_some_and(|list| list.is_whole(meter)),
            LimitUse::Rollover | LimitUse::UntilCut(_) => false,
        };
        if let (true, Some(term)) = (is_whole, terms.last()) {
            return self.limit(term, meter);
        }
        let end = match usage {
            LimitUse::UntilCut(at) => at,
            LimitUse::Plan | LimitUse::Rollover => period.end,
        };
        let begin = self.counted(self.from);
        let mut sum: i128 = 0;
        let mut is_empty = true;
        for (number, term) in terms.iter().enumerate() {
            let until = terms.get(number + 1).map_or(end, |next| next.from).min(end);
            let seconds = until - term.from.max(begin);
            if seconds <= 0 {
                continue;
            }
            is_empty = false;
            match self.limit(term, meter) {
                Allowance::Unlimited => return Allowance::Unlimited,
                Allowance::Units(units) => sum += i128::from(units) * i128::from(seconds),
            }
        }
        // Who had it for no time had nothing of it, but what is unlimited is only counted.
        if let (true, Some(Allowance::Unlimited)) = (is_empty, terms.last().map(|term| self.limit(term, meter))) {
            return Allowance::Unlimited;
        }
        let units = sum / i128::from(self.whole_length(length));
        Allowance::Units(i64::try_from(units).unwrap_or(i64::MAX))
    }

    /// From when a change or a hand-over at `at` counts in the period: in its first hundredth from the
    /// beginning.
    pub(super) fn counted(&self, at: i64) -> i64 {
        let period = self.period.period;
        let hundredth = period.start + (period.end - period.start) / 100;
        if at <= hundredth { period.start } else { at }
    }

    /// The seconds for which the price sells its limit: the period's own, or the interval's where a first
    /// period is shorter by more than a tenth.
    fn whole_length(&self, length: i64) -> i64 {
        let plan = self.period.terms.iter().rev().find_map(|term| term.plan);
        let interval = plan.map_or(length, |plan| {
            let whole = plan.price.period_from(0);
            whole.end - whole.start
        });
        if !self.period.is_trial && length * 10 < interval * 9 {
            interval
        } else {
            length
        }
    }

    /// The terms, where a change within the first hundredth of the period counts from its beginning.
    fn rounded_terms(&self) -> Vec<Term> {
        let period = self.period.period;
        let mut terms: Vec<Term> = Vec::new();
        for term in &self.period.terms {
            if self.counted(term.from) == period.start {
                terms.clear();
            }
            let from = if terms.is_empty() { period.start } else { term.from };
            terms.push(Term { from, ..term.clone() });
        }
        if self.reading == Reading::GapsCount {
            terms.retain(|term| term.plan.is_some());
            if let Some(first) = terms.first_mut() {
                first.from = period.start;
            }
        }
        terms
    }

    /// The limit of a term. The catalog's rises count for the whole period, its falls from the next one on: so
    /// for each plan the highest limit counts of all lists with which it was read in this period.
    fn limit(&self, term: &Term, meter: Meter) -> Allowance {
        let plans = term.plan.iter().chain(&term.lift);
        let limits = plans.flat_map(|plan| {
            let with_it = self.period.terms.iter().filter(|other| {
                let is_same = |own: Option<Plan>| own.is_some_and(|own| own.price == plan.price);
                is_same(other.plan) || is_same(other.lift)
            });
            with_it.flat_map(|other| &other.lists).map(move |list| {
                let list = &self.lists[*list];
                if self.period.is_trial {
                    list.trial(plan, meter)
                } else if self.is_paid {
                    list.sold(plan, meter)
                } else {
                    list.sold(plan, meter).min(list.month(plan, meter))
                }
            })
        });
        limits.max().unwrap_or(Allowance::Units(0))
    }
}
