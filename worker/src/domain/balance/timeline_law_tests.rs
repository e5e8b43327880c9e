//! The law of balances, over generated lives: a story is a function of the set
//! of facts, a balance of the story and the usage, and no unit is lost.
//! `PROPTEST_CASES` makes more of them; `PROPTEST_RNG_SEED` repeats a run.

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
        DAY, T0, Told, changed, created, cycle, deleted, disputed, facts, has, invoice, item, month, of, pack, random,
        refund_failed, refunded, shipped,
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

/// What may happen next in a life.
#[derive(Debug, Clone)]
enum Act {
    Price(&'static str),
    FailedUpgrade(&'static str),
    Status(&'static str),
    /// The next period begins; its invoice is paid, fails, is paid days later,
    /// or is never heard of.
    Renew(Bill),
    /// A pack of so many millions.
    Buy(i64),
    /// So much of the last pack's 10.00 is refunded in all.
    Refund(i64),
    RefundFails(i64),
    /// A dispute of the last pack's payment begins or is won.
    Dispute(bool),
    /// A proration gives money back.
    Credit,
}

#[derive(Debug, Clone, Copy)]
enum Bill {
    Paid,
    Fails,
    Late(i64),
    Silent,
}

fn act() -> impl Strategy<Value = Act> {
    let prices = [
        "basic_monthly",
        "plus_monthly",
        "max_monthly",
        "basic_yearly",
        "max_yearly",
    ];
    let bill = prop_oneof![
        4 => Just(Bill::Paid),
        1 => Just(Bill::Fails),
        1 => (1..50_i64).prop_map(Bill::Late),
        1 => Just(Bill::Silent),
    ];
    prop_oneof![
        4 => select(prices.to_vec()).prop_map(Act::Price),
        1 => select(vec!["plus_monthly", "max_monthly", "max_yearly"]).prop_map(Act::FailedUpgrade),
        1 => select(vec!["active", "trialing", "past_due", "unpaid"]).prop_map(Act::Status),
        4 => bill.prop_map(Act::Renew),
        2 => (1..12_i64).prop_map(Act::Buy),
        1 => (1..=1_000_i64).prop_map(Act::Refund),
        1 => (1..=1_000_i64).prop_map(Act::RefundFails),
        1 => any::<bool>().prop_map(Act::Dispute),
        1 => Just(Act::Credit),
    ]
}

fn life(most: usize) -> impl Strategy<Value = Vec<Told>> {
    let pause = prop_oneof![1 => Just(0), 1 => 1..90_i64, 3 => DAY..20 * DAY];
    let begins = select(vec!["trialing", "active", "active", "incomplete"]);
    (begins, vec((pause, act()), 1..most), any::<bool>()).prop_map(|(status, acts, ends)| live(status, &acts, ends))
}

fn live(status: &str, acts: &[(i64, Act)], ends: bool) -> Vec<Told> {
    let mut now = has("plus_monthly", month(0));
    status.clone_into(&mut now.status);
    let mut at = 0;
    let mut session = String::new();
    let mut story = vec![(at, created(now.clone()))];
    for (number, (pause, act)) in acts.iter().enumerate() {
        at += pause;
        match act {
            Act::Price(key) => {
                price(&mut now, key, T0 + at);
                story.push((at, changed(now.clone())));
            }
            Act::FailedUpgrade(key) => {
                price(&mut now, key, T0 + at);
                let (id, period) = (format!("in_{number}"), now.period.expect("a period"));
                now.latest_invoice = Some(id.clone());
                story.push((at, changed(now.clone())));
                let mut bill = invoice(&id, Failed, "subscription_update", period);
                bill.lines[0].proration = !key.ends_with("yearly");
                story.push((at + 1, FactBody::Invoice(bill)));
            }
            Act::Status(word) => {
                (*word).clone_into(&mut now.status);
                story.push((at, changed(now.clone())));
            }
            Act::Renew(bill) => at = renew(&mut story, &mut now, at, *bill),
            Act::Buy(millions) => {
                session = format!("cs_{number}");
                story.push((at, FactBody::Session(pack(&session, "tokens", millions * M))));
            }
            Act::Refund(cents) => story.push((at, refunded(&session, *cents))),
            Act::RefundFails(cents) => story.push((at, refund_failed(&session, &format!("re_{number}"), *cents))),
            Act::Dispute(begins) => story.push((at, disputed(&session, "dp", 700, *begins))),
            Act::Credit => story.push((at, item(-300, true))),
        }
    }
    if ends {
        "canceled".clone_into(&mut now.status);
        story.push((at, deleted(now)));
    }
    story
}

/// A new price; one of another interval begins a period of its own.
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

/// Returns when it happened: not before the period was over.
fn renew(story: &mut Vec<Told>, now: &mut Snapshot, at: Seconds, bill: Bill) -> Seconds {
    let ended = now.period.expect("a period");
    let begins = Period {
        start: ended.end,
        end: ended.end + length(&now.plan.as_ref().expect("a plan").price),
    };
    let at = at.max(begins.start - T0);
    now.period = Some(begins);
    story.push((at, changed(now.clone())));
    match bill {
        Bill::Paid => story.push((at + 3_600, cycle(Paid, ended, begins))),
        Bill::Fails => story.push((at + 3_600, cycle(Failed, ended, begins))),
        Bill::Late(days) => {
            story.push((at + 3_600, cycle(Failed, ended, begins)));
            story.push((at + days * DAY, cycle(Paid, ended, begins)));
        }
        Bill::Silent => {}
    }
    at
}

/// One or two subscriptions of a user, and their packs.
fn lives() -> impl Strategy<Value = Vec<Fact>> {
    let second = prop_oneof![2 => Just(Vec::new()), 1 => life(5)];
    (life(12), second, any::<u32>()).prop_map(|(mut story, second, salt)| {
        story.extend(second.into_iter().map(|(at, said)| match said {
            FactBody::Subscription(_) | FactBody::Invoice(_) | FactBody::InvoiceItem(_) => {
                (at + 3 * DAY, of("sub_2", renamed(said)))
            }
            other => (at, other),
        }));
        let mut facts = facts(&story);
        // Ids that say nothing of the order.
        for (number, fact) in (1_u32..).zip(&mut facts) {
            fact.event_id = EventId::new(format!("evt_{:08x}", number.wrapping_mul(0x9E37_79B1) ^ salt));
        }
        facts
    })
}

/// No two subscriptions share an invoice.
fn renamed(mut said: FactBody) -> FactBody {
    if let FactBody::Invoice(invoice) = &mut said {
        invoice.invoice.push_str("_2");
    }
    said
}

fn usage() -> impl Strategy<Value = Vec<UsageSum>> {
    let spent = (usage_time(), 0..9 * M).prop_map(|(at, amount)| UsageSum { at, amount });
    vec(spent, 0..12)
}

fn usage_time() -> impl Strategy<Value = Seconds> {
    prop_oneof![-DAY..500 * DAY, 0..70 * DAY].prop_map(|after| T0 + after)
}

fn story<'a>(facts: impl IntoIterator<Item = &'a Fact>) -> Timeline {
    Timeline::of(&UserId::new("u1"), facts)
}

fn tokens(story: &Timeline, usage: &[UsageSum]) -> ReplayedMeter {
    replay(story, "tokens", usage).expect("in range")
}

/// Usage by what lies between two cuts.
fn between_cuts(story: &Timeline, usage: &[UsageSum]) -> BTreeMap<usize, Vec<UsageSum>> {
    let cuts = story.boundaries();
    let mut between: BTreeMap<usize, Vec<UsageSum>> = BTreeMap::new();
    for spent in usage {
        let place = cuts.partition_point(|cut| *cut <= spent.at);
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
    fn any_arrival_and_any_second_delivery_tell_one_story(
        (facts, arrived) in lives().prop_flat_map(|facts| (Just(facts.clone()), Just(facts).prop_shuffle())),
        twice in vec(any::<bool>(), 40),
        usage in usage(),
    ) {
        let told = story(&facts);
        prop_assert_eq!(&story(&arrived), &told);
        prop_assert!(told.terms.windows(2).all(|t| t[0].since < t[1].since), "{:?}", told.terms);
        let again = arrived.iter().zip(&twice).filter(|(_, twice)| **twice).map(|(f, _)| f);
        let doubled = story(arrived.iter().chain(again));
        prop_assert_eq!(&doubled, &told);
        prop_assert_eq!(tokens(&doubled, &usage), tokens(&told, &usage));
    }

    #[test]
    fn a_second_event_of_the_same_payment_has_no_effect(facts in lives(), later in 0..9_i64, usage in usage()) {
        let told = story(&facts);
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
        prop_assert_eq!(tokens(&story(&all), &usage).entries, tokens(&told, &usage).entries);
    }

    #[test]
    fn no_unit_is_lost_and_each_cause_has_one_effect(facts in lives(), usage in usage()) {
        let told = story(&facts);
        let done = tokens(&told, &usage);
        let purse = done.balance.carried;
        prop_assert!(purse.purchased >= 0 && (purse.purchased == 0 || purse.rollover >= 0), "{:?}", purse);
        // What the periods did not include came out of the purse.
        let included: i64 = done.used.values().sum();
        let entered: i64 = done.entries.iter().map(|e| e.change.rollover + e.change.purchased).sum();
        prop_assert_eq!(entered - (total(&usage) - included), purse.rollover + purse.purchased);
        prop_assert_eq!(done.used.get(&done.balance.window).copied().unwrap_or_default(), done.balance.used);
        let causes: BTreeSet<_> = done.entries.iter().map(|e| (e.kind, &e.cause)).collect();
        prop_assert_eq!(causes.len(), done.entries.len(), "a cause has two entries: {:?}", done.entries);
        for bought in &told.purchases {
            let of_it = |id: &str| bought.taken_back.iter().any(|t| t.event.as_str() == id);
            let sum = |kind| -> i64 {
                let own = |e: &&TimelineEntry| e.kind == kind && (e.cause == bought.session || of_it(&e.cause));
                done.entries.iter().filter(own).map(|e| e.amount).sum()
            };
            prop_assert_eq!(sum(EntryKind::Grant), bought.credits);
            let taken = sum(EntryKind::TakenBack) - sum(EntryKind::Returned);
            prop_assert_eq!(taken, bought.taken_back.last().map_or(0, |t| t.credits));
            prop_assert!((0..=bought.credits).contains(&taken));
            prop_assert!(bought.taken_back.iter().all(|t| (0..=bought.credits).contains(&t.credits)));
        }
    }

    #[test]
    fn only_paid_cycles_roll_over_and_never_more_than_a_limit(facts in lives(), usage in usage()) {
        let done = tokens(&story(&facts), &usage);
        for entry in done.entries.iter().filter(|e| e.kind == EntryKind::Rollover) {
            let tells = |f: &&Fact| matches!(&f.body, FactBody::Invoice(i) if i.invoice == entry.cause && i.step == Paid && i.renews());
            prop_assert!(facts.iter().any(|f| tells(&f)), "{:?}", entry);
            prop_assert!(entry.amount > 0 && entry.change.rollover <= entry.amount && entry.change.rollover >= 0);
            prop_assert!(entry.amount <= 180 * M && entry.change.purchased == 0 && entry.change.used == 0);
        }
    }

    #[test]
    fn usage_that_comes_last_is_paid_at_once_as_if_all_were_told_again(
        facts in lives(),
        usage in usage(),
        last in vec((0..45 * DAY, 0..9 * M), 1..5),
    ) {
        let told = story(&facts);
        let mut all = usage;
        let before = tokens(&told, &all);
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
            let slow = tokens(&told, &all);
            prop_assert_eq!(&slow.balance, &fast);
            prop_assert_eq!(&slow.entries, &before.entries);
        }
        let (new, old) = (fast.carried, before.balance.carried);
        prop_assert_eq!((new.rollover - old.rollover, new.purchased - old.purchased), changed);
    }

    #[test]
    fn whatever_usage_was_taken_any_event_can_be_settled_with_it(
        facts in lives(),
        usage in vec((usage_time(), 0..=1_i64 << 62), 1..12),
        known in 0..40_usize,
    ) {
        let before = story(facts.iter().take(known));
        let mut accepted: Vec<UsageSum> = Vec::new();
        for (at, amount) in usage {
            let spent = UsageSum { at, amount };
            if tokens(&before, &accepted).balance.clone().spend(at, amount).is_ok() {
                accepted.push(spent);
            }
        }
        for known in known..=facts.len() {
            let all = story(facts.iter().take(known));
            for meter in ["tokens", "basic_chars"] {
                prop_assert!(replay(&all, meter, &accepted).is_ok(), "{:?} {:?}", all, accepted);
            }
        }
    }

    #[test]
    fn usage_between_two_cuts_may_change_places_and_be_summed_up(facts in lives(), usage in usage(), turn in 0..9_usize) {
        let told = story(&facts);
        let known = tokens(&told, &usage);
        let (mut moved, mut summed) = (Vec::new(), Vec::new());
        for mut spent in between_cuts(&told, &usage).into_values() {
            summed.push(UsageSum { at: spent[turn % spent.len()].at, amount: total(&spent) });
            let amounts: Vec<i64> = spent.iter().map(|s| s.amount).collect();
            for (place, spent) in spent.iter_mut().enumerate() {
                spent.amount = amounts[(place + turn) % amounts.len()];
            }
            spent.rotate_left(turn % amounts.len());
            moved.extend(spent);
        }
        moved.reverse();
        prop_assert_eq!(tokens(&told, &moved), known.clone());
        prop_assert_eq!(tokens(&told, &summed), known);
    }
}

#[path = "timeline_settled_tests.rs"]
mod settled;
