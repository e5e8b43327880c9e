//! Chooses a random act that is possible in the present state of a subscription.
//!
//! Never chosen, because the billing rules leave the result open:
//! - a downgrade without credit to below the tier before a failed upgrade, or after a failed upgrade in the
//!   same period: the rules on failed invoices and on failed upgrades disagree about its grace;
//! - the payment of an invoice after a downgrade that gave no grace because of it;
//! - a downgrade from a lower tier with a longer paid period while a higher grace runs;
//! - an end of the entitlement during a grace, and a return before that grace would have ended;
//! - the payment of an invoice after its period;
//! - another interval while an invoice is open or a cancellation is pending.

use crate::fixtures::{DAY, Interval};
use crate::merchant::life_generator::LifeGenerator;
use crate::merchant::{BurstStep, DowngradeCredit, FailedPayment, PaidTier, StatusAfterFailure, UpgradePayment};

pub(super) type RandomAct = fn(&mut LifeGenerator, usize);

/// The state of a subscription that decides which acts are possible.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a condition of some act, in any combination"
)]
pub(super) struct Situation {
    pub(super) status: &'static str,
    tier: PaidTier,
    pub(super) interval: Interval,
    is_canceling: bool,
    is_pending: bool,
    is_upgrade_unpaid: bool,
    is_cycle_unpaid: bool,
    has_failed_invoice: bool,
    has_lost_grace: bool,
    /// A grace runs that ends before the period does.
    has_shorter_grace: bool,
    /// The period is over, and no renewal followed.
    is_overdue: bool,
    /// A switch of the interval is unpaid.
    pub(super) is_switch_unpaid: bool,
    /// Neither a month nor a year: only a change that begins a new period fits.
    is_odd: bool,
    has_other_items: bool,
}

impl Situation {
    /// Whether all invoices of the period are paid, and no change is pending.
    pub(super) fn is_settled(&self) -> bool {
        !self.is_pending && !self.is_upgrade_unpaid && !self.is_cycle_unpaid && !self.has_failed_invoice
    }

    fn may_upgrade(&self) -> bool {
        let is_free = !self.is_pending && !self.is_upgrade_unpaid && !self.is_cycle_unpaid;
        let may_stay = !self.is_odd || self.may_change_interval();
        is_free && may_stay && self.tier < PaidTier::Max
    }

    fn may_downgrade(&self) -> bool {
        let may_stay = !self.is_odd || self.may_change_interval();
        let is_free = self.status != "incomplete" && !self.is_pending && !self.is_switch_unpaid;
        is_free && may_stay && self.tier > PaidTier::Basic
    }

    /// Whether a change that begins a new period is possible.
    pub(super) fn may_change_interval(&self) -> bool {
        self.status == "active" && self.is_settled() && !self.is_canceling && !self.has_other_items
    }

    /// Whether the quantity may change.
    pub(super) fn may_change_seats(&self) -> bool {
        let is_current = self.status == "active" && !self.is_canceling;
        is_current && self.is_settled() && !self.is_odd && self.tier == PaidTier::Team
    }

    /// Whether another item may come, or go.
    pub(super) fn may_change_items(&self) -> bool {
        self.status == "active" && self.is_settled() && !self.is_canceling
    }
}

impl LifeGenerator {
    pub(super) fn situation(&self, which: usize) -> Situation {
        let (shown, scripted) = (self.script.shown(which), &self.script.subscriptions[which]);
        let grace = self.script.grace(which);
        Situation {
            status: shown.status,
            tier: self.script.tier(which),
            interval: shown.price.interval,
            is_canceling: shown.cancel_at.is_some(),
            is_pending: shown.pending_update.is_some(),
            is_upgrade_unpaid: self.script.held_back(which).is_some(),
            is_cycle_unpaid: scripted.cycle.is_some(),
            has_failed_invoice: !scripted.failed.is_empty(),
            has_lost_grace: scripted.has_lost_grace,
            has_shorter_grace: grace.is_some_and(|grace| grace.until < shown.period.end),
            is_overdue: shown.period.end <= self.script.clock(),
            is_switch_unpaid: self.script.is_switch_unpaid(which),
            is_odd: shown.price.interval_count != 1
                || !matches!(shown.price.interval, Interval::Month | Interval::Year),
            has_other_items: !shown.others.is_empty(),
        }
    }

    pub(super) fn choose(&mut self, which: usize) {
        let state = self.situation(which);
        let mut acts: Vec<(i64, RandomAct)> = match state.status {
            "incomplete" => vec![(3, |generator, which| generator.script.complete(which))],
            "paused" => vec![(6, |generator, which| generator.script.resume(which))],
            "trialing" | "active" | "past_due" => self.entitled_acts(which, &state),
            _ => Vec::new(),
        };
        let is_lost = state.status == "unpaid" && (state.has_lost_grace || state.is_overdue);
        if state.is_cycle_unpaid && !is_lost {
            acts.push((8, |generator, which| generator.script.recover(which)));
        }
        if state.is_cycle_unpaid && state.status == "past_due" {
            acts.push((3, |generator, which| generator.script.give_up(which)));
        }
        acts.push((1, |generator, which| generator.script.end(which)));
        acts.push((1, |generator, which| generator.script.add_card(which)));
        if !self.is_account_deleted {
            acts.push((1, |generator, _| generator.new_subscription()));
        }
        acts.extend(self.acts_of_kinds(which, &state));
        if let Some(act) = self.random.pick_weighted(&acts) {
            act(self, which);
        }
    }

    fn entitled_acts(&self, which: usize, state: &Situation) -> Vec<(i64, RandomAct)> {
        let mut acts: Vec<(i64, RandomAct)> = vec![
            (1, |generator, which| generator.script.note(which)),
            (1, |generator, which| generator.script.announce(which)),
            (1, |generator, which| generator.script.finalize(which)),
            (1, |generator, which| generator.script.pause_collection(which)),
        ];
        if state.is_canceling {
            acts.push((4, |generator, which| generator.script.reactivate(which)));
        } else {
            acts.push((2, |generator, which| generator.script.cancel(which)));
            acts.push((1, Self::cancel_on));
        }
        if state.is_pending {
            acts.push((6, |generator, which| generator.script.apply_pending(which)));
            acts.push((3, |generator, which| generator.script.expire_pending(which)));
        } else if !state.is_switch_unpaid {
            acts.push((14, Self::change_plan));
        }
        if self.script.subscriptions[which].upgrade.is_some() && state.is_upgrade_unpaid {
            acts.push((7, |generator, which| generator.script.pay_upgrade(which)));
            acts.push((2, Self::retry_upgrade));
        }
        if state.is_settled() && state.status != "past_due" {
            acts.push((4, Self::burst));
        }
        if state.may_change_interval() {
            acts.push((2, Self::switch));
        }
        let is_scheduled = self.script.subscriptions[which].scheduled.is_some();
        if state.may_change_interval() && !is_scheduled && state.tier > PaidTier::Basic {
            acts.push((3, Self::schedule));
        }
        if !self.script.shown(which).metadata.is_empty() {
            acts.push((1, Self::delete_account));
        }
        acts
    }

    /// Changes the tier, if that is possible.
    pub(super) fn change_plan(&mut self, which: usize) {
        let state = self.situation(which);
        let is_up = match state.status {
            "trialing" | "active" => state.may_upgrade() && self.random.chance(45),
            _ => false,
        } && !state.is_switch_unpaid;
        if is_up {
            self.upgrade(which, &state);
        } else if state.may_downgrade() {
            self.downgrade(which, &state);
        } else {
            self.script.note(which);
        }
    }

    fn upgrade(&mut self, which: usize, state: &Situation) {
        if state.is_odd {
            let higher: Vec<PaidTier> = PaidTier::ALL.into_iter().filter(|tier| *tier > state.tier).collect();
            let (tier, interval) = (self.random.pick(&higher), self.interval(50));
            return self.script.upgrade(which, tier.price(interval), UpgradePayment::Paid);
        }
        let higher: Vec<PaidTier> = PaidTier::ALL.into_iter().filter(|tier| *tier > state.tier).collect();
        let tier = self.random.pick(&higher);
        let same = tier.price(state.interval);
        if state.status == "trialing" {
            let is_end = self.random.chance(30) && !state.is_canceling;
            if is_end {
                return self.script.upgrade_out_of_trial(which, same);
            }
            return self.script.upgrade(which, same, UpgradePayment::Paid);
        }
        if state.is_settled() && self.random.chance(12) {
            let failure = self.failure();
            return self.script.upgrade_pending(which, same, failure);
        }
        if self.random.chance(40) && self.script.subscriptions[which].scheduled.is_none() {
            let failed = self.failed_payment();
            return self.script.upgrade(which, same, UpgradePayment::Failed(failed));
        }
        let payments = [
            (5, UpgradePayment::Paid),
            (2, UpgradePayment::Items),
            (2, UpgradePayment::Free),
        ];
        let payment = self.random.pick_weighted(&payments).unwrap_or(UpgradePayment::Paid);
        let is_other = state.may_change_interval() && payment == UpgradePayment::Paid && self.random.chance(30);
        let price = if is_other {
            tier.price(other(state.interval))
        } else {
            same
        };
        self.script.upgrade(which, price, payment);
    }

    pub(super) fn failed_payment(&mut self) -> FailedPayment {
        let aftermaths = [
            StatusAfterFailure::Unchanged,
            StatusAfterFailure::PastDueAtOnce,
            StatusAfterFailure::PastDueLater,
        ];
        FailedPayment {
            failure: self.failure(),
            status: self.random.pick(&aftermaths),
            is_named: self.random.chance(80),
            lag_seconds: self.random.pick(&[0, 0, 1, 5]),
        }
    }

    fn downgrade(&mut self, which: usize, state: &Situation) {
        let lower: Vec<PaidTier> = PaidTier::ALL.into_iter().filter(|tier| *tier < state.tier).collect();
        let mut tier = self.random.pick(&lower);
        let mut credit = self.credit(45);
        if state.is_upgrade_unpaid {
            let from = self.script.held_back(which).map_or(state.tier, |plan| plan.tier());
            tier = tier.min(from);
            if tier < from {
                credit = self.credit(100);
            }
        } else if (state.has_failed_invoice && !state.is_cycle_unpaid) || state.has_shorter_grace {
            credit = self.credit(100);
        }
        let is_other = state.may_change_interval() && self.random.chance(40);
        let interval = if is_other {
            other(state.interval)
        } else {
            state.interval
        };
        self.script.downgrade(which, tier.price(interval), credit);
        if state.status == "active" {
            // The customer does not pay for the tier that was given up.
            self.script.subscriptions[which].cycle = None;
        }
        if state.is_upgrade_unpaid {
            self.script.subscriptions[which].upgrade = None;
        }
    }

    fn credit(&mut self, percent: i64) -> DowngradeCredit {
        let after = self.random.pick(&[0, 0, 1, 20, 50, -1, -20, -50]);
        match (self.random.chance(percent), self.random.chance(50)) {
            (false, _) => DowngradeCredit::None,
            (true, true) => DowngradeCredit::Invoice { after },
            (true, false) => DowngradeCredit::Item { after },
        }
    }

    fn switch(&mut self, which: usize) {
        let state = self.situation(which);
        let credit = self.credit(50);
        let price = state.tier.price(other(state.interval));
        self.script.switch(which, price, credit);
    }

    fn schedule(&mut self, which: usize) {
        let state = self.situation(which);
        let lower: Vec<PaidTier> = PaidTier::ALL.into_iter().filter(|tier| *tier < state.tier).collect();
        let (tier, interval) = (self.random.pick(&lower), self.interval(40));
        self.script.schedule(which, tier.price(interval));
    }

    fn burst(&mut self, which: usize) {
        let state = self.situation(which);
        if state.has_shorter_grace || state.is_odd {
            return self.script.burst(which, &[BurstStep::Note, BurstStep::Note]);
        }
        let mut others: Vec<PaidTier> = PaidTier::ALL.into_iter().filter(|tier| *tier != state.tier).collect();
        self.random.shuffle(&mut others);
        let price = |tier: PaidTier| BurstStep::Price(tier.price(state.interval));
        let (a, b, c) = (price(state.tier), price(others[0]), price(others[1]));
        let of_prices: [&[BurstStep]; 3] = [&[b, a, c], &[b, a], &[b, c]];
        let of_all: [&[BurstStep]; 3] = if state.is_canceling {
            [
                &[b, BurstStep::Note, BurstStep::Reactivate],
                &[BurstStep::Reactivate, BurstStep::Note, BurstStep::Cancel],
                &[BurstStep::Reactivate, b],
            ]
        } else {
            [
                &[b, BurstStep::Note, BurstStep::Cancel],
                &[BurstStep::Note, BurstStep::Cancel, BurstStep::Reactivate],
                &[BurstStep::Cancel, b],
            ]
        };
        let bursts = if self.random.chance(50) { of_prices } else { of_all };
        let steps = self.random.pick(&bursts);
        self.script.burst(which, steps);
    }

    fn cancel_on(&mut self, which: usize) {
        let end = self.script.shown(which).period.end;
        let beyond = end + self.random.between(1, 20) * DAY;
        let inside = self.script.clock() + (end - self.script.clock()) * 3 / 4;
        let at = if self.random.chance(60) { beyond } else { inside };
        self.script.cancel_on(which, at);
    }

    fn retry_upgrade(&mut self, which: usize) {
        let invoice = self.script.subscriptions[which]
            .upgrade
            .as_ref()
            .map(|invoice| &invoice.id);
        // Days later the time does not link the invoice to the upgrade any more.
        if invoice == self.script.shown(which).latest_invoice.as_ref() {
            let failure = self.failure();
            self.script.retry_upgrade(which, failure);
        } else {
            self.script.note(which);
        }
    }

    fn delete_account(&mut self, which: usize) {
        let is_end = self.random.chance(60);
        self.script.delete_account(which, is_end);
        self.is_account_deleted = true;
    }

    /// A random interval: a year in `yearly_percent` of all cases.
    pub(super) fn interval(&mut self, yearly_percent: i64) -> Interval {
        if self.random.chance(yearly_percent) {
            Interval::Year
        } else {
            Interval::Month
        }
    }
}

pub(super) const fn other(interval: Interval) -> Interval {
    match interval {
        Interval::Year => Interval::Month,
        _ => Interval::Year,
    }
}
