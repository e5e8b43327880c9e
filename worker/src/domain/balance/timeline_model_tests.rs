//! Balances against a second opinion: the rules as a bookkeeper would apply
//! them, one after the other, while a life happens. What is replayed from its
//! facts, as they arrive, must be the same.

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
    testkit::{DAY, T0, Told, changed, created, cycle, facts, has, month, pack, random, refunded, shipped},
};
use proptest::{
    collection::vec,
    prelude::{Just, Strategy, prop_assert_eq, prop_oneof, proptest},
};

const M: i64 = 1_000_000;
const CAP: i64 = 10 * M;
const PRICES: [&str; 3] = ["basic_monthly", "plus_monthly", "max_monthly"];

#[derive(Debug, Clone)]
enum Act {
    Use(i64),
    /// To the tier at this place of the prices.
    Change(usize),
    Buy(i64),
    /// So much of the last pack's 10.00 more is refunded.
    Refund(i64),
}

/// A renewal is paid so many seconds after it is due, or never.
type Bill = Option<Seconds>;

/// A bookkeeper, who knows nothing of facts.
#[derive(Debug)]
struct Books {
    told: Vec<Told>,
    usage: Vec<UsageSum>,
    tier: usize,
    /// The tier that was paid for, if it is higher.
    lent: Option<usize>,
    period: Period,
    /// Whether the period's own invoice is ever paid.
    paid: bool,
    /// The limits of this period, each from its time.
    limits: Vec<(Seconds, i64)>,
    used: i64,
    rollover: i64,
    purchased: i64,
    /// What the period before left over, until its successor is paid.
    owed: Option<(Seconds, i64, Period)>,
    /// The last pack: its name, credits, the refunded cents.
    pack: Option<(String, i64, i64)>,
}

fn limit_of(tier: usize) -> i64 {
    shipped(PRICES[tier]).limits["tokens"].expect("a limit")
}

impl Books {
    fn open() -> Self {
        Self {
            told: vec![(0, created(has(PRICES[1], month(0))))],
            usage: Vec::new(),
            tier: 1,
            lent: None,
            period: month(0),
            paid: true,
            limits: vec![(T0, limit_of(1))],
            used: 0,
            rollover: 0,
            purchased: 0,
            owed: None,
            pack: None,
        }
    }

    fn limit(&self) -> i64 {
        limit_of(self.lent.unwrap_or(self.tier))
    }

    /// Lets time pass: what is due until then happens.
    fn wait(&mut self, until: Seconds, bills: &mut impl Iterator<Item = Bill>) {
        loop {
            if let Some((at, unused, ended)) = self.owed.take_if(|owed| owed.0 <= until) {
                self.rollover += unused.min((CAP - self.rollover).max(0));
                self.told.push((at - T0, cycle(Paid, ended, self.period)));
            } else if self.period.end <= until {
                self.renew(bills.next().flatten());
            } else {
                return;
            }
        }
    }

    fn renew(&mut self, bill: Bill) {
        let ended = self.period;
        let mut weighted = 0;
        for (place, (since, limit)) in self.limits.iter().enumerate() {
            let until = self.limits.get(place + 1).map_or(ended.end, |next| next.0);
            weighted += limit * (until - since);
        }
        let unused = weighted / (ended.end - ended.start) - self.used;
        let unused = if self.paid { unused.max(0) } else { 0 };
        self.period = Period {
            start: ended.end,
            end: ended.end + 30 * DAY,
        };
        let now = changed(has(PRICES[self.tier], self.period));
        self.told.push((self.period.start - T0, now));
        if bill != Some(3_600) {
            let fails = cycle(Failed, ended, self.period);
            self.told.push((self.period.start - T0 + 3_600, fails));
        }
        self.owed = bill.map(|after| (self.period.start + after, unused, ended));
        (self.paid, self.lent, self.used) = (bill.is_some(), None, 0);
        self.limits = vec![(self.period.start, self.limit())];
    }

    fn act(&mut self, at: Seconds, act: &Act) {
        match act {
            Act::Use(amount) => {
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
            Act::Change(tier) => {
                let old = std::mem::replace(&mut self.tier, *tier);
                let highest = self.lent.filter(|lent| *lent > old).unwrap_or(old);
                let keeps = if *tier < old && self.paid {
                    Some(highest)
                } else {
                    self.lent
                };
                self.lent = keeps.filter(|lent| lent > tier);
                self.limits.push((at, self.limit()));
                self.told.push((at - T0, changed(has(PRICES[*tier], self.period))));
            }
            Act::Buy(millions) => {
                let session = format!("cs_{at}");
                self.told
                    .push((at - T0, FactBody::Session(pack(&session, "tokens", millions * M))));
                self.give(millions * M);
                self.pack = Some((session, millions * M, 0));
            }
            Act::Refund(cents) => {
                let Some((session, credits, before)) = self.pack.take() else {
                    return;
                };
                let cents = (before + cents).min(1_000);
                self.told.push((at - T0, refunded(&session, cents)));
                let more = credits * cents / 1_000 - credits * before / 1_000;
                let there = more.min(self.purchased);
                self.purchased -= there;
                self.rollover -= more - there;
                self.pack = Some((session, credits, cents));
            }
        }
    }

    fn give(&mut self, credits: i64) {
        let debt = (-self.rollover).clamp(0, credits);
        self.rollover += debt;
        self.purchased += credits - debt;
    }
}

/// Pauses of days, in odd seconds, and what happens after each.
fn acts() -> impl Strategy<Value = Vec<(Seconds, Act)>> {
    let act = prop_oneof![
        4 => (0..9 * M).prop_map(Act::Use),
        3 => (0..3_usize).prop_map(Act::Change),
        1 => (1..9_i64).prop_map(Act::Buy),
        1 => (1..700_i64).prop_map(Act::Refund),
    ];
    vec((7_201..12 * DAY, act), 1..25)
}

fn bills() -> impl Strategy<Value = Vec<Bill>> {
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
    fn what_is_replayed_is_what_a_bookkeeper_wrote_down(
        acts in acts(),
        bills in bills(),
        turn in 0..50_usize,
    ) {
        let mut books = Books::open();
        let mut bills = bills.into_iter();
        let mut now = T0;
        for (pause, act) in &acts {
            now += pause;
            // Nothing happens in the hour in which a renewal is collected.
            if (now - T0) % (30 * DAY) <= 3_600 {
                now += 3_601;
            }
            books.wait(now, &mut bills);
            books.act(now, act);
        }
        // A payment that is due later is told too: it changes what was unpaid.
        books.wait(books.owed.map_or(now, |owed| owed.0), &mut bills);
        let facts = facts(&books.told);
        let arrived = facts.iter().skip(turn % facts.len()).chain(facts.iter().take(turn % facts.len())).rev();
        let story = Timeline::of(&UserId::new("u1"), arrived);
        let done = replay(&story, "tokens", &books.usage).expect("in range");
        let balance = &done.balance;
        prop_assert_eq!(
            (balance.limits.at(now), balance.used, balance.carried.rollover, balance.carried.purchased),
            (Some(books.limit()), books.used, books.rollover, books.purchased),
            "{:#?}", done
        );
    }
}
