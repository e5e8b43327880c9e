//! Properties of balances, over generated histories: a timeline is a function of the
//! set of facts, a balance is a function of the timeline and the usage, and no unit
//! is lost. `PROPTEST_CASES` makes more histories; `PROPTEST_RNG_SEED` repeats a run.

use crate::domain::{
    balance::{
        replay::{ReplayedMeter, replay},
        timeline::{EntryKind, MeterBalance, Timeline, TimelineEntry, UsageSum},
    },
    fact::{
        Fact, FactBody,
        InvoiceStep::{Failed, Paid},
        Period, Seconds, Snapshot,
    },
    ids::{EventId, UserId},
    testkit::{
        DAY, T0, TimedFact, changed, created, cycle, deleted, disputed, facts, has, invoice, item, month, of, pack,
        random, refund_failed, refunded, shipped, user,
    },
};
use proptest::{
    collection::vec,
    prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest},
    sample::select,
};
use std::collections::{BTreeMap, BTreeSet};

const M: i64 = 1_000_000;
/// Generated histories per property: with eight of them, 24,000.
const CASES: u32 = 3_000;

/// What may happen next in a history.
#[derive(Debug, Clone)]
enum HistoryAct {
    Price(&'static str),
    FailedUpgrade(&'static str),
    Status(&'static str),
    /// The next period begins. Its invoice is paid, fails, is paid days later, or
    /// never has an event.
    Renew(RenewalPayment),
    /// A pack with this many millions of credits.
    Buy(i64),
    /// The total refund of the last pack, in cents of its 10.00.
    Refund(i64),
    RefundFails(i64),
    /// A dispute of the last pack's payment begins (true) or is won.
    Dispute(bool),
    /// A proration credits money.
    Credit,
    /// The same price, for so many seats of so many millions: other seats, another catalog.
    Sells(i64, i64),
    /// The subscription is canceled at the end of its period (true), or goes on.
    Cancels(bool),
    /// A new period begins at once, at the same price.
    Resets,
    /// The subscription goes to this user.
    HandOver(&'static str),
}

#[derive(Debug, Clone, Copy)]
enum RenewalPayment {
    Paid,
    Fails,
    Late(i64),
    Silent,
}

fn act() -> impl Strategy<Value = HistoryAct> {
    let prices = [
        "basic_monthly",
        "plus_monthly",
        "max_monthly",
        "basic_yearly",
        "max_yearly",
    ];
    let bill = prop_oneof![
        4 => Just(RenewalPayment::Paid),
        1 => Just(RenewalPayment::Fails),
        1 => (1..50_i64).prop_map(RenewalPayment::Late),
        1 => Just(RenewalPayment::Silent),
    ];
    prop_oneof![
        4 => select(prices.to_vec()).prop_map(HistoryAct::Price),
        1 => select(vec!["plus_monthly", "max_monthly", "max_yearly"]).prop_map(HistoryAct::FailedUpgrade),
        1 => select(vec!["active", "trialing", "past_due", "unpaid"]).prop_map(HistoryAct::Status),
        4 => bill.prop_map(HistoryAct::Renew),
        2 => (1..12_i64).prop_map(HistoryAct::Buy),
        1 => (1..=1_000_i64).prop_map(HistoryAct::Refund),
        1 => (1..=1_000_i64).prop_map(HistoryAct::RefundFails),
        1 => any::<bool>().prop_map(HistoryAct::Dispute),
        1 => Just(HistoryAct::Credit),
        1 => (1..4_i64, 1..9_i64).prop_map(|(seats, millions)| HistoryAct::Sells(seats, millions)),
        1 => any::<bool>().prop_map(HistoryAct::Cancels),
        1 => Just(HistoryAct::Resets),
        1 => select(vec!["u1", "u1", "u2", "u3"]).prop_map(HistoryAct::HandOver),
    ]
}

fn history(acts_max: usize) -> impl Strategy<Value = Vec<TimedFact>> {
    let pause = prop_oneof![1 => Just(0), 1 => 1..90_i64, 3 => DAY..20 * DAY];
    let begins = select(vec!["trialing", "active", "active", "incomplete"]);
    (begins, vec((pause, act()), 1..acts_max), any::<bool>())
        .prop_map(|(status, acts, ends)| events_of(status, &acts, ends))
}

fn events_of(status: &str, acts: &[(i64, HistoryAct)], ends: bool) -> Vec<TimedFact> {
    let mut now = has("plus_monthly", month(0));
    status.clone_into(&mut now.status);
    let mut at = 0;
    let mut session = String::new();
    let mut events = vec![(at, created(now.clone()))];
    for (number, (pause, act)) in acts.iter().enumerate() {
        at += pause;
        match act {
            HistoryAct::Price(key) => {
                price(&mut now, key, T0 + at);
                events.push((at, changed(now.clone())));
            }
            HistoryAct::FailedUpgrade(key) => {
                price(&mut now, key, T0 + at);
                let (id, period) = (format!("in_{number}"), now.period.expect("a period"));
                now.latest_invoice = Some(id.clone());
                events.push((at, changed(now.clone())));
                let mut bill = invoice(&id, Failed, "subscription_update", period);
                bill.lines[0].proration = !key.ends_with("yearly");
                events.push((at + 1, FactBody::Invoice(bill)));
            }
            HistoryAct::Status(word) => {
                (*word).clone_into(&mut now.status);
                events.push((at, changed(now.clone())));
            }
            HistoryAct::Renew(bill) => at = renew(&mut events, &mut now, at, *bill),
            HistoryAct::Buy(millions) => {
                session = format!("cs_{number}");
                events.push((at, FactBody::Session(pack(&session, "tokens", millions * M))));
            }
            HistoryAct::Refund(cents) => events.push((at, refunded(&session, *cents))),
            HistoryAct::RefundFails(cents) => {
                events.push((at, refund_failed(&session, &format!("re_{number}"), *cents)));
            }
            HistoryAct::Dispute(begins) => events.push((at, disputed(&session, "dp", 700, *begins))),
            HistoryAct::Credit => events.push((at, item(-300, true))),
            HistoryAct::Sells(seats, millions) => {
                if let Some(plan) = &mut now.plan {
                    plan.quantity = *seats;
                    plan.limits.insert("tokens".to_owned(), Some(seats * millions * M));
                }
                events.push((at, changed(now.clone())));
            }
            HistoryAct::Cancels(ends) => {
                now.cancel_at_period_end = *ends;
                events.push((at, changed(now.clone())));
            }
            HistoryAct::HandOver(name) => {
                now.user = user(name);
                events.push((at, changed(now.clone())));
            }
            HistoryAct::Resets => {
                let key = now.plan.as_ref().map_or("", |p| p.price.as_str());
                let (start, end) = (T0 + at, T0 + at + length(key));
                now.period = Some(Period { start, end });
                events.push((at, changed(now.clone())));
            }
        }
    }
    if ends {
        "canceled".clone_into(&mut now.status);
        events.push((at, deleted(now)));
    }
    events
}

/// A new price. A price of another interval begins a new period.
fn price(now: &mut Snapshot, key: &str, at: Seconds) {
    let plan = shipped(key);
    let interval = |key: &str| key.split_once('_').map(|(_, interval)| interval.to_owned());
    if now.plan.as_ref().and_then(|p| interval(&p.price)) != interval(key) {
        now.period = Some(Period {
            start: at,
            end: at + length(key),
        });
    }
    now.plan = Some(plan);
}

fn length(key: &str) -> Seconds {
    if key.ends_with("yearly") { 365 * DAY } else { 30 * DAY }
}

/// Returns the time of the renewal, which is not before the end of the period.
fn renew(events: &mut Vec<TimedFact>, now: &mut Snapshot, at: Seconds, bill: RenewalPayment) -> Seconds {
    let ended = now.period.expect("a period");
    let begins = Period {
        start: ended.end,
        end: ended.end + length(&now.plan.as_ref().expect("a plan").price),
    };
    let at = at.max(begins.start - T0);
    now.period = Some(begins);
    events.push((at, changed(now.clone())));
    match bill {
        RenewalPayment::Paid => events.push((at + 3_600, cycle(Paid, ended, begins))),
        RenewalPayment::Fails => events.push((at + 3_600, cycle(Failed, ended, begins))),
        RenewalPayment::Late(days) => {
            events.push((at + 3_600, cycle(Failed, ended, begins)));
            events.push((at + days * DAY, cycle(Paid, ended, begins)));
        }
        RenewalPayment::Silent => {}
    }
    at
}

/// The facts of one or two subscriptions of a user, and of their packs.
fn histories() -> impl Strategy<Value = Vec<Fact>> {
    let second = prop_oneof![2 => Just(Vec::new()), 1 => history(5)];
    (history(12), second, any::<u32>()).prop_map(|(mut events, second, salt)| {
        events.extend(second.into_iter().map(|(at, body)| match body {
            FactBody::Subscription(_) | FactBody::Invoice(_) | FactBody::InvoiceItem(_) => {
                (at + 3 * DAY, of("sub_2", renamed(body)))
            }
            other => (at, other),
        }));
        let mut facts = facts(&events);
        // Event ids in an order of their own.
        for (number, fact) in (1_u32..).zip(&mut facts) {
            fact.event_id = EventId::new(format!("evt_{:08x}", number.wrapping_mul(0x9E37_79B1) ^ salt));
        }
        facts
    })
}

/// Gives the second subscription invoices of its own.
fn renamed(mut body: FactBody) -> FactBody {
    if let FactBody::Invoice(invoice) = &mut body {
        invoice.invoice.push_str("_2");
    }
    body
}

fn usage() -> impl Strategy<Value = Vec<UsageSum>> {
    let spent = (usage_time(), 0..9 * M).prop_map(|(at, amount)| UsageSum { at, amount });
    vec(spent, 0..12)
}

fn usage_time() -> impl Strategy<Value = Seconds> {
    prop_oneof![-DAY..500 * DAY, 0..70 * DAY].prop_map(|after| T0 + after)
}

fn timeline_of<'a>(facts: impl IntoIterator<Item = &'a Fact>) -> Timeline {
    Timeline::of(&UserId::new("u1"), facts)
}

fn tokens(timeline: &Timeline, usage: &[UsageSum]) -> ReplayedMeter {
    replay(timeline, "tokens", usage).expect("in range")
}

/// The usage between each two neighbouring boundaries.
fn between_boundaries(timeline: &Timeline, usage: &[UsageSum]) -> BTreeMap<usize, Vec<UsageSum>> {
    let boundaries = timeline.boundaries();
    let mut between: BTreeMap<usize, Vec<UsageSum>> = BTreeMap::new();
    for spent in usage {
        let place = boundaries.partition_point(|boundary| *boundary <= spent.at);
        between.entry(place).or_default().push(*spent);
    }
    between
}

fn total(usage: &[UsageSum]) -> i64 {
    usage.iter().map(|u| u.amount).sum()
}

proptest! {
    #![proptest_config(random(CASES))]

    #[test]
    fn the_order_of_arrival_and_second_deliveries_change_nothing(
        (facts, arrived) in histories().prop_flat_map(|facts| (Just(facts.clone()), Just(facts).prop_shuffle())),
        twice in vec(any::<bool>(), 40),
        usage in usage(),
    ) {
        let timeline = timeline_of(&facts);
        prop_assert_eq!(&timeline_of(&arrived), &timeline);
        prop_assert!(timeline.terms.windows(2).all(|t| t[0].since < t[1].since), "{:?}", timeline.terms);
        let again = arrived.iter().zip(&twice).filter(|(_, twice)| **twice).map(|(f, _)| f);
        let doubled = timeline_of(arrived.iter().chain(again));
        prop_assert_eq!(&doubled, &timeline);
        prop_assert_eq!(tokens(&doubled, &usage), tokens(&timeline, &usage));
    }

    #[test]
    fn a_second_event_of_the_same_payment_changes_nothing(facts in histories(), later in 0..9_i64, usage in usage()) {
        let timeline = timeline_of(&facts);
        let payment = |f: &&Fact| match &f.body {
            FactBody::Session(_) => true,
            FactBody::Invoice(i) => i.step == Paid,
            _ => false,
        };
        let twins = facts.iter().filter(payment).map(|f| Fact {
            event_id: EventId::new(format!("{}_twin", f.event_id)),
            created: f.created + later,
            ..f.clone()
        });
        let all: Vec<Fact> = facts.iter().cloned().chain(twins).collect();
        prop_assert_eq!(tokens(&timeline_of(&all), &usage).entries, tokens(&timeline, &usage).entries);
    }

    #[test]
    fn no_unit_is_lost_and_each_cause_has_one_entry(facts in histories(), usage in usage()) {
        let timeline = timeline_of(&facts);
        let replayed = tokens(&timeline, &usage);
        let carried = replayed.balance.carried;
        // Only a period that was cut short makes a debt beside purchased credits.
        let overused = replayed.entries.iter().any(|e| e.kind == EntryKind::Overused);
        let keeps_order = overused || carried.purchased == 0 || carried.rollover >= 0;
        prop_assert!(carried.purchased >= 0 && keeps_order, "{:?}", carried);
        // Usage above the limits was taken from the carried units.
        let from_limits: i64 = replayed.used.values().sum();
        let entered: i64 = replayed.entries.iter().map(|e| e.change.rollover + e.change.purchased).sum();
        prop_assert_eq!(entered - (total(&usage) - from_limits), carried.rollover + carried.purchased);
        prop_assert_eq!(replayed.used.get(&replayed.balance.window).copied().unwrap_or_default(), replayed.balance.used);
        let causes: BTreeSet<_> = replayed.entries.iter().map(|e| (e.kind, &e.cause)).collect();
        prop_assert_eq!(causes.len(), replayed.entries.len(), "a cause has two entries: {:?}", replayed.entries);
        for purchase in &timeline.purchases {
            let takes_back = |id: &str| purchase.taken_back.iter().any(|t| t.event.as_str() == id);
            let sum = |kind| -> i64 {
                let own = |e: &&TimelineEntry| e.kind == kind && (e.cause == purchase.sale || takes_back(&e.cause));
                replayed.entries.iter().filter(own).map(|e| e.amount).sum()
            };
            prop_assert_eq!(sum(EntryKind::Grant), purchase.credits);
            let taken_back = sum(EntryKind::TakenBack) - sum(EntryKind::Returned);
            prop_assert_eq!(taken_back, purchase.taken_back.last().map_or(0, |t| t.credits));
            prop_assert!((0..=purchase.credits).contains(&taken_back));
            prop_assert!(purchase.taken_back.iter().all(|t| (0..=purchase.credits).contains(&t.credits)));
        }
    }

    #[test]
    fn only_paid_renewals_roll_over_and_never_more_than_a_limit(facts in histories(), usage in usage()) {
        let replayed = tokens(&timeline_of(&facts), &usage);
        for entry in replayed.entries.iter().filter(|e| e.kind == EntryKind::Rollover) {
            let is_cause = |f: &&Fact| matches!(&f.body, FactBody::Invoice(i) if i.invoice == entry.cause && i.step == Paid && i.billing_reason.renews());
            prop_assert!(facts.iter().any(|f| is_cause(&f)), "{:?}", entry);
            prop_assert!(entry.amount > 0 && entry.change.rollover <= entry.amount && entry.change.rollover >= 0);
            prop_assert!(entry.amount <= 180 * M && entry.change.purchased == 0 && entry.change.used == 0);
        }
    }

    #[test]
    fn paying_the_newest_usage_at_once_equals_a_replay(
        facts in histories(),
        usage in usage(),
        last in vec((0..45 * DAY, 0..9 * M), 1..5),
    ) {
        let timeline = timeline_of(&facts);
        let mut all = usage;
        let before = tokens(&timeline, &all);
        let mut fast: MeterBalance = before.balance.clone();
        let mut changed = (0, 0);
        let since = fast.since.max(T0);
        for (after, amount) in last {
            let spent = UsageSum { at: since + after, amount };
            if spent.at < fast.since {
                continue;
            }
            let change = fast.spend(spent.at, amount).expect("in range");
            changed = (changed.0 + change.rollover, changed.1 + change.purchased);
            all.push(spent);
            let slow = tokens(&timeline, &all);
            prop_assert_eq!(&slow.balance, &fast);
            prop_assert_eq!(&slow.entries, &before.entries);
        }
        let (new, old) = (fast.carried, before.balance.carried);
        prop_assert_eq!((new.rollover - old.rollover, new.purchased - old.purchased), changed);
    }
}

#[path = "timeline_usage_property_tests.rs"]
mod reported;
