//! Plays a life by chance: when something happens, and to which subscription.

use crate::fixtures::{ApiVersion, DAY};
use crate::merchant::dice::Dice;
use crate::merchant::{Failure, Life, Link, Order, Renewal, Script, Terms, Tier};
use std::cmp::Ordering;

const HOUR: i64 = 3_600;
/// So long before the end of a period nothing but that end is played, and so long after it an
/// invoice may be told: who changes in between changes a period of which nobody knows whether
/// it will be paid.
const EVE: i64 = 2 * HOUR;
/// When a life has so many events, it ends: the last act makes it some more.
const EVENTS_MOST: usize = 32;
const EVENTS_LEAST: usize = 5;
/// How long an incomplete subscription waits for its first payment.
const PATIENCE: i64 = 23 * HOUR;

/// How fast a life is.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// The age of the life.
    span: (i64, i64),
    /// The time between two acts.
    gap: (i64, i64),
    /// How many of a hundred subscriptions are yearly at first.
    yearly: i64,
}

const PACES: [(i64, Pace); 4] = [
    (
        25,
        Pace {
            span: (6 * HOUR, 20 * DAY),
            gap: (200, 3 * DAY),
            yearly: 30,
        },
    ),
    (
        40,
        Pace {
            span: (20 * DAY, 110 * DAY),
            gap: (HOUR, 14 * DAY),
            yearly: 30,
        },
    ),
    (
        20,
        Pace {
            span: (60 * DAY, 300 * DAY),
            gap: (2 * DAY, 40 * DAY),
            yearly: 70,
        },
    ),
    (
        15,
        Pace {
            span: (360 * DAY, 545 * DAY),
            gap: (5 * DAY, 90 * DAY),
            yearly: 90,
        },
    ),
];

/// Who plays.
#[derive(Debug)]
pub(super) struct Player {
    pub(super) dice: Dice,
    pub(super) script: Script,
    /// Whether the account was deleted: nobody comes back then.
    pub(super) is_forgotten: bool,
    pace: Pace,
    now: i64,
    /// The last time at which anything happens by chance.
    last: i64,
}

impl Player {
    pub(super) fn new(seed: u64, number: usize, now: i64) -> Self {
        let mut dice = Dice::new(seed, number);
        let version = ApiVersion::ALL[number % ApiVersion::ALL.len()];
        let pace = dice.weigh(&PACES).unwrap_or(PACES[0].1);
        let start = now - dice.between(pace.span.0, pace.span.1);
        let script = Script::new(version, &format!("user_{seed}_{number}"), start);
        let is_terse = pace.span.1 > 200 * DAY || dice.chance(30);
        Self {
            script: if is_terse { script.terse() } else { script },
            is_forgotten: false,
            pace,
            now,
            last: now - dice.between(120, 90 * 60),
            dice,
        }
    }

    pub(super) fn play(mut self) -> Life {
        let order = self.order(None);
        self.check_out(&order);
        let mut is_abandoned = self.is_abandoned();
        while !is_abandoned && self.script.len() < EVENTS_MOST && self.step() {
            is_abandoned = self.is_abandoned();
        }
        if !is_abandoned && self.script.len() < EVENTS_MOST {
            self.finale();
        }
        while self.script.len() < EVENTS_LEAST {
            self.script.wait(1);
            self.script.move_house(0);
        }
        self.script.life(self.now)
    }

    /// What is due, or something by chance. Returns whether there is time for more.
    fn step(&mut self) -> bool {
        let gap = self.gap();
        let at = self.script.clock() + gap;
        if let Some((due, which)) = self.next_due().filter(|(due, _)| due - EVE <= at) {
            if due.max(self.script.clock()) + EVE > self.last {
                return false;
            }
            // What is late by the act before it keeps its distance from that.
            self.script.wait(180);
            self.attempt(|player| player.meet(which));
        } else if at > self.last {
            return false;
        } else {
            self.script.wait(gap);
            self.attempt(Self::act);
        }
        true
    }

    fn gap(&mut self) -> i64 {
        let (least, most) = self.pace.gap;
        let statuses: Vec<&str> = self
            .alive()
            .iter()
            .map(|which| self.script.shown(*which).status)
            .collect();
        // Else little would happen in states that are soon over.
        let most = if statuses.contains(&"incomplete") {
            most.min(2 * PATIENCE)
        } else if statuses.contains(&"trialing") {
            most.min(3 * DAY)
        } else {
            most
        };
        self.dice.between(least.min(most / 2), most)
    }

    /// Whether the life is left at a dead end, of which few would be seen at now otherwise.
    fn is_abandoned(&mut self) -> bool {
        let latest = self.latest().map(|which| self.script.shown(which).status);
        latest.is_some_and(|status| matches!(status, "incomplete" | "unpaid" | "paused")) && self.dice.chance(25)
    }

    /// Something shortly before now, where that fits: else few lives would end with a grace.
    fn finale(&mut self) {
        let at = self.now - self.dice.between(120, 2 * HOUR);
        let is_clear = self.next_due().is_none_or(|(due, _)| due - EVE > self.now);
        if is_clear && at >= self.script.clock() + 180 {
            self.script.wait(at - self.script.clock());
            self.attempt(|player| match player.latest() {
                Some(which) if player.dice.chance(70) => player.change_plan(which),
                _ => player.act(),
            });
        }
    }

    /// Plays `what`, unless it leads to where nobody says which subscription is the current one.
    fn attempt(&mut self, what: impl FnOnce(&mut Self)) {
        let before = self.script.clone();
        what(self);
        if !self.script.books().is_decided(self.now) {
            self.script = before;
            self.settle_rivalry();
        }
        if self.dice.chance(12) {
            let back = self.dice.below(5);
            self.script.twin(back);
        }
    }

    /// Of several entitled subscriptions all but the latest end, where they would compete.
    fn settle_rivalry(&mut self) {
        let pages = self.script.books().statements().iter().enumerate();
        let entitled: Vec<usize> = pages
            .filter(|(_, page)| page.is_entitled())
            .map(|(which, _)| which)
            .collect();
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
        let pages = self.script.books().statements().iter().enumerate();
        let is_alive = |status| !matches!(status, "canceled" | "incomplete_expired");
        pages
            .filter(|(_, page)| is_alive(page.shown.status))
            .map(|(which, _)| which)
            .collect()
    }

    fn latest(&self) -> Option<usize> {
        self.alive().last().copied()
    }

    fn act(&mut self) {
        let alive = self.alive();
        let Some(latest) = alive.last().copied() else {
            if self.is_forgotten || self.dice.chance(30) {
                return self.script.move_house(0);
            }
            return self.come_back();
        };
        let which = if self.dice.chance(75) {
            latest
        } else {
            self.dice.pick(&alive)
        };
        self.choose(which);
    }

    /// A new subscription of the same customer, or of another one.
    pub(super) fn come_back(&mut self) {
        let customer = self.script.shown(0).customer.clone();
        let customer = self.dice.chance(60).then_some(customer);
        let order = self.order(customer);
        self.check_out(&order);
    }

    fn order(&mut self, customer: Option<String>) -> Order {
        use Link::{Customer, Dashboard, Metadata, SessionMetadata, SessionReference};
        let links = [
            (40, Metadata),
            (25, SessionMetadata),
            (25, SessionReference),
            (6, Customer),
            (6, Dashboard),
        ];
        let link = self.dice.weigh(&links).unwrap_or(Metadata);
        let interval = self.interval(self.pace.yearly);
        let tier = self.dice.pick(&Tier::ALL);
        let days = self.dice.between(2, 7);
        let terms = [(70, Terms::Full), (8, Terms::Coupon), (22, Terms::Trial(days))];
        Order {
            customer,
            price: tier.price(interval),
            link,
            terms: self.dice.weigh(&terms).unwrap_or(Terms::Full),
        }
    }

    fn check_out(&mut self, order: &Order) {
        if self.dice.chance(8) {
            let order = Order {
                terms: Terms::Full,
                ..order.clone()
            };
            let failure = self.failure();
            self.script.checkout_unpaid(&order, failure);
        } else {
            self.script.checkout(order);
        }
    }

    pub(super) fn failure(&mut self) -> Failure {
        self.dice
            .pick(&[Failure::Refused, Failure::Refused, Failure::ActionRequired])
    }

    /// When which subscription's next fixed date is, the earliest first.
    fn next_due(&self) -> Option<(i64, usize)> {
        let dues = self.alive().into_iter().filter_map(|which| {
            let shown = self.script.shown(which);
            let due = match shown.status {
                "incomplete" => shown.created + PATIENCE,
                "trialing" | "active" | "past_due" => {
                    let end = shown.period.end;
                    shown.cancel_at.map_or(end, |at| at.min(end))
                }
                _ => return None,
            };
            Some((due, which))
        });
        dues.min()
    }

    /// The date of the subscription `which` is there.
    fn meet(&mut self, which: usize) {
        let shown = self.script.shown(which).clone();
        let is_over = shown.cancel_at.is_some_and(|at| at <= shown.period.end);
        let is_failed = self.script.affairs[which].cycle.is_some() && shown.status == "past_due";
        match shown.status {
            "incomplete" => {
                let rest = shown.created + PATIENCE - self.script.clock();
                self.script.wait(rest.max(0));
                self.script.expire(which);
            }
            _ if shown.pending_update.is_some() => self.script.expire_pending(which),
            _ if is_over => self.script.end_as_asked(which),
            "trialing" if self.dice.chance(15) => self.script.pause(which),
            // Stripe's retries are over long before the next period.
            _ if is_failed && self.dice.chance(50) => self.script.give_up(which),
            _ if is_failed => self.script.end(which),
            status => {
                let outcome = self.outcome(status);
                self.script.renew(which, outcome);
            }
        }
    }

    fn outcome(&mut self, status: &str) -> Renewal {
        let after = match self.dice.between(0, 2).cmp(&1) {
            Ordering::Less => 0,
            Ordering::Equal => self.dice.between(1, 30),
            Ordering::Greater => HOUR,
        };
        if self.dice.chance(if status == "trialing" { 35 } else { 25 }) {
            Renewal::Failed {
                after,
                failure: self.failure(),
                is_past_due: self.dice.chance(70),
            }
        } else {
            Renewal::Paid { after }
        }
    }
}
