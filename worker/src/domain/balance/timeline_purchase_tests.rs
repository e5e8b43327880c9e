//! Purchases in a balance: credits are granted, spent, taken back and returned.

use crate::domain::{
    balance::{
        replay::replay,
        timeline::{EntryKind, Timeline, UsageSum},
    },
    fact::{FactBody, Seconds},
    ids::UserId,
    testkit::{DAY, T0, TimedFact, disputed, facts, pack, refund_failed, refunded},
};

const M: i64 = 1_000_000;

fn on(day: i64, body: FactBody) -> TimedFact {
    (day * DAY, body)
}

/// A pack of 5M tokens for 10.00.
fn buys(day: i64, session: &str) -> TimedFact {
    on(day, FactBody::Session(pack(session, "tokens", 5 * M)))
}

/// An entry in millions: (day, kind, cause, rollover, purchased).
type ExpectedEntry = (i64, EntryKind, &'static str, i64, i64);

/// Checks all entries and the carried units at the end. Usage is (day, millions). The
/// user has no subscription, so purchases alone pay for it.
#[track_caller]
fn check(events: &[TimedFact], usage: &[(Seconds, i64)], lines: &[ExpectedEntry], left: (i64, i64)) {
    let usage: Vec<UsageSum> = usage
        .iter()
        .map(|(day, millions)| UsageSum {
            at: T0 + day * DAY,
            amount: millions * M,
        })
        .collect();
    let facts = facts(events);
    let timeline = Timeline::of(&UserId::new("u1"), &facts);
    assert_eq!(
        Timeline::of(&UserId::new("u1"), facts.iter().rev().chain(&facts)),
        timeline
    );
    let replayed = replay(&timeline, "tokens", &usage).expect("in range");
    let event = |id: &str| {
        let place = facts.iter().position(|f| f.event_id.as_str() == id);
        place.map_or(id.to_owned(), |place| format!("#{place}"))
    };
    let shown: Vec<_> = replayed
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
    assert_eq!(shown, expected, "{events:#?}");
    let carried = replayed.balance.carried;
    assert_eq!((carried.rollover / M, carried.purchased / M), left, "{events:#?}");
    assert!(replayed.entries.iter().all(|e| e.amount > 0 && e.change.used == 0));
}

const GRANT: ExpectedEntry = (0, EntryKind::Grant, "cs", 0, 5);

#[test]
fn a_user_without_a_subscription_spends_purchased_credits() {
    check(&[buys(0, "cs")], &[], &[GRANT], (0, 5));
    check(&[buys(0, "cs")], &[(3, 2)], &[GRANT], (0, 3));
    check(&[buys(0, "cs")], &[(3, 7)], &[GRANT], (-2, 0));
}

#[test]
fn a_purchase_pays_the_debt_of_earlier_usage_first() {
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
    // Usage in the same second comes after the purchase.
    check(
        &[buys(3, "cs")],
        &[(3, 2)],
        &[(3, EntryKind::Grant, "cs", 0, 5)],
        (0, 3),
    );
}

#[test]
fn entries_are_in_the_order_of_time() {
    let other = (1, EntryKind::Grant, "cs_0", 0, 5);
    check(&[buys(1, "cs_0"), buys(0, "cs")], &[], &[GRANT, other], (0, 10));
}

#[test]
fn a_refund_of_spent_credits_makes_debt() {
    let events = [buys(0, "cs"), on(5, refunded("cs", 1_000))];
    check(&events, &[], &[GRANT, (5, EntryKind::TakenBack, "#1", 0, -5)], (0, 0));
    check(
        &events,
        &[(3, 2)],
        &[GRANT, (5, EntryKind::TakenBack, "#1", -2, -3)],
        (-2, 0),
    );
    check(
        &events,
        &[(3, 7)],
        &[GRANT, (5, EntryKind::TakenBack, "#1", -5, 0)],
        (-7, 0),
    );
}

#[test]
fn two_refunds_take_back_the_difference_of_their_totals() {
    let events = [buys(0, "cs"), on(5, refunded("cs", 200)), on(6, refunded("cs", 600))];
    let lines = [
        GRANT,
        (5, EntryKind::TakenBack, "#1", 0, -1),
        (6, EntryKind::TakenBack, "#2", 0, -2),
    ];
    check(&events, &[], &lines, (0, 2));
}

#[test]
fn a_failed_refund_returns_its_credits_which_pay_the_debt_first() {
    let events = [
        buys(0, "cs"),
        on(5, refunded("cs", 1_000)),
        on(9, refund_failed("cs", "re", 1_000)),
    ];
    let lines = [
        GRANT,
        (5, EntryKind::TakenBack, "#1", -2, -3),
        (9, EntryKind::Returned, "#2", 2, 3),
    ];
    check(&events, &[(3, 2)], &lines, (0, 3));
}

#[test]
fn a_dispute_beside_a_refund_never_takes_back_more_than_the_grant() {
    let events = [
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
    check(&events, &[], &lines, (0, 2));
}

#[test]
fn a_refund_takes_back_credits_of_another_pack_too() {
    let events = [buys(0, "cs"), buys(1, "cs_2"), on(5, refunded("cs", 1_000))];
    let lines = [
        GRANT,
        (1, EntryKind::Grant, "cs_2", 0, 5),
        (5, EntryKind::TakenBack, "#2", 0, -5),
    ];
    check(&events, &[(3, 4)], &lines, (0, 1));
}

#[test]
fn a_refund_that_is_earlier_than_its_session_comes_after_the_grant() {
    let events = [on(-2, refunded("cs", 200)), on(-1, refunded("cs", 400)), buys(0, "cs")];
    let lines = [
        GRANT,
        (0, EntryKind::TakenBack, "#0", 0, -1),
        (0, EntryKind::TakenBack, "#1", 0, -1),
    ];
    check(&events, &[], &lines, (0, 3));
}
