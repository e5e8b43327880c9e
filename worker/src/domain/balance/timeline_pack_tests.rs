//! Packs in a wallet: what is bought, spent, taken back and returned.

use crate::domain::{
    balance::{
        replay::replay,
        timeline::{EntryKind, Timeline, UsageSum},
    },
    fact::{FactBody, Seconds},
    ids::UserId,
    testkit::{DAY, T0, Told, created, disputed, facts, has, month, pack, refund_failed, refunded},
};

const M: i64 = 1_000_000;

fn on(day: i64, said: FactBody) -> Told {
    (day * DAY, said)
}

/// A pack of 5M tokens for 10.00.
fn buys(day: i64, session: &str) -> Told {
    on(day, FactBody::Session(pack(session, "tokens", 5 * M)))
}

/// The purse in millions after each entry: (day, kind, cause, rollover, purchased).
type Line = (i64, EntryKind, &'static str, i64, i64);

/// Checks all entries and the end; usage is (day, millions) of a user without a
/// subscription, who has nothing else to spend.
#[track_caller]
fn check(story: &[Told], usage: &[(Seconds, i64)], lines: &[Line], left: (i64, i64)) {
    let usage: Vec<UsageSum> = usage
        .iter()
        .map(|(day, millions)| UsageSum {
            at: T0 + day * DAY,
            amount: millions * M,
        })
        .collect();
    let facts = facts(story);
    let told = Timeline::of(&UserId::new("u1"), &facts);
    assert_eq!(Timeline::of(&UserId::new("u1"), facts.iter().rev().chain(&facts)), told);
    let done = replay(&told, "tokens", &usage).expect("in range");
    let event = |id: &str| {
        let place = facts.iter().position(|f| f.event_id.as_str() == id);
        place.map_or(id.to_owned(), |place| format!("#{place}"))
    };
    let shown: Vec<_> = done
        .entries
        .iter()
        .map(|e| {
            (
                (e.at - T0) / DAY,
                e.kind,
                event(&e.cause),
                e.change.rollover / M,
                e.change.purchased / M,
            )
        })
        .collect();
    let expected: Vec<_> = lines
        .iter()
        .map(|(at, kind, cause, r, p)| (*at, *kind, (*cause).to_owned(), *r, *p))
        .collect();
    assert_eq!(shown, expected, "{story:#?}");
    let purse = done.balance.carried;
    assert_eq!((purse.rollover / M, purse.purchased / M), left, "{story:#?}");
    assert!(done.entries.iter().all(|e| e.amount > 0 && e.change.used == 0));
}

const GRANT: Line = (0, EntryKind::Grant, "cs", 0, 5);

#[test]
fn a_pack_fills_the_purse_of_who_has_no_subscription() {
    check(&[buys(0, "cs")], &[], &[GRANT], (0, 5));
    check(&[buys(0, "cs")], &[(3, 2)], &[GRANT], (0, 3));
    check(&[buys(0, "cs")], &[(3, 7)], &[GRANT], (-2, 0));
}

#[test]
fn usage_before_the_pack_is_a_debt_that_it_pays_first() {
    check(
        &[buys(4, "cs")],
        &[(3, 2)],
        &[(4, EntryKind::Grant, "cs", 2, 3)],
        (0, 3),
    );
    check(
        &[buys(4, "cs")],
        &[(3, 9)],
        &[(4, EntryKind::Grant, "cs", 5, 0)],
        (-4, 0),
    );
    // In the second of the purchase, it is there.
    check(
        &[buys(3, "cs")],
        &[(3, 2)],
        &[(3, EntryKind::Grant, "cs", 0, 5)],
        (0, 3),
    );
}

#[test]
fn the_order_of_the_ledger_is_that_of_time() {
    let other = (1, EntryKind::Grant, "cs_0", 0, 5);
    check(&[buys(1, "cs_0"), buys(0, "cs")], &[], &[GRANT, other], (0, 10));
}

#[test]
fn a_refund_takes_back_and_what_is_spent_of_it_becomes_debt() {
    let story = [buys(0, "cs"), on(5, refunded("cs", 1_000))];
    check(&story, &[], &[GRANT, (5, EntryKind::TakenBack, "#1", 0, -5)], (0, 0));
    check(
        &story,
        &[(3, 2)],
        &[GRANT, (5, EntryKind::TakenBack, "#1", -2, -3)],
        (-2, 0),
    );
    check(
        &story,
        &[(3, 7)],
        &[GRANT, (5, EntryKind::TakenBack, "#1", -5, 0)],
        (-7, 0),
    );
}

#[test]
fn refunds_are_in_proportion_and_told_in_all() {
    let story = [buys(0, "cs"), on(5, refunded("cs", 200)), on(6, refunded("cs", 600))];
    let lines = [
        GRANT,
        (5, EntryKind::TakenBack, "#1", 0, -1),
        (6, EntryKind::TakenBack, "#2", 0, -2),
    ];
    check(&story, &[], &lines, (0, 2));
}

#[test]
fn a_failed_refund_returns_what_it_took_and_pays_the_debt_first() {
    let story = [
        buys(0, "cs"),
        on(5, refunded("cs", 1_000)),
        on(9, refund_failed("cs", "re", 1_000)),
    ];
    let lines = [
        GRANT,
        (5, EntryKind::TakenBack, "#1", -2, -3),
        (9, EntryKind::Returned, "#2", 2, 3),
    ];
    check(&story, &[(3, 2)], &lines, (0, 3));
}

#[test]
fn a_dispute_takes_and_returns_beside_a_refund_and_never_more_than_the_grant() {
    let story = [
        buys(0, "cs"),
        on(5, refunded("cs", 600)),
        on(6, disputed("cs", "dp", 1_000, true)),
        on(7, disputed("cs", "dp", 1_000, false)),
    ];
    let lines = [
        GRANT,
        (5, EntryKind::TakenBack, "#1", 0, -3),
        (6, EntryKind::TakenBack, "#2", 0, -2),
        (7, EntryKind::Returned, "#3", 0, 2),
    ];
    check(&story, &[], &lines, (0, 2));
}

#[test]
fn what_another_pack_holds_is_taken_back_too() {
    let story = [buys(0, "cs"), buys(1, "cs_2"), on(5, refunded("cs", 1_000))];
    let lines = [
        GRANT,
        (1, EntryKind::Grant, "cs_2", 0, 5),
        (5, EntryKind::TakenBack, "#2", 0, -5),
    ];
    check(&story, &[(3, 4)], &lines, (0, 1));
}

#[test]
fn a_refund_whose_time_is_before_its_session_comes_after_the_grant() {
    let story = [on(-2, refunded("cs", 200)), on(-1, refunded("cs", 400)), buys(0, "cs")];
    let lines = [
        GRANT,
        (0, EntryKind::TakenBack, "#0", 0, -1),
        (0, EntryKind::TakenBack, "#1", 0, -1),
    ];
    check(&story, &[], &lines, (0, 3));
}

#[test]
fn a_pack_outlives_the_subscription_beside_it() {
    let mut over = has("basic_monthly", month(0));
    "canceled".clone_into(&mut over.status);
    let story = [on(0, created(over)), buys(0, "cs")];
    check(&story, &[(3, 2)], &[GRANT], (0, 3));
}
