//! Makes a random life: it chooses when something happens, and to which subscription.

use crate::fixtures::{ApiVersion, DAY};
use crate::merchant::books::PriceList;
use crate::merchant::kinds::{Kind, Kinds};
use crate::merchant::{Life, PaidTier, PaymentFailure, RenewalPayment, Script};
use crate::random::SeededRandom;
use std::cmp::Ordering;

const HOUR: i64 = 3_600;
/// Only the end of a period happens in this time before it, and its invoice comes within this time after
/// it. A change in between would change a period whose payment is not known yet.
const QUIET_SECONDS: i64 = 2 * HOUR;
/// A life with so many events ends. Its last act may add a few more.
const EVENTS_MAX: usize = 32;
const EVENTS_MIN: usize = 5;
/// How long an incomplete subscription waits for its first payment.
const INCOMPLETE_SECONDS: i64 = 23 * HOUR;

/// How long a life is, and how often something happens in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// The bounds of the life's age, in seconds.
    span: (i64, i64),
    /// The bounds of the time between two acts, in seconds.
    gap: (i64, i64),
    /// The share of subscriptions that begin as yearly.
    pub(super) yearly_percent: i64,
}

const PACES: [(i64, Pace); 4] = [
    (
        25,
        Pace {
            span: (6 * HOUR, 20 * DAY),
            gap: (200, 3 * DAY),
            yearly_percent: 30,
        },
    ),
    (
        40,
        Pace {
            span: (20 * DAY, 110 * DAY),
            gap: (HOUR, 14 * DAY),
            yearly_percent: 30,
        },
    ),
    (
        20,
        Pace {
            span: (60 * DAY, 300 * DAY),
            gap: (2 * DAY, 40 * DAY),
            yearly_percent: 70,
        },
    ),
    (
        15,
        Pace {
            span: (360 * DAY, 545 * DAY),
            gap: (5 * DAY, 90 * DAY),
            yearly_percent: 90,
        },
    ),
];

/// The state of a life under construction.
#[derive(Debug)]
pub(super) struct LifeGenerator {
    pub(super) random: SeededRandom,
    pub(super) script: Script,
    /// Whether the account was deleted. Then no new subscription begins.
    pub(super) is_account_deleted: bool,
    /// The kinds that this life is about, beside what every life has.
    pub(super) kinds: Kinds,
    /// The price list that comes into force at some time.
    next_list: Option<PriceList>,
    pub(super) pace: Pace,
    pub(super) now: i64,
    /// The latest time of a random act.
    last: i64,
}

impl LifeGenerator {
    pub(super) fn new(kinds: &Kinds, seed: u64, number: usize, now: i64) -> Self {
        let mut random = SeededRandom::new(seed, number);
        let version = ApiVersion::ALL[number % ApiVersion::ALL.len()];
        let pace = random.pick_weighted(&PACES).unwrap_or(PACES[0].1);
        let start = now - random.between(pace.span.0, pace.span.1);
        let own = kinds.some(&mut random);
        let mut script = Script::new(version, &format!("user_{seed}_{number}"), start);
        if kinds.need_extended_catalog() {
            script = script.selling(PriceList::extended());
        }
        if own.has(Kind::MoneyBack) {
            script = script.with_charges();
        }
        let has_single_payment_events = pace.span.1 > 200 * DAY || random.chance(30);
        Self {
            script: if has_single_payment_events {
                script.single_payment_events()
            } else {
                script
            },
            is_account_deleted: false,
            kinds: own,
            next_list: None,
            pace,
            now,
            last: now - random.between(120, 90 * 60),
            random,
        }
    }

    /// Has the catalog change once.
    pub(super) fn under_two_catalogs(mut self) -> Self {
        let list = PriceList::shipped().with_tokens(PaidTier::Basic, 6_000_000);
        self.next_list = Some(list.with_tokens(PaidTier::Plus, 8_000_000));
        self
    }

    pub(super) fn generate(mut self) -> Life {
        let order = self.order(None);
        self.check_out(&order);
        let mut is_abandoned = self.is_abandoned();
        while !is_abandoned && self.script.len() < EVENTS_MAX && self.step() {
            is_abandoned = self.is_abandoned();
            if self.random_list_change() {
                self.change_list();
            }
        }
        if !is_abandoned && self.script.len() < EVENTS_MAX {
            self.last_act();
        }
        while self.script.len() < EVENTS_MIN {
            self.script.wait(1);
            self.script.add_card(0);
        }
        self.change_list();
        if self.kinds.has(Kind::Usage) {
            self.report_usage();
        }
        self.script.life(self.now)
    }

    fn random_list_change(&mut self) -> bool {
        self.next_list.is_some() && self.random.chance(30)
    }

    fn change_list(&mut self) {
        if let Some(list) = self.next_list.take() {
            self.script.wait(1);
            self.script.change_list(list);
        }
    }

    /// Adds the act that is due, or a random one. Returns whether there is time for more.
    fn step(&mut self) -> bool {
        let gap = self.gap();
        let at = self.script.clock() + gap;
        if let Some((due, which)) = self.next_due()
            && due - QUIET_SECONDS <= at
        {
            if due.max(self.script.clock()) + QUIET_SECONDS > self.last {
                return false;
            }
            // An act that is late because of the one before it keeps its distance from that one.
            self.script.wait(180);
            self.attempt(|generator| generator.due_act(which));
        } else if at > self.last {
            return false;
        } else {
            self.script.wait(gap);
            self.attempt(Self::random_act);
        }
        true
    }

    fn gap(&mut self) -> i64 {
        let (min, max) = self.pace.gap;
        let statuses: Vec<&str> = self
            .alive()
            .iter()
            .map(|which| self.script.shown(*which).status)
            .collect();
        // These states end soon; without shorter gaps few acts would happen in them.
        let max = if statuses.contains(&"incomplete") {
            max.min(2 * INCOMPLETE_SECONDS)
        } else if statuses.contains(&"trialing") {
            max.min(3 * DAY)
        } else {
            max
        };
        self.random.between(min.min(max / 2), max)
    }

    /// Whether the life stops in a state without further acts. Otherwise few lives would end in one.
    fn is_abandoned(&mut self) -> bool {
        let latest = self.latest().map(|which| self.script.shown(which).status);
        latest.is_some_and(|status| matches!(status, "incomplete" | "unpaid" | "paused")) && self.random.chance(25)
    }

    /// Adds an act shortly before `now`, if no date is near. Otherwise few lives would end with a grace.
    fn last_act(&mut self) {
        let at = self.now - self.random.between(120, 2 * HOUR);
        let is_clear = self.next_due().is_none_or(|(due, _)| due - QUIET_SECONDS > self.now);
        if is_clear && at >= self.script.clock() + 180 {
            self.script.wait(at - self.script.clock());
            self.attempt(|generator| match generator.latest() {
                Some(which) if generator.random.chance(70) => generator.change_plan(which),
                _ => generator.random_act(),
            });
        }
    }

    /// Adds an act, unless the rules then do not say which subscription is the current one.
    fn attempt(&mut self, act: impl FnOnce(&mut Self)) {
        let before = self.script.clone();
        act(self);
        if !self.script.books().is_decided(self.now) {
            self.script = before;
            self.end_competitor();
        }
        if self.random.chance(12) {
            let back = self.random.below(5);
            self.script.twin(back);
        }
    }

    /// Ends the first of several entitled subscriptions, unless the rules then do not say which one is current.
    fn end_competitor(&mut self) {
        let alive = self.script.alive().into_iter();
        let entitled: Vec<usize> = alive.filter(|which| self.script.is_entitled(*which)).collect();
        if let [first, _, ..] = entitled[..] {
            let before = self.script.clone();
            self.script.end(first);
            if !self.script.books().is_decided(self.now) {
                self.script = before;
            }
        }
    }

    /// The subscriptions that have not ended.
    fn alive(&self) -> Vec<usize> {
        self.script.alive()
    }

    fn latest(&self) -> Option<usize> {
        self.alive().last().copied()
    }

    fn random_act(&mut self) {
        let alive = self.alive();
        let Some(latest) = alive.last().copied() else {
            if self.is_account_deleted || self.random.chance(30) {
                return self.script.add_card(0);
            }
            return self.new_subscription();
        };
        let which = if self.random.chance(75) {
            latest
        } else {
            self.random.pick(&alive)
        };
        self.choose(which);
    }

    /// Adds a new subscription of the same customer, or of another one.
    pub(super) fn new_subscription(&mut self) {
        let customer = self.script.shown(0).customer.clone();
        let customer = self.random.chance(60).then_some(customer);
        let order = self.order(customer);
        self.check_out(&order);
    }

    pub(super) fn failure(&mut self) -> PaymentFailure {
        self.random.pick(&[
            PaymentFailure::Refused,
            PaymentFailure::Refused,
            PaymentFailure::ActionRequired,
        ])
    }

    /// The earliest fixed date of all subscriptions (Unix time), and the subscription.
    fn next_due(&self) -> Option<(i64, usize)> {
        let dues = self.alive().into_iter().filter_map(|which| {
            let shown = self.script.shown(which);
            let due = match shown.status {
                "incomplete" => shown.created + INCOMPLETE_SECONDS,
                "trialing" | "active" | "past_due" => {
                    let ends = shown.others.iter().map(|item| item.period.end);
                    let end = ends.chain([shown.period.end]).min().unwrap_or(shown.period.end);
                    shown.cancel_at.map_or(end, |at| at.min(end))
                }
                _ => return None,
            };
            Some((due, which))
        });
        dues.min()
    }

    /// Adds the act at the fixed date of the subscription `which`.
    fn due_act(&mut self, which: usize) {
        let shown = self.script.shown(which).clone();
        let is_over = shown.cancel_at.is_some_and(|at| at <= shown.period.end);
        let lone = shown.others.iter().position(|item| {
            item.period.end < shown.period.end && item.period.end < shown.cancel_at.unwrap_or(i64::MAX)
        });
        let is_failed = self.script.subscriptions[which].cycle.is_some() && shown.status == "past_due";
        match shown.status {
            "incomplete" => {
                let rest = shown.created + INCOMPLETE_SECONDS - self.script.clock();
                self.script.wait(rest.max(0));
                self.script.expire(which);
            }
            _ if lone.is_some() => self.script.renew_item(which, lone.unwrap_or_default()),
            _ if self.script.is_switch_unpaid(which) => self.script.end(which),
            _ if shown.pending_update.is_some() => self.script.expire_pending(which),
            _ if is_over => self.script.end_as_requested(which),
            "trialing" if self.random.chance(15) => self.script.pause(which),
            // Stripe stops its retries long before the next period.
            _ if is_failed && self.random.chance(50) => self.script.give_up(which),
            _ if is_failed => self.script.end(which),
            status => {
                let outcome = self.outcome(status);
                self.script.renew(which, outcome);
            }
        }
    }

    fn outcome(&mut self, status: &str) -> RenewalPayment {
        let after = match self.random.between(0, 2).cmp(&1) {
            Ordering::Less => 0,
            Ordering::Equal => self.random.between(1, 30),
            Ordering::Greater => HOUR,
        };
        if self.random.chance(if status == "trialing" { 35 } else { 25 }) {
            RenewalPayment::Failed {
                after,
                failure: self.failure(),
                is_past_due: self.random.chance(70),
            }
        } else {
            RenewalPayment::Paid { after }
        }
    }
}
