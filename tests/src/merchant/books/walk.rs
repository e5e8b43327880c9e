//! Goes through what counts of a subscription: its periods, what was sold in each, and the grace.

use super::record::{Step, is_entitling};
use super::{Plan, Record};
use crate::fixtures::Period;
use crate::merchant::PaidTier;

/// The right to a higher tier until the end of its paid period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grace {
    /// What was paid for.
    pub plan: Plan,
    /// The end of the paid period (Unix time).
    pub until: i64,
    /// The start of the period in which it began (Unix time). It lifts the limits of that period alone.
    pub(super) began_in: i64,
}

impl Grace {
    /// The tier that was paid for.
    #[must_use]
    pub fn tier(&self) -> PaidTier {
        self.plan.tier()
    }
}

/// What is sold from a time on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Term {
    /// From when (Unix time).
    pub(super) from: i64,
    /// The plan whose limits count; `None`: nothing, the customer has no access.
    pub(super) plan: Option<Plan>,
    /// The plan that a grace keeps: its limits count where they are higher.
    pub(super) lift: Option<Plan>,
    /// The price lists with which it was read.
    pub(super) lists: Vec<usize>,
}

/// The end of a period before its time, because another one began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    pub(super) at: i64,
    pub(super) is_credited: bool,
}

/// A period of the plan.
#[derive(Clone, Debug)]
pub(super) struct BookPeriod {
    pub(super) period: Period,
    pub(super) is_trial: bool,
    pub(super) terms: Vec<Term>,
    pub(super) cut: Option<Cut>,
}

/// All that a record says.
#[derive(Clone, Debug, Default)]
pub(super) struct Walk {
    pub(super) periods: Vec<BookPeriod>,
    /// The running or past grace.
    grace: Option<Grace>,
    /// The last step.
    last: Option<Step>,
}

impl Walk {
    /// Goes through `record`.
    pub(super) fn of(record: &Record) -> Self {
        let mut walk = Self::default();
        for step in record.steps() {
            walk.take(record, step);
        }
        walk
    }

    /// The grace at `now`.
    pub(super) fn grace(&self, now: i64) -> Option<Grace> {
        self.grace.filter(|grace| grace.until > now)
    }

    /// The tier that counts, without a grace.
    pub(super) fn tier(&self) -> Option<PaidTier> {
        self.last.as_ref().map(|step| step.plan.tier())
    }

    fn take(&mut self, record: &Record, step: Step) {
        if let Some(old) = self.last.take() {
            self.change_grace(record, &old, &step);
        }
        let is_new = self
            .periods
            .last()
            .is_none_or(|current| current.period.start != step.period.start);
        if is_new {
            self.begin(&step);
        }
        self.add_term(&step);
        self.last = Some(step);
    }

    fn begin(&mut self, step: &Step) {
        if let Some(current) = self.periods.last_mut()
            && step.period.start < current.period.end
        {
            current.cut = Some(Cut {
                at: step.period.start,
                is_credited: step.is_credited,
            });
        }
        self.periods.push(BookPeriod {
            period: step.period,
            is_trial: step.status == "trialing",
            terms: Vec::new(),
            cut: None,
        });
    }

    fn change_grace(&mut self, record: &Record, old: &Step, new: &Step) {
        let (was, is) = (old.plan.tier(), new.plan.tier());
        self.grace = self.grace.filter(|grace| grace.until > new.at);
        if !is_entitling(new.status) {
            self.grace = None;
        } else if is > was {
            self.grace = self.grace.filter(|grace| grace.tier() > is);
        } else if is < was && self.grace.is_none() {
            let is_paid = old.status != "trialing"
                && is_entitling(old.status)
                && !record.has_failed(old.period)
                && !record.is_returned(old.period);
            if is_paid && !new.is_credited && new.period.start < old.period.end {
                self.grace = Some(Grace {
                    plan: old.plan,
                    until: old.period.end,
                    began_in: old.period.start,
                });
            }
        }
    }

    fn add_term(&mut self, step: &Step) {
        let grace = self.grace.filter(|grace| grace.began_in == step.period.start);
        let plan = is_entitling(step.status).then_some(step.plan);
        let lift = grace.map(|grace| grace.plan);
        let Some(current) = self.periods.last_mut() else {
            return;
        };
        current.period = step.period;
        match current.terms.last_mut() {
            Some(term) if (term.plan, term.lift) == (plan, lift) => {
                if !term.lists.contains(&step.list) {
                    term.lists.push(step.list);
                }
            }
            before => {
                let is_first = before.is_none();
                // A change also shows what was before it, by the list with which it is read.
                if let Some(before) = before.filter(|before| !before.lists.contains(&step.list)) {
                    before.lists.push(step.list);
                }
                current.terms.push(Term {
                    from: if is_first { step.period.start } else { step.at },
                    plan,
                    lift,
                    lists: vec![step.list],
                });
            }
        }
    }
}

impl Record {
    /// The grace that runs at `now` (Unix time), if any.
    #[must_use]
    pub fn grace(&self, now: i64) -> Option<Grace> {
        Walk::of(self).grace(now)
    }
}
