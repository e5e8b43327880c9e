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
        Period, Seconds,
    },
    ids::UserId,
    testkit::{
        DAY, T0, TimedFact, changed, created, cycle, facts, has, invoice, month, pack, random, refunded, shipped,
    },
};
use proptest::{
    collection::vec,
    prelude::{Just, Strategy, any, prop_assert_eq, prop_oneof, proptest},
};

const M: i64 = 1_000_000;
const CAP: i64 = 10 * M;
/// By interval, then by tier.
const PRICES: [[&str; 3]; 2] = [
    ["basic_monthly", "plus_monthly", "max_monthly"],
    ["basic_yearly", "plus_yearly", "max_yearly"],
];

#[derive(Debug, Clone)]
enum BookkeeperAct {
    Use(i64),
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

/// The second implementation. It keeps a balance and writes down the events.
#[derive(Debug)]
struct Bookkeeper {
    events: Vec<TimedFact>,
    usage: Vec<UsageSum>,
    price: Price,
    kept: Option<KeptTier>,
    period: Period,
    /// When the period's own invoice is paid; none if never.
    paid_at: Option<Seconds>,
    /// The prices in force in this period, each with the kept one and its first second.
    sold: Vec<(Seconds, Price, Option<Price>)>,
    used: i64,
    rollover: i64,
    purchased: i64,
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
            usage: Vec::new(),
            price: (0, 1),
            kept: None,
            period: month(0),
            paid_at: Some(T0),
            sold: vec![(T0, (0, 1), None)],
            used: 0,
            rollover: 0,
            purchased: 0,
            waiting: None,
            pack: None,
        }
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
                self.rollover += due.unused.min((CAP - self.rollover).max(0));
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
            Some(_) => (self.sold_until(ended.end, true) - self.used).max(0),
            None => 0,
        };
        let begins = Period {
            start: ended.end,
            end: ended.end + length(self.price),
        };
        self.events
            .push((begins.start - T0, changed(has(key(self.price), begins))));
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
        (self.period, self.paid_at, self.used) = (period, paid_at, 0);
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
        self.events.push((at - T0, changed(has(key(price), self.period))));
        if credited {
            let mut bill = invoice(&format!("in_{at}"), Paid, "subscription_update", self.period);
            (bill.lines[0].proration, bill.lines[0].amount, bill.total) = (true, -500, 0);
            self.events.push((at - T0 + 1, FactBody::Invoice(bill)));
        }
    }

    fn switch(&mut self, at: Seconds, tier: usize, credited: bool) {
        if credited {
            let sold = self.sold_until(at, self.paid_at.is_some());
            self.rollover -= (self.used - sold).max(0);
        } else if self.paid_at.is_some() {
            self.rollover += (self.sold_until(self.period.end, true) - self.used).max(0);
        }
        let price = (1 - self.price.0, tier);
        self.keep(at, price, credited);
        let begins = Period {
            start: at,
            end: at + length(price),
        };
        self.events.push((at - T0, changed(has(key(price), begins))));
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
                self.usage.push(UsageSum { at, amount: *amount });
                let mut left = *amount;
                let mut pay = |there: i64| {
                    let part = left.min(there.max(0));
                    left -= part;
                    part
                };
                self.used += pay(self.limit(at) - self.used);
                self.rollover -= pay(self.rollover);
                self.purchased -= pay(self.purchased);
                self.rollover -= left;
            }
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
                let there = more.min(self.purchased);
                self.purchased -= there;
                self.rollover -= more - there;
                self.pack = Some((session, credits, cents));
            }
        }
    }

    fn grant(&mut self, credits: i64) {
        let debt = (-self.rollover).clamp(0, credits);
        self.rollover += debt;
        self.purchased += credits - debt;
    }
}

/// Pauses of hours, days or months, and what happens after each.
fn acts() -> impl Strategy<Value = Vec<(Seconds, BookkeeperAct)>> {
    let act = prop_oneof![
        6 => (0..9 * M).prop_map(BookkeeperAct::Use),
        1 => (0..90 * M).prop_map(BookkeeperAct::Use),
        3 => (0..3_usize, any::<bool>()).prop_map(|(tier, credited)| BookkeeperAct::Change(tier, credited)),
        1 => (0..3_usize, any::<bool>()).prop_map(|(tier, credited)| BookkeeperAct::Switch(tier, credited)),
        1 => (1..9_i64).prop_map(BookkeeperAct::Buy),
        1 => (1..700_i64).prop_map(BookkeeperAct::Refund),
    ];
    let pause = prop_oneof![9 => 7_201..12 * DAY, 1 => 12 * DAY..200 * DAY];
    vec((pause, act), 1..25)
}

fn bills() -> impl Strategy<Value = Vec<PaidAfter>> {
    let bill = prop_oneof![
        4 => Just(Some(3_600)),
        1 => (7_200..20 * DAY).prop_map(Some),
        1 => Just(None),
    ];
    vec(bill, 200)
}

proptest! {
    #![proptest_config(random(4_000))]

    #[test]
    fn the_replay_equals_the_bookkeepers_balance(
        acts in acts(),
        bills in bills(),
        turn in 0..50_usize,
    ) {
        let mut bookkeeper = Bookkeeper::open();
        let mut bills = bills.into_iter();
        let mut now = T0;
        for (pause, act) in &acts {
            now += pause;
            bookkeeper.wait(now, &mut bills);
            // Nothing else happens in the hour in which a renewal is collected.
            if now - bookkeeper.period.start <= 3_600 {
                now += 3_601;
                bookkeeper.wait(now, &mut bills);
            }
            bookkeeper.act(now, act);
        }
        // A later payment comes too, as it changes whether the period was paid.
        now = bookkeeper.waiting.map_or(now, |due| due.at.max(now));
        bookkeeper.wait(now, &mut bills);
        let facts = facts(&bookkeeper.events);
        let arrived = facts.iter().skip(turn % facts.len()).chain(facts.iter().take(turn % facts.len())).rev();
        let timeline = Timeline::of(&UserId::new("u1"), arrived);
        let replayed = replay(&timeline, "tokens", &bookkeeper.usage).expect("in range");
        let balance = &replayed.balance;
        prop_assert_eq!(
            (balance.limits.at(now), balance.used, balance.carried.rollover, balance.carried.purchased),
            (Some(bookkeeper.limit(now)), bookkeeper.used, bookkeeper.rollover, bookkeeper.purchased),
            "{:#?}", replayed
        );
    }
}
