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
    testkit::{DAY, T0, TimedFact, changed, created, cycle, facts, has, month, pack, random, refunded, shipped},
};
use proptest::{
    collection::vec,
    prelude::{Just, Strategy, prop_assert_eq, prop_oneof, proptest},
};

const M: i64 = 1_000_000;
const CAP: i64 = 10 * M;
const PRICES: [&str; 3] = ["basic_monthly", "plus_monthly", "max_monthly"];

#[derive(Debug, Clone)]
enum BookkeeperAct {
    Use(i64),
    /// To the tier with this index in `PRICES`.
    Change(usize),
    Buy(i64),
    /// A further refund of the last pack, in cents of its 10.00.
    Refund(i64),
}

/// How many seconds after its due time a renewal is paid; none if never.
type PaidAfter = Option<Seconds>;

/// The second implementation. It keeps a balance and writes down the events.
#[derive(Debug)]
struct Bookkeeper {
    events: Vec<TimedFact>,
    usage: Vec<UsageSum>,
    tier: usize,
    /// The higher tier of a running grace.
    lifted: Option<usize>,
    period: Period,
    /// Whether the period's own invoice is ever paid.
    paid: bool,
    /// The limits in force in this period, each with its first second.
    limits: Vec<(Seconds, i64)>,
    used: i64,
    rollover: i64,
    purchased: i64,
    /// The unused units of the period before, until the renewal is paid.
    waiting: Option<(Seconds, i64, Period)>,
    /// The last pack: its session, its credits, the refunded cents.
    pack: Option<(String, i64, i64)>,
}

fn limit_of(tier: usize) -> i64 {
    shipped(PRICES[tier]).limits["tokens"].expect("a limit")
}

impl Bookkeeper {
    fn open() -> Self {
        Self {
            events: vec![(0, created(has(PRICES[1], month(0))))],
            usage: Vec::new(),
            tier: 1,
            lifted: None,
            period: month(0),
            paid: true,
            limits: vec![(T0, limit_of(1))],
            used: 0,
            rollover: 0,
            purchased: 0,
            waiting: None,
            pack: None,
        }
    }

    /// The limit in force now.
    fn in_force(&self) -> i64 {
        limit_of(self.lifted.unwrap_or(self.tier))
    }

    /// The limit of the period: what is in force now lasts to its end.
    fn limit(&self) -> i64 {
        let mut weighted = 0;
        for (place, (since, limit)) in self.limits.iter().enumerate() {
            let until = self.limits.get(place + 1).map_or(self.period.end, |next| next.0);
            weighted += limit * (until - since);
        }
        weighted / (self.period.end - self.period.start)
    }

    /// Lets time pass. What is due until then happens.
    fn wait(&mut self, until: Seconds, bills: &mut impl Iterator<Item = PaidAfter>) {
        loop {
            if let Some((at, unused, ended)) = self.waiting.take_if(|waiting| waiting.0 <= until) {
                self.rollover += unused.min((CAP - self.rollover).max(0));
                self.events.push((at - T0, cycle(Paid, ended, self.period)));
            } else if self.period.end <= until {
                self.renew(bills.next().flatten());
            } else {
                return;
            }
        }
    }

    fn renew(&mut self, bill: PaidAfter) {
        let ended = self.period;
        let unused = self.limit() - self.used;
        let unused = if self.paid { unused.max(0) } else { 0 };
        self.period = Period {
            start: ended.end,
            end: ended.end + 30 * DAY,
        };
        let now = changed(has(PRICES[self.tier], self.period));
        self.events.push((self.period.start - T0, now));
        if bill != Some(3_600) {
            let fails = cycle(Failed, ended, self.period);
            self.events.push((self.period.start - T0 + 3_600, fails));
        }
        self.waiting = bill.map(|after| (self.period.start + after, unused, ended));
        (self.paid, self.lifted, self.used) = (bill.is_some(), None, 0);
        self.limits = vec![(self.period.start, self.in_force())];
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
                self.used += pay(self.limit() - self.used);
                self.rollover -= pay(self.rollover);
                self.purchased -= pay(self.purchased);
                self.rollover -= left;
            }
            BookkeeperAct::Change(tier) => {
                let old = std::mem::replace(&mut self.tier, *tier);
                let highest = self.lifted.filter(|lifted| *lifted > old).unwrap_or(old);
                let keeps = if *tier < old && self.paid {
                    Some(highest)
                } else {
                    self.lifted
                };
                self.lifted = keeps.filter(|lifted| lifted > tier);
                // A hundredth of 30 days is 25,920 seconds.
                let since = if at - self.period.start < 25_920 {
                    self.period.start
                } else {
                    at
                };
                self.limits.push((since, self.in_force()));
                self.events.push((at - T0, changed(has(PRICES[*tier], self.period))));
            }
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

/// Pauses of hours or days, and what happens after each.
fn acts() -> impl Strategy<Value = Vec<(Seconds, BookkeeperAct)>> {
    let act = prop_oneof![
        4 => (0..9 * M).prop_map(BookkeeperAct::Use),
        3 => (0..3_usize).prop_map(BookkeeperAct::Change),
        1 => (1..9_i64).prop_map(BookkeeperAct::Buy),
        1 => (1..700_i64).prop_map(BookkeeperAct::Refund),
    ];
    vec((7_201..12 * DAY, act), 1..25)
}

fn bills() -> impl Strategy<Value = Vec<PaidAfter>> {
    let bill = prop_oneof![
        4 => Just(Some(3_600)),
        1 => (7_200..20 * DAY).prop_map(Some),
        1 => Just(None),
    ];
    vec(bill, 40)
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
            // Nothing else happens in the hour in which a renewal is collected.
            if (now - T0) % (30 * DAY) <= 3_600 {
                now += 3_601;
            }
            bookkeeper.wait(now, &mut bills);
            bookkeeper.act(now, act);
        }
        // A later payment comes too, as it changes whether the period was paid.
        bookkeeper.wait(bookkeeper.waiting.map_or(now, |waiting| waiting.0), &mut bills);
        let facts = facts(&bookkeeper.events);
        let arrived = facts.iter().skip(turn % facts.len()).chain(facts.iter().take(turn % facts.len())).rev();
        let timeline = Timeline::of(&UserId::new("u1"), arrived);
        let replayed = replay(&timeline, "tokens", &bookkeeper.usage).expect("in range");
        let balance = &replayed.balance;
        prop_assert_eq!(
            (balance.limits.at(now), balance.used, balance.carried.rollover, balance.carried.purchased),
            (Some(bookkeeper.limit()), bookkeeper.used, bookkeeper.rollover, bookkeeper.purchased),
            "{:#?}", replayed
        );
    }
}
