//! What may happen to a subscription in its present state.
//!
//! What the rules leave open is not on the menu:
//! - a downgrade without credit to below what a failed upgrade began from, or after one in the same
//!   period: the rules on failed invoices and on failed upgrades disagree about its grace;
//! - the payment of an invoice after a downgrade that got no grace for it;
//! - a downgrade from a lower but longer paid period while a higher grace runs;
//! - an end of the entitlement that takes a grace, and a return before that is over;
//! - the payment of an invoice when its period is over;
//! - another interval while an invoice is open or a cancellation is pending.

use crate::fixtures::{DAY, Interval};
use crate::merchant::player::Player;
use crate::merchant::{Aftermath, Credit, Failed, Payment, Step, Tier};

type Move = fn(&mut Player, usize);

/// The state of a subscription, as far as it decides what may happen.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a question that some act asks, in any combination"
)]
struct State {
    status: &'static str,
    tier: Tier,
    interval: Interval,
    is_canceling: bool,
    is_pending: bool,
    is_upgrade_unpaid: bool,
    is_cycle_unpaid: bool,
    has_arrears: bool,
    has_forfeited: bool,
    /// A grace runs that ends before the period does.
    has_shorter_claim: bool,
    /// The period is over, and nothing followed.
    is_overdue: bool,
}

impl State {
    /// Whether every invoice of the period is paid, and no change waits.
    fn is_settled(&self) -> bool {
        !self.is_pending && !self.is_upgrade_unpaid && !self.is_cycle_unpaid && !self.has_arrears
    }

    fn may_rise(&self) -> bool {
        let is_free = !self.is_pending && !self.is_upgrade_unpaid && !self.is_cycle_unpaid;
        is_free && self.tier < Tier::Max
    }

    fn may_change_interval(&self) -> bool {
        self.status == "active" && self.is_settled() && !self.is_canceling
    }
}

impl Player {
    fn state(&self, which: usize) -> State {
        let (page, affairs) = (self.script.statement(which), &self.script.affairs[which]);
        let claim = page.claim(self.script.clock());
        State {
            status: page.shown.status,
            tier: page.tier(),
            interval: page.shown.price.interval,
            is_canceling: page.shown.cancel_at.is_some(),
            is_pending: page.shown.pending_update.is_some(),
            is_upgrade_unpaid: page.has_unpaid_upgrade(),
            is_cycle_unpaid: affairs.cycle.is_some(),
            has_arrears: page.has_arrears(),
            has_forfeited: page.has_forfeited(),
            has_shorter_claim: claim.is_some_and(|claim| claim.until < page.shown.period.end),
            is_overdue: page.shown.period.end <= self.script.clock(),
        }
    }

    pub(super) fn choose(&mut self, which: usize) {
        let state = self.state(which);
        let mut menu: Vec<(i64, Move)> = match state.status {
            "incomplete" => vec![(3, |player, which| player.script.complete(which))],
            "paused" => vec![(6, |player, which| player.script.resume(which))],
            "trialing" | "active" | "past_due" => self.entitled_menu(which, &state),
            _ => Vec::new(),
        };
        let is_lost = state.status == "unpaid" && (state.has_forfeited || state.is_overdue);
        if state.is_cycle_unpaid && !is_lost {
            menu.push((8, |player, which| player.script.recover(which)));
        }
        if state.is_cycle_unpaid && state.status == "past_due" {
            menu.push((3, |player, which| player.script.give_up(which)));
        }
        menu.push((1, |player, which| player.script.end(which)));
        menu.push((1, |player, which| player.script.move_house(which)));
        if !self.is_forgotten {
            menu.push((1, |player, _| player.come_back()));
        }
        if let Some(play) = self.dice.weigh(&menu) {
            play(self, which);
        }
    }

    fn entitled_menu(&self, which: usize, state: &State) -> Vec<(i64, Move)> {
        let mut menu: Vec<(i64, Move)> = vec![
            (1, |player, which| player.script.note(which)),
            (1, |player, which| player.script.announce(which)),
            (1, |player, which| player.script.finalize(which)),
            (1, |player, which| player.script.pause_collection(which)),
        ];
        if state.is_canceling {
            menu.push((4, |player, which| player.script.reactivate(which)));
        } else {
            menu.push((2, |player, which| player.script.cancel(which)));
            menu.push((1, Self::cancel_on));
        }
        if state.is_pending {
            menu.push((6, |player, which| player.script.apply_pending(which)));
            menu.push((3, |player, which| player.script.expire_pending(which)));
        } else {
            menu.push((14, Self::change_plan));
        }
        if self.script.affairs[which].upgrade.is_some() && state.is_upgrade_unpaid {
            menu.push((7, |player, which| player.script.pay_upgrade(which)));
            menu.push((2, Self::retry_upgrade));
        }
        if state.is_settled() && state.status != "past_due" {
            menu.push((4, Self::burst));
        }
        if state.may_change_interval() {
            menu.push((2, Self::switch));
        }
        let is_scheduled = self.script.affairs[which].scheduled.is_some();
        if state.may_change_interval() && !is_scheduled && state.tier > Tier::Basic {
            menu.push((3, Self::schedule));
        }
        if !self.script.shown(which).metadata.is_empty() {
            menu.push((1, Self::forget));
        }
        menu
    }

    /// Another tier, if one may be had.
    pub(super) fn change_plan(&mut self, which: usize) {
        let state = self.state(which);
        let is_up = match state.status {
            "trialing" | "active" => state.may_rise() && self.dice.chance(45),
            _ => false,
        };
        if is_up {
            self.upgrade(which, &state);
        } else if state.tier > Tier::Basic && state.status != "incomplete" && !state.is_pending {
            self.downgrade(which, &state);
        } else {
            self.script.note(which);
        }
    }

    fn upgrade(&mut self, which: usize, state: &State) {
        let higher: Vec<Tier> = Tier::ALL.into_iter().filter(|tier| *tier > state.tier).collect();
        let tier = self.dice.pick(&higher);
        let same = tier.price(state.interval);
        if state.status == "trialing" {
            let is_end = self.dice.chance(30) && !state.is_canceling;
            if is_end {
                return self.script.upgrade_out_of_trial(which, same);
            }
            return self.script.upgrade(which, same, Payment::Paid);
        }
        if state.is_settled() && self.dice.chance(12) {
            let failure = self.failure();
            return self.script.upgrade_pending(which, same, failure);
        }
        if self.dice.chance(40) && self.script.affairs[which].scheduled.is_none() {
            let failed = self.failed();
            return self.script.upgrade(which, same, Payment::Failed(failed));
        }
        let payments = [(5, Payment::Paid), (2, Payment::Items), (2, Payment::Free)];
        let payment = self.dice.weigh(&payments).unwrap_or(Payment::Paid);
        let is_other = state.may_change_interval() && payment == Payment::Paid && self.dice.chance(30);
        let price = if is_other {
            tier.price(other(state.interval))
        } else {
            same
        };
        self.script.upgrade(which, price, payment);
    }

    fn failed(&mut self) -> Failed {
        let aftermaths = [Aftermath::None, Aftermath::AtOnce, Aftermath::Afterwards];
        Failed {
            failure: self.failure(),
            aftermath: self.dice.pick(&aftermaths),
            is_named: self.dice.chance(80),
            lag: self.dice.pick(&[0, 0, 1, 5]),
        }
    }

    fn downgrade(&mut self, which: usize, state: &State) {
        let lower: Vec<Tier> = Tier::ALL.into_iter().filter(|tier| *tier < state.tier).collect();
        let mut tier = self.dice.pick(&lower);
        let mut credit = self.credit(45);
        if state.is_upgrade_unpaid {
            let from = self.script.statement(which).earned_tier();
            tier = tier.min(from);
            if tier < from {
                credit = self.credit(100);
            }
        } else if (state.has_arrears && !state.is_cycle_unpaid) || state.has_shorter_claim {
            credit = self.credit(100);
        }
        let is_other = state.may_change_interval() && self.dice.chance(40);
        let interval = if is_other {
            other(state.interval)
        } else {
            state.interval
        };
        self.script.downgrade(which, tier.price(interval), credit);
        if state.status == "active" {
            // Nobody pays for what the customer has given up.
            self.script.affairs[which].cycle = None;
        }
        if state.is_upgrade_unpaid {
            self.script.affairs[which].upgrade = None;
        }
    }

    fn credit(&mut self, percent: i64) -> Credit {
        let after = self.dice.pick(&[0, 0, 1, 20, 50, -1, -20, -50]);
        match (self.dice.chance(percent), self.dice.chance(50)) {
            (false, _) => Credit::None,
            (true, true) => Credit::Invoice { after },
            (true, false) => Credit::Item { after },
        }
    }

    fn switch(&mut self, which: usize) {
        let state = self.state(which);
        let credit = self.credit(50);
        let price = state.tier.price(other(state.interval));
        self.script.switch(which, price, credit);
    }

    fn schedule(&mut self, which: usize) {
        let state = self.state(which);
        let lower: Vec<Tier> = Tier::ALL.into_iter().filter(|tier| *tier < state.tier).collect();
        let (tier, interval) = (self.dice.pick(&lower), self.interval(40));
        self.script.schedule(which, tier.price(interval));
    }

    fn burst(&mut self, which: usize) {
        let state = self.state(which);
        if state.has_shorter_claim {
            return self.script.burst(which, &[Step::Note, Step::Note]);
        }
        let mut others: Vec<Tier> = Tier::ALL.into_iter().filter(|tier| *tier != state.tier).collect();
        self.dice.shuffle(&mut others);
        let price = |tier: Tier| Step::Price(tier.price(state.interval));
        let (a, b, c) = (price(state.tier), price(others[0]), price(others[1]));
        let of_prices: [&[Step]; 3] = [&[b, a, c], &[b, a], &[b, c]];
        let of_all: [&[Step]; 3] = if state.is_canceling {
            [
                &[b, Step::Note, Step::Reactivate],
                &[Step::Reactivate, Step::Note, Step::Cancel],
                &[Step::Reactivate, b],
            ]
        } else {
            [
                &[b, Step::Note, Step::Cancel],
                &[Step::Note, Step::Cancel, Step::Reactivate],
                &[Step::Cancel, b],
            ]
        };
        let bursts = if self.dice.chance(50) { of_prices } else { of_all };
        let steps = self.dice.pick(&bursts);
        self.script.burst(which, steps);
    }

    fn cancel_on(&mut self, which: usize) {
        let end = self.script.shown(which).period.end;
        let beyond = end + self.dice.between(1, 20) * DAY;
        let inside = self.script.clock() + (end - self.script.clock()) * 3 / 4;
        let at = if self.dice.chance(60) { beyond } else { inside };
        self.script.cancel_on(which, at);
    }

    fn retry_upgrade(&mut self, which: usize) {
        let invoice = self.script.affairs[which].upgrade.as_ref().map(|invoice| &invoice.id);
        // Days later the time says nothing any more.
        if invoice == self.script.shown(which).latest_invoice.as_ref() {
            let failure = self.failure();
            self.script.retry_upgrade(which, failure);
        } else {
            self.script.note(which);
        }
    }

    fn forget(&mut self, which: usize) {
        let is_end = self.dice.chance(60);
        self.script.forget(which, is_end);
        self.is_forgotten = true;
    }

    /// A year in so many of a hundred cases.
    pub(super) fn interval(&mut self, yearly: i64) -> Interval {
        if self.dice.chance(yearly) {
            Interval::Year
        } else {
            Interval::Month
        }
    }
}

const fn other(interval: Interval) -> Interval {
    match interval {
        Interval::Month => Interval::Year,
        Interval::Year => Interval::Month,
    }
}
