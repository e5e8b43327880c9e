//! The random usage reports of a life.

use crate::fixtures::DAY;
use crate::merchant::books::{Meter, Usage};
use crate::merchant::life_generator::LifeGenerator;

/// The most reports of a life.
const REPORTS_MAX: i64 = 6;

impl LifeGenerator {
    /// Adds usage reports of the life's last user. Where the balances then depend on how the rules are read,
    /// they are left out.
    pub(super) fn report_usage(&mut self) {
        let user_id = self.script.books().owner(0).unwrap_or(self.script.user_id()).to_owned();
        let first = self.script.books().owned_since(&user_id).unwrap_or(self.now - DAY);
        let mut reports: Vec<Usage> = Vec::new();
        for number in 0..self.random.between(1, REPORTS_MAX) {
            let meters = [(6, Meter::Tokens), (3, Meter::Voice), (1, Meter::Basic)];
            let meter = self.random.pick_weighted(&meters).unwrap_or(Meter::Tokens);
            let unit = if meter == Meter::Tokens { 1_000_000 } else { 100_000 };
            let amounts = [unit / 7, unit, 3 * unit, 9 * unit, 21 * unit];
            reports.push(Usage {
                user_id: user_id.clone(),
                id: format!("{user_id} {number}"),
                at: self.random.between(first, self.now - 60),
                meter,
                amount: self.random.pick(&amounts) + self.random.between(0, 99),
            });
        }
        while !reports.is_empty() {
            self.script.books.usages.clone_from(&reports);
            if self.script.books().balances(&user_id, self.now).is_some() {
                return;
            }
            reports.truncate(reports.len() / 2);
        }
        self.script.books.usages.clear();
    }
}
