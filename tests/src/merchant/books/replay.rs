//! The balances of a user: everything that moves them, in the order of time.

use super::current::{TierOf, current, is_entitled};
use super::limit::{LimitOf, LimitUse};
use super::walk::{BookPeriod, Cut, Walk};
use super::waterfall::Purse;
use super::{Allowance, Meter, PriceList, Purchase, Reading, Record, Usage};
use crate::harness::{Balance, Balances};
use std::collections::{BTreeMap, BTreeSet};

/// A counter of `used`: a holding, and the start of the period or of the user's part of it.
type CounterKey = (usize, i64);

/// A record while a user has it. Who gets it back has it twice: each time is counted by itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Holding<'a> {
    pub(super) record: &'a Record,
    /// From when (Unix time).
    pub(super) from: i64,
    /// When it goes to another user (Unix time).
    pub(super) until: i64,
}

impl Holding<'_> {
    fn is_held(&self, at: i64) -> bool {
        self.from <= at && at < self.until
    }

    /// Where the user's counter of a period begins.
    fn counter(&self, start: i64) -> i64 {
        start.max(self.from)
    }
}

/// The entries of a user.
#[derive(Clone, Copy, Debug)]
pub(super) struct Replay<'a> {
    pub(super) holdings: &'a [Holding<'a>],
    pub(super) purchases: &'a [&'a Purchase],
    pub(super) usages: &'a [&'a Usage],
    pub(super) lists: &'a [PriceList],
    pub(super) reading: Reading,
}

/// What moves a balance. The order of the variants is the order within one second.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Move {
    /// A holding goes to another user, in the period that began then.
    HandOver(usize, i64),
    /// A period of a holding was cut.
    Cut(usize, i64),
    /// A renewal was paid, which closes the period that began then.
    Close(usize, i64),
    Grant(Meter, i64),
    Take(Meter, i64),
    Use(Meter, i64),
}

/// Where a usage counts.
struct Current {
    key: CounterKey,
    limits: BTreeMap<Meter, Allowance>,
}

impl Replay<'_> {
    /// All rows at `now`.
    pub(super) fn balances(&self, now: i64) -> Balances {
        let mut purses: BTreeMap<Meter, Purse> = BTreeMap::new();
        let mut used: BTreeMap<(CounterKey, Meter), i64> = BTreeMap::new();
        for (at, step) in self.moves(now) {
            match step {
                Move::Use(meter, amount) => {
                    let current = self.current(at);
                    let within = current.map_or(0, |current| {
                        let used = used.entry((current.key, meter)).or_default();
                        let within = match current.limits[&meter] {
                            Allowance::Unlimited => amount,
                            Allowance::Units(limit) => amount.min((limit - *used).max(0)),
                        };
                        *used += within;
                        within
                    });
                    purses.entry(meter).or_default().spend(amount - within);
                }
                Move::Grant(meter, units) => purses.entry(meter).or_default().grant(units),
                Move::Take(meter, units) if units < 0 => purses.entry(meter).or_default().grant(-units),
                Move::Take(meter, units) => purses.entry(meter).or_default().take(units),
                Move::Close(number, start) | Move::Cut(number, start) | Move::HandOver(number, start) => {
                    let key = (number, self.holdings[number].counter(start));
                    for meter in Meter::ALL {
                        let used = used.get(&(key, meter)).copied().unwrap_or_default();
                        let purse = purses.entry(meter).or_default();
                        match step {
                            Move::Close(..) => self.close(at, (number, start), meter, used, purse),
                            Move::Cut(..) => self.cut(at, (number, start), meter, used, purse),
                            _ => self.hand_over(number, meter, used, purse),
                        }
                    }
                }
            }
        }
        self.rows(now, &purses, &used)
    }

    fn rows(&self, now: i64, purses: &BTreeMap<Meter, Purse>, used: &BTreeMap<(CounterKey, Meter), i64>) -> Balances {
        let current = self.current(now);
        let row = |meter: Meter| {
            let purse = purses.get(&meter).copied().unwrap_or_default();
            let count = |key| used.get(&(key, meter)).copied().unwrap_or_default();
            let used = current.as_ref().map_or(0, |current| count(current.key));
            let limit = current
                .as_ref()
                .map_or(Allowance::Units(0), |current| current.limits[&meter]);
            let plan_limit = match limit {
                Allowance::Units(units) => Some(units),
                Allowance::Unlimited => None,
            };
            let left = |limit: i64| (limit - used).max(0) + purse.rollover + purse.purchased;
            let balance = Balance {
                plan_limit,
                used,
                rollover: purse.rollover,
                purchased: purse.purchased,
                available: plan_limit.map(left),
            };
            (meter.name().to_owned(), balance)
        };
        let touched = self.usages.iter().map(|usage| usage.meter);
        let mut meters: BTreeSet<Meter> = touched.chain(self.purchases.iter().map(|p| p.meter)).collect();
        if !self.holdings.is_empty() {
            meters.extend(Meter::ALL);
        }
        meters.into_iter().map(row).collect()
    }

    fn moves(&self, now: i64) -> Vec<(i64, Move)> {
        let mut moves: Vec<(i64, Move)> = Vec::new();
        for usage in self.usages {
            moves.push((usage.at, Move::Use(usage.meter, usage.amount)));
        }
        for purchase in self.purchases {
            let takes = purchase.takes();
            let all_taken: i64 = takes.iter().map(|(_, units)| units).sum();
            if self.reading == Reading::TakesAreNetted {
                moves.push((purchase.at, Move::Grant(purchase.meter, purchase.units - all_taken)));
                continue;
            }
            moves.push((purchase.at, Move::Grant(purchase.meter, purchase.units)));
            moves.extend(
                takes
                    .iter()
                    .map(|(at, units)| (*at, Move::Take(purchase.meter, *units))),
            );
        }
        for (number, holding) in self.holdings.iter().enumerate() {
            let record = holding.record;
            if let Some(period) = holding.last_period() {
                moves.push((holding.until, Move::HandOver(number, period.period.start)));
            }
            let periods = Walk::of(&record.as_of(now)).periods;
            for pair in periods.windows(2) {
                let (old, new) = (&pair[0], &pair[1]);
                let start = old.period.start;
                if holding.counter(start) >= old.period.end {
                    continue;
                }
                if let Some(cut) = old.cut {
                    let known = Self::known_cut(record, start, cut, now);
                    if holding.is_held(known) {
                        moves.push((known, Move::Cut(number, start)));
                    }
                    continue;
                }
                let cycle = record
                    .invoices
                    .iter()
                    .find(|invoice| invoice.is_cycle && invoice.covers == Some(new.period));
                let paid_at = cycle.and_then(|cycle| cycle.paid_at);
                if let Some(at) = paid_at.filter(|at| *at <= now && holding.is_held(*at)) {
                    moves.push((at, Move::Close(number, start)));
                }
            }
        }
        moves.retain(|(at, _)| *at <= now);
        moves.sort();
        moves
    }

    /// From when it is known that the period that began at `start` was cut as `cut` says.
    fn known_cut(record: &Record, start: i64, cut: Cut, now: i64) -> i64 {
        let shown = record.snapshots.iter().map(|snapshot| snapshot.at);
        let paid = record.invoices.iter().filter_map(|invoice| invoice.paid_at);
        let times: BTreeSet<i64> = shown.chain(paid).filter(|at| *at >= cut.at).collect();
        let is_known = |at: &i64| cut_of(&Walk::of(&record.as_of(*at)).periods, start) == Some(cut);
        times.into_iter().find(is_known).unwrap_or(now)
    }

    /// The counter and the limits at `at`, if the user has or had a subscription then.
    fn current(&self, at: i64) -> Option<Current> {
        let held = (0..self.holdings.len()).filter(|number| self.holdings[*number].is_held(at));
        let held: Vec<usize> = held.collect();
        if held.is_empty() {
            return self.after_hand_over(at);
        }
        let past = held.iter().map(|number| {
            let record = self.holdings[*number].record;
            if self.reading == Reading::PaymentsInHindsight {
                record.shown_until(at)
            } else {
                record.as_of(at)
            }
        });
        let past: Vec<Record> = past.collect();
        // An end is told by an event at the earliest.
        let told = match self.reading {
            Reading::UntoldEndsKeepTheCounter => last_told(&past),
            _ => at,
        };
        let place = current(&past, told, TierOf::Counted)?;
        let (number, record) = (held[place], &past[place]);
        let holding = &self.holdings[number];
        let walk = Walk::of(record);
        let (last, earlier) = walk.periods.split_last()?;
        let is_paid = record.is_paid(last.period);
        let trial = earlier
            .last()
            .filter(|before| before.is_trial && !last.is_trial && !is_paid);
        // Nothing of a trial is left for who has the subscription only since it ended.
        let is_others = trial.is_some_and(|trial| trial.period.end <= holding.from);
        let period = trial.filter(|_| !is_others).unwrap_or(last);
        let is_entitled = is_entitled(record, at);
        let limits = Meter::ALL.map(|meter| {
            let limit = if is_entitled {
                self.limit(period, is_paid, holding).allowance(meter, LimitUse::Plan)
            } else {
                Allowance::Units(0)
            };
            match limit {
                Allowance::Units(_) if is_others => (meter, Allowance::Units(0)),
                limit => (meter, limit),
            }
        });
        Some(Current {
            key: (number, holding.counter(period.period.start)),
            limits: limits.into_iter().collect(),
        })
    }

    /// What is left of the last subscription that the user handed over: the counter, and nothing else.
    fn after_hand_over(&self, at: i64) -> Option<Current> {
        let gone = self.holdings.iter().filter(|holding| holding.until <= at);
        let last = gone.map(|holding| holding.until).max()?;
        let before = self.current(last - 1)?;
        Some(Current {
            key: before.key,
            limits: Meter::ALL.map(|meter| (meter, Allowance::Units(0))).into(),
        })
    }

    /// The subscription goes to another user: what was used beyond the user's part of the period is debt, and
    /// what is left of that part lapses.
    fn hand_over(&self, number: usize, meter: Meter, used: i64, purse: &mut Purse) {
        let holding = &self.holdings[number];
        let Some(period) = holding.last_period() else {
            return;
        };
        let limit = self.limit(&period, holding.record.is_paid(period.period), holding);
        let until = limit.counted(holding.until).min(period.period.end);
        if let Allowance::Units(part) = limit.allowance(meter, LimitUse::UntilCut(until)) {
            self.overuse((used - part).max(0), purse);
        }
    }

    fn overuse(&self, over: i64, purse: &mut Purse) {
        if self.reading == Reading::OveruseSpends {
            purse.spend(over);
        } else {
            purse.carry(-over);
        }
    }

    fn limit<'a>(&'a self, period: &'a BookPeriod, is_paid: bool, holding: &Holding<'_>) -> LimitOf<'a> {
        LimitOf {
            period,
            from: holding.from,
            is_paid,
            lists: self.lists,
            reading: self.reading,
        }
    }

    /// The renewal after the period was paid at `at`.
    fn close(&self, at: i64, (record, start): CounterKey, meter: Meter, used: i64, purse: &mut Purse) {
        let holding = &self.holdings[record];
        let past = holding.record.as_of(at);
        let walk = Walk::of(&past);
        let Some(period) = walk.periods.iter().find(|period| period.period.start == start) else {
            return;
        };
        let gives = !period.is_trial && past.is_paid(period.period) && !past.is_returned(period.period);
        let allowance = self.limit(period, true, holding).allowance(meter, LimitUse::Rollover);
        if let (true, Allowance::Units(allowance), Some(cap)) = (gives, allowance, meter.rollover_cap()) {
            purse.roll_over((allowance - used).max(0), cap);
        }
    }

    /// The period was cut, which was known at `at`.
    fn cut(&self, at: i64, (record, start): CounterKey, meter: Meter, used: i64, purse: &mut Purse) {
        let holding = &self.holdings[record];
        let past = holding.record.as_of(at);
        let walk = Walk::of(&past);
        let (Some(period), Some(cut)) = (
            walk.periods.iter().find(|period| period.period.start == start),
            cut_of(&walk.periods, start),
        ) else {
            return;
        };
        if period.is_trial || meter.rollover_cap().is_none() {
            return;
        }
        let is_paid = past.is_paid(period.period);
        let limit = self.limit(period, is_paid, holding);
        if cut.is_credited {
            if let Allowance::Units(sold) = limit.allowance(meter, LimitUse::UntilCut(cut.at)) {
                self.overuse((used - sold).max(0), purse);
            }
        } else if is_paid
            && !past.is_returned(period.period)
            && let Allowance::Units(sold) = limit.allowance(meter, LimitUse::Rollover)
        {
            purse.carry((sold - used).max(0));
        }
    }
}

impl Holding<'_> {
    /// The period in which it goes to another user, as it was just before; `None` if it stays, or gave no access.
    fn last_period(&self) -> Option<BookPeriod> {
        if self.until == i64::MAX {
            return None;
        }
        let past = self.record.shown_until(self.until - 1);
        let period = Walk::of(&past).periods.pop()?;
        is_entitled(&past, self.until).then_some(period)
    }
}

/// When the last event of `records` was told.
fn last_told(records: &[Record]) -> i64 {
    let shown = records.iter().filter_map(|record| Some(record.shown()?.at));
    shown.max().unwrap_or_default()
}

fn cut_of(periods: &[BookPeriod], start: i64) -> Option<Cut> {
    periods.iter().find(|period| period.period.start == start)?.cut
}
