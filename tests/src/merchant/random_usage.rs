//! The random usage reports of a life.

use crate::fixtures::DAY;
use crate::merchant::books::{Meter, Usage};
use crate::merchant::life_generator::LifeGenerator;

/// The most reports of a life.
const REPORTS_MAX: i64 = 6;

impl LifeGenerator {
    /// Adds usage reports of everybody who had the life's first subscription.
    pub(super) fn report_usage(&mut self) {
        let mut users = self.script.books().users_of(0);
        if users.is_empty() {
            users.insert(self.script.user_id().to_owned());
        }
        for user_id in users {
            self.report_usage_of(&user_id);
        }
    }

    /// Adds usage reports of one user. Where the balances then depend on how the rules are read, they are left
    /// out.
    fn report_usage_of(&mut self, user_id: &str) {
        let others = self.script.books().usages.clone();
        let (first, last) = self.time_of_use(user_id);
        let mut reports: Vec<Usage> = Vec::new();
        for number in 0..self.random.between(1, REPORTS_MAX) {
            let meters = [(6, Meter::Tokens), (3, Meter::Voice), (1, Meter::Basic)];
            let meter = self.random.pick_weighted(&meters).unwrap_or(Meter::Tokens);
            let unit = if meter == Meter::Tokens { 1_000_000 } else { 100_000 };
            let amounts = [unit / 7, unit, 3 * unit, 9 * unit, 21 * unit];
            reports.push(Usage {
                user_id: user_id.to_owned(),
                id: format!("{user_id} {number}"),
                at: self.random.between(first, last),
                meter,
                amount: self.random.pick(&amounts) + self.random.between(0, 99),
            });
        }
        while !reports.is_empty() {
            self.script.books.usages = [others.clone(), reports.clone()].concat();
            if self.script.books().balances(user_id, self.now).is_some() {
                return;
            }
            reports.truncate(reports.len() / 2);
        }
        self.script.books.usages = others;
    }

    /// When a user uses something: while they have the subscription, and now and then until now.
    fn time_of_use(&mut self, user_id: &str) -> (i64, i64) {
        let last = self.now - 60;
        let held = self.script.books().held_by(0, user_id);
        let Some((from, until)) = held.first().copied() else {
            return (self.now - DAY, last);
        };
        let first = from.max(self.script.books().records[0].created);
        let is_over = until < last && self.random.chance(75);
        (first, if is_over { (until - 1).max(first) } else { last })
    }
}
