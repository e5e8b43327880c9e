use super::*;
use crate::fixtures::Event;
use crate::merchant::books::UserRows;
use std::collections::BTreeSet;

const NOW: i64 = 1_790_000_000;
const SEED: u64 = 7;

fn bytes(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.body.as_str()).collect()
}

#[test]
fn kinds_are_read_from_their_names() {
    assert_eq!(Kinds::parse("all").expect("a word"), Kinds::all());
    assert_eq!(Kinds::parse("none").expect("a word"), Kinds::none());
    let two = Kinds::parse("usage, seats").expect("two kinds");
    assert_eq!(two.names(), "usage,seats");
    assert!(two.need_extended_catalog() && !Kinds::parse("usage,packs").expect("two").need_extended_catalog());
    let wrong = Kinds::parse("usage,sets").expect_err("no kind").to_string();
    assert!(
        wrong.starts_with("'sets' is no kind of life; there are usage,packs,"),
        "{wrong}"
    );
}

#[test]
fn lives_of_all_kinds_contain_every_act_and_repeat_with_their_seed() {
    let lives = lives_of(&Kinds::all(), SEED, 800, NOW);
    for act in ACTS_OF_KINDS {
        let count = lives.iter().filter(|life| life.acts.contains(act)).count();
        assert!(count >= 2, "{act}: {count} lives");
    }
    let known: BTreeSet<&str> = ACTS.into_iter().chain(ACTS_OF_KINDS).collect();
    for life in &lives {
        assert!(life.acts.is_subset(&known), "{:?}", life.acts.difference(&known));
        assert!(
            life.events.is_sorted_by_key(|event| event.created),
            "{}",
            life.description()
        );
        let last = life.events.last().expect("a life has events");
        assert!(last.created < NOW, "{}", life.description());
    }
    let again = lives_of(&Kinds::all(), SEED, 5, NOW);
    for (life, same) in lives.iter().zip(&again) {
        assert_eq!(bytes(&life.events), bytes(&same.events));
        assert_eq!((&life.rows, &life.usages), (&same.rows, &same.usages));
    }
}

/// The rules leave some balances open, but not many.
#[test]
fn the_balances_of_most_lives_are_decided_and_many_were_moved() {
    let lives = lives_of(&Kinds::all(), SEED, 300, NOW);
    let rows: Vec<&UserRows> = lives.iter().flat_map(|life| &life.rows).collect();
    let decided: Vec<_> = rows.iter().filter_map(|row| row.balances.as_ref()).collect();
    assert!(
        decided.len() * 10 >= rows.len() * 8,
        "{} of {}",
        decided.len(),
        rows.len()
    );
    let tokens: Vec<_> = decided.iter().filter_map(|balances| balances.get("tokens")).collect();
    let share = |what: &str, least: usize, count: usize| {
        assert!(
            count * 100 >= tokens.len() * least,
            "{what}: {count} of {}",
            tokens.len()
        );
    };
    share("used", 15, tokens.iter().filter(|row| row.used > 0).count());
    share("rollover", 10, tokens.iter().filter(|row| row.rollover > 0).count());
    share("debt", 5, tokens.iter().filter(|row| row.rollover < 0).count());
    share("purchased", 5, tokens.iter().filter(|row| row.purchased > 0).count());
    let whole = |limit: i64| limit % 500_000 == 0;
    let weighted = tokens
        .iter()
        .filter(|row| row.plan_limit.is_some_and(|limit| !whole(limit)));
    share("a weighted limit", 5, weighted.count());
    let others = lives.iter().filter(|life| life.rows.len() > 1).count();
    assert!(others >= 5, "{others} hand-overs");
}
