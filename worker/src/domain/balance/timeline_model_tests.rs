//! Balances compared with a second implementation: a bookkeeper applies the rules one
//! after the other, while things happen. The replay of the same facts must give the
//! same balance.

use crate::domain::{
    balance::{
        replay::replay,
        timeline::{Timeline, UsageSum},
    },
    fact::{
        FactBody,
        InvoiceStep::{Failed, Paid},
        Period, Seconds, Snapshot,
    },
    ids::UserId,
    testkit::{
        DAY, T0, TimedFact, changed, created, cycle, facts, has, invoice, month, pack, random, refunded, shipped, user,
    },
};

const M: i64 = 1_000_000;
const CAP: i64 = 10 * M;
const USERS: [&str; 2] = ["u1", "u2"];
/// By interval, then by tier.
const PRICES: [[&str; 3]; 2] = [
    ["basic_monthly", "plus_monthly", "max_monthly"],
    ["basic_yearly", "plus_yearly", "max_yearly"],
];

#[derive(Debug, Clone)]
enum BookkeeperAct {
    Use(i64),
    /// The user who does not have the subscription uses something.
    UseOther(i64),
    /// The subscription goes to the other user.
    HandOver,
    /// To this tier, and whether that gives money back.
    Change(usize, bool),
    /// To the other interval and this tier, paid at once, and whether that gives money back.
    Switch(usize, bool),
    Buy(i64),
    /// A further refund of the last pack, in cents of its 10.00.
    Refund(i64),
}

/// How many seconds after its due time a renewal is paid; none if never.
type PaidAfter = Option<Seconds>;

/// A price: interval and tier, as places in [`PRICES`].
type Price = (usize, usize);

/// A tier that stays after a downgrade.
#[derive(Debug, Clone, Copy)]
struct KeptTier {
    price: Price,
    until: Seconds,
    /// The first second of the period in which it began.
    began_in: Seconds,
}

/// A renewal that is not paid yet.
#[derive(Debug, Clone, Copy)]
struct DueRenewal {
    at: Seconds,
    /// The unused units of the period before.
    unused: i64,
    ended: Period,
    begins: Period,
}

/// What a user has beside the limit.
#[derive(Debug, Default)]
struct Purse {
    usage: Vec<UsageSum>,
    used: i64,
    rollover: i64,
    purchased: i64,
}

/// The second implementation. It keeps the balances of two users and writes down the events.
#[derive(Debug)]
struct Bookkeeper {
    events: Vec<TimedFact>,
    purses: [Purse; 2],
    /// Who has the subscription.
    owner: usize,
    /// Since when what the period sells is the owner's; the beginning of time without a hand-over.
    part_since: Seconds,
    price: Price,
    kept: Option<KeptTier>,
    period: Period,
    /// When the period's own invoice is paid; none if never.
    paid_at: Option<Seconds>,
    /// The prices in force in this period, each with the kept one and its first second.
    sold: Vec<(Seconds, Price, Option<Price>)>,
    waiting: Option<DueRenewal>,
    /// The last pack: its session, its credits, the refunded cents.
    pack: Option<(String, i64, i64)>,
}

fn key((interval, tier): Price) -> &'static str {
    PRICES[interval][tier]
}

fn length((interval, _): Price) -> Seconds {
    [30 * DAY, 365 * DAY][interval]
}

impl Bookkeeper {
    fn open() -> Self {
        let bill = invoice("in_first", Paid, "subscription_create", month(0));
        Self {
            events: vec![
                (0, created(has("plus_monthly", month(0)))),
                (0, FactBody::Invoice(bill)),
            ],
            purses: Default::default(),
            owner: 0,
            part_since: Seconds::MIN,
            price: (0, 1),
            kept: None,
            period: month(0),
            paid_at: Some(T0),
            sold: vec![(T0, (0, 1), None)],
            waiting: None,
            pack: None,
        }
    }

    fn own(&mut self) -> &mut Purse {
        &mut self.purses[self.owner]
    }

    /// The subscription as Stripe shows it.
    fn snapshot(&self, price: Price, period: Period) -> FactBody {
        changed(Snapshot {
            user: user(USERS[self.owner]),
            ..has(key(price), period)
        })
    }

    /// What a price gives per period, before or after the payment.
    fn gives(price: Price, paid: bool) -> i64 {
        let plan = shipped(key(price));
        let limits = if paid { &plan.limits } else { plan.month_limits() };
        limits["tokens"].expect("a limit")
    }

    /// What was sold in the period until `until`, if what is in force now lasts until then.
    fn sold_until(&self, until: Seconds, paid: bool) -> i64 {
        let length = self.period.end - self.period.start;
        let mut sum: i128 = 0;
        for (place, (since, price, kept)) in self.sold.iter().enumerate() {
            let end = self.sold.get(place + 1).map_or(until, |next| next.0).min(until);
            let limit = kept
                .map_or(0, |kept| Self::gives(kept, paid))
                .max(Self::gives(*price, paid));
            let since = (*since).max(self.part_since);
            sum += i128::from(limit) * i128::from((end - since).max(0));
        }
        i64::try_from(sum / i128::from(length)).expect("in range")
    }

    fn limit(&self, now: Seconds) -> i64 {
        self.sold_until(self.period.end, self.paid_at.is_some_and(|at| at <= now))
    }

    /// Lets time pass. What is due until then happens.
    fn wait(&mut self, until: Seconds, bills: &mut impl Iterator<Item = PaidAfter>) {
        loop {
            if let Some(due) = self.waiting.take_if(|due| due.at <= until) {
                let own = self.own();
                own.rollover += due.unused.min((CAP - own.rollover).max(0));
                self.events.push((due.at - T0, cycle(Paid, due.ended, due.begins)));
            } else if self.period.end <= until {
                self.renew(bills.next().flatten());
            } else {
                return;
            }
        }
    }

    fn renew(&mut self, bill: PaidAfter) {
        let ended = self.period;
        let unused = match self.paid_at {
            Some(_) => (self.sold_until(ended.end, true) - self.own().used).max(0),
            None => 0,
        };
        let begins = Period {
            start: ended.end,
            end: ended.end + length(self.price),
        };
        self.events.push((begins.start - T0, self.snapshot(self.price, begins)));
        if bill != Some(3_600) {
            let fails = cycle(Failed, ended, begins);
            self.events.push((begins.start - T0 + 3_600, fails));
        }
        self.waiting = bill.map(|after| DueRenewal {
            at: begins.start + after,
            unused,
            ended,
            begins,
        });
        self.begin(begins, bill.map(|after| begins.start + after));
    }

    fn begin(&mut self, period: Period, paid_at: Option<Seconds>) {
        (self.period, self.paid_at, self.part_since) = (period, paid_at, Seconds::MIN);
        self.own().used = 0;
        self.kept = self.kept.filter(|kept| kept.until > period.start);
        self.sold = vec![(period.start, self.price, None)];
    }

    /// The kept tier after a change to this price.
    fn keep(&mut self, at: Seconds, price: Price, credited: bool) {
        let running = self.kept.filter(|kept| kept.until > at && kept.price.1 > price.1);
        let begins = price.1 < self.price.1 && self.paid_at.is_some() && !credited;
        let longer = running.filter(|kept| kept.price.1 >= self.price.1);
        self.kept = match (begins, longer) {
            (true, None) => Some(KeptTier {
                price: self.price,
                until: self.period.end,
                began_in: self.period.start,
            }),
            _ => running,
        };
        self.price = price;
    }

    fn change(&mut self, at: Seconds, tier: usize, credited: bool) {
        let price = (self.price.0, tier);
        self.keep(at, price, credited);
        let kept = self.kept.filter(|kept| kept.began_in == self.period.start);
        // A change within the first hundredth counts from the beginning.
        let early = (at - self.period.start) * 100 <= self.period.end - self.period.start;
        if early {
            self.sold.clear();
        }
        let since = if early { self.period.start } else { at };
        self.sold.push((since, price, kept.map(|kept| kept.price)));
        self.events.push((at - T0, self.snapshot(price, self.period)));
        if credited {
            let mut bill = invoice(&format!("in_{at}"), Paid, "subscription_update", self.period);
            (bill.lines[0].proration, bill.lines[0].amount, bill.total) = (true, -500, 0);
            self.events.push((at - T0 + 1, FactBody::Invoice(bill)));
        }
    }

    fn switch(&mut self, at: Seconds, tier: usize, credited: bool) {
        if credited {
            let sold = self.sold_until(at, self.paid_at.is_some());
            let own = self.own();
            own.rollover -= (own.used - sold).max(0);
        } else if self.paid_at.is_some() {
            let sold = self.sold_until(self.period.end, true);
            let own = self.own();
            own.rollover += (sold - own.used).max(0);
        }
        let price = (1 - self.price.0, tier);
        self.keep(at, price, credited);
        let begins = Period {
            start: at,
            end: at + length(price),
        };
        self.events.push((at - T0, self.snapshot(price, begins)));
        let mut bill = invoice(&format!("in_{at}"), Paid, "subscription_update", begins);
        if credited {
            let mut line = bill.lines[0].clone();
            (line.proration, line.amount) = (true, -500);
            bill.lines.push(line);
        }
        self.events.push((at - T0, FactBody::Invoice(bill)));
        self.begin(begins, Some(at));
    }

    fn act(&mut self, at: Seconds, act: &BookkeeperAct) {
        match act {
            BookkeeperAct::Use(amount) => {
                let limit = self.limit(at);
                self.own().spend(at, *amount, limit);
            }
            BookkeeperAct::UseOther(amount) => self.purses[1 - self.owner].spend(at, *amount, 0),
            BookkeeperAct::HandOver => self.hand_over(at),
            BookkeeperAct::Change(tier, credited) => {
                if *tier != self.price.1 {
                    self.change(at, *tier, *credited);
                }
            }
            BookkeeperAct::Switch(tier, credited) => self.switch(at, *tier, *credited),
            BookkeeperAct::Buy(millions) => {
                let session = format!("cs_{at}");
                self.events
                    .push((at - T0, FactBody::Session(pack(&session, "tokens", millions * M))));
                self.grant(millions * M);
                self.pack = Some((session, millions * M, 0));
            }
            BookkeeperAct::Refund(cents) => {
                let Some((session, credits, before)) = self.pack.take() else {
                    return;
                };
                let cents = (before + cents).min(1_000);
                self.events.push((at - T0, refunded(&session, cents)));
                let more = credits * cents / 1_000 - credits * before / 1_000;
                let purse = &mut self.purses[0];
                let there = more.min(purse.purchased);
                purse.purchased -= there;
                purse.rollover -= more - there;
                self.pack = Some((session, credits, cents));
            }
        }
    }

    /// Packs are the first user's.
    fn grant(&mut self, credits: i64) {
        let purse = &mut self.purses[0];
        let debt = (-purse.rollover).clamp(0, credits);
        purse.rollover += debt;
        purse.purchased += credits - debt;
    }

    fn hand_over(&mut self, at: Seconds) {
        // In the first hundredth it counts from the beginning.
        let early = (at - self.period.start) * 100 <= self.period.end - self.period.start;
        let since = if early { self.period.start } else { at };
        let part = self.sold_until(since, self.paid_at.is_some());
        let own = self.own();
        own.rollover -= (own.used - part).max(0);
        // What the period before left goes to nobody, if its renewal is not paid yet.
        if let Some(due) = &mut self.waiting {
            due.unused = 0;
        }
        self.owner = 1 - self.owner;
        self.part_since = since;
        self.own().used = 0;
        self.events.push((at - T0, self.snapshot(self.price, self.period)));
    }
}

impl Purse {
    fn spend(&mut self, at: Seconds, amount: i64, limit: i64) {
        self.usage.push(UsageSum { at, amount });
        let mut left = amount;
        let mut pay = |there: i64| {
            let part = left.min(there.max(0));
            left -= part;
            part
        };
        self.used += pay(limit - self.used);
        self.rollover -= pay(self.rollover);
        self.purchased -= pay(self.purchased);
        self.rollover -= left;
    }
}

#[path = "timeline_model_property_tests.rs"]
mod compared;
