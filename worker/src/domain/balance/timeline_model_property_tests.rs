//! The bookkeeper and the replay, over generated histories of two users.

use super::*;
use proptest::{
    collection::vec,
    prelude::{Just, Strategy, any, prop_assert_eq, prop_oneof, proptest},
};

/// Pauses of hours, days or months, and what happens after each.
fn acts() -> impl Strategy<Value = Vec<(Seconds, BookkeeperAct)>> {
    let act = prop_oneof![
        6 => (0..9 * M).prop_map(BookkeeperAct::Use),
        1 => (0..90 * M).prop_map(BookkeeperAct::Use),
        1 => (0..9 * M).prop_map(BookkeeperAct::UseOther),
        1 => Just(BookkeeperAct::HandOver),
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
    fn the_replay_equals_the_bookkeepers_balances(
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
        let arrived: Vec<_> = arrived.collect();
        for (number, purse) in bookkeeper.purses.iter().enumerate() {
            let timeline = Timeline::of(&UserId::new(USERS[number]), arrived.iter().copied());
            let replayed = replay(&timeline, "tokens", &purse.usage).expect("in range");
            let balance = &replayed.balance;
            let limit = if number == bookkeeper.owner { bookkeeper.limit(now) } else { 0 };
            prop_assert_eq!(
                (balance.limits.at(now), balance.used, balance.carried.rollover, balance.carried.purchased),
                (Some(limit), purse.used, purse.rollover, purse.purchased),
                "{}: {:#?}", USERS[number], replayed
            );
        }
    }
}
