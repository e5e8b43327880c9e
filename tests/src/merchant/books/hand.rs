//! Books written by hand, for their tests. All times are days after the beginning, in thirds of an hour where
//! that matters.

use super::{BookInvoice, Books, Meter, Plan, PriceList, Purchase, Reading, Record, Snapshot, Usage};
use crate::fixtures::{DAY, Period, Price};
use crate::harness::Balance;

/// The beginning of all books (Unix time).
pub(super) const START: i64 = 1_790_000_000;
pub(super) const USER: &str = "ada";

/// The time so many days after the beginning.
pub(super) const fn day(days: i64) -> i64 {
    START + days * DAY
}

/// From day to day.
pub(super) const fn days(start: i64, end: i64) -> Period {
    Period {
        start: day(start),
        end: day(end),
    }
}

/// Books under construction. Every change is of the last subscription.
pub(super) struct Hand {
    pub(super) books: Books,
}

impl Hand {
    /// Books of one user that subscribed to `plan` on day 0, in a paid first period.
    pub(super) fn subscribed(list: PriceList, plan: Plan) -> Self {
        let mut hand = Self {
            books: Books::new(list),
        };
        hand.begin("active", plan, plan.price.period_from(START));
        hand.billed("first", Some(plan.price.period_from(START)), None)
            .pay("first", START);
        hand
    }

    /// As [`Hand::subscribed`] to one unit of `price` of the shipped catalog.
    pub(super) fn bought(price: Price) -> Self {
        Self::subscribed(PriceList::shipped(), Plan::of(price))
    }

    /// Books of one user that began a trial of three days.
    pub(super) fn trying(list: PriceList, plan: Plan) -> Self {
        let mut hand = Self {
            books: Books::new(list),
        };
        hand.begin("trialing", plan, days(0, 3));
        hand.billed("first", Some(days(0, 3)), None).pay("first", START);
        hand
    }

    /// A subscription begins.
    pub(super) fn begin(&mut self, status: &'static str, plan: Plan, period: Period) {
        let number = self.books.records.len();
        let mut record = Record::new(format!("sub_{number}"), format!("cus_{number}"), period.start);
        record.show(Snapshot {
            at: period.start,
            status,
            plan,
            period,
            trial_end: (status == "trialing").then_some(period.end),
            cancel_at_period_end: false,
            cancel_at: None,
            canceled_at: None,
            is_credited: false,
            list: self.books.lists.len() - 1,
        });
        self.books.records.push(record);
        self.books.name(number, USER, START);
    }

    pub(super) fn record(&mut self) -> &mut Record {
        self.books.records.last_mut().expect("a subscription")
    }

    /// Stripe shows a change from `at` on. Returns the snapshot's number.
    pub(super) fn show(&mut self, at: i64, change: impl FnOnce(&mut Snapshot)) -> usize {
        let list = self.books.lists.len() - 1;
        let mut next = self.record().snapshots.last().expect("a snapshot").clone();
        (next.at, next.is_credited, next.list) = (at, false, list);
        change(&mut next);
        self.record().show(next)
    }

    /// Another price within the period from `at` on.
    pub(super) fn change(&mut self, at: i64, price: Price) -> usize {
        self.show(at, |next| next.plan.price = price)
    }

    /// An invoice that is neither paid nor failed yet.
    pub(super) fn billed(&mut self, id: &str, covers: Option<Period>, bills: Option<usize>) -> &mut Record {
        self.record().invoices.push(BookInvoice {
            id: id.to_owned(),
            covers,
            bills,
            is_cycle: false,
            total: 1_000,
            failed_at: None,
            paid_at: None,
            is_returned: false,
        });
        self.record()
    }

    /// The period that follows, with its invoice, which is neither paid nor failed yet. The invoice is called
    /// as the day on which the period begins.
    pub(super) fn renew(&mut self) -> String {
        let last = self.record().snapshots.last().expect("a snapshot").clone();
        let period = last.plan.price.period_from(last.period.end);
        self.show(period.start, |next| {
            next.period = period;
            next.status = "active";
        });
        let id = format!("day {}", (period.start - START) / DAY);
        self.billed(&id, Some(period), None);
        let invoice = self.record().invoices.last_mut().expect("an invoice");
        invoice.is_cycle = true;
        id
    }

    /// The period that follows, paid at once.
    pub(super) fn renewed(&mut self) -> String {
        let id = self.renew();
        let at = self.record().snapshots.last().expect("a snapshot").at;
        self.record().pay(&id, at);
        id
    }

    /// A change on `on` that begins a new period of `price`, with its invoice `id`.
    pub(super) fn begin_period(&mut self, on: i64, price: Price, is_credited: bool, id: &str) -> usize {
        let period = price.period_from(day(on));
        let number = self.show(day(on), |next| {
            next.plan.price = price;
            next.period = period;
            next.is_credited = is_credited;
            next.status = "active";
        });
        self.billed(id, Some(period), Some(number));
        number
    }

    pub(super) fn used(&mut self, on: i64, meter: Meter, amount: i64) {
        self.used_by(USER, on, meter, amount);
    }

    /// Another user than the first uses something.
    pub(super) fn used_by(&mut self, user_id: &str, on: i64, meter: Meter, amount: i64) {
        let id = format!("use {}", self.books.usages.len());
        self.books.usages.push(Usage {
            user_id: user_id.to_owned(),
            id,
            at: day(on),
            meter,
            amount,
        });
    }

    /// Five million tokens for ten euros.
    pub(super) fn pack(&mut self, on: i64) -> &mut Purchase {
        self.books.purchases.push(Purchase {
            user_id: USER.to_owned(),
            at: day(on),
            meter: Meter::Tokens,
            units: 5_000_000,
            cents: 1_000,
            moves: Vec::new(),
        });
        self.books.purchases.last_mut().expect("a purchase")
    }

    /// Limit, used, rollover and purchased of a meter on a day.
    pub(super) fn on(&self, day_number: i64, meter: Meter) -> (Option<i64>, i64, i64, i64) {
        self.of(USER, day_number, meter)
    }

    /// The same of another user.
    pub(super) fn of(&self, user_id: &str, day_number: i64, meter: Meter) -> (Option<i64>, i64, i64, i64) {
        let rows = self.books.balances_read(user_id, day(day_number), Reading::Taken);
        let Balance {
            plan_limit,
            used,
            rollover,
            purchased,
            ..
        } = rows[meter.name()];
        (plan_limit, used, rollover, purchased)
    }

    pub(super) fn tokens(&self, on: i64) -> (Option<i64>, i64, i64, i64) {
        self.on(on, Meter::Tokens)
    }

    /// Tier, effective tier, and the grace with the day of its end.
    pub(super) fn plan(&self, on: i64) -> (String, String, Option<(String, i64)>) {
        let row = self.books.entitlement(USER, day(on)).expect("a row");
        let until = row.grace_until.map(|until| (until - START) / DAY);
        (row.tier, row.effective_tier, row.grace_tier.zip(until))
    }
}
