//! The explanation of balances: the buckets that paid and received, and why.

use super::{LedgerRecord, LineKind, MeterHistory, PaidFrom};
use crate::domain::{
    balance::{
        timeline::{EntryKind, TimelineEntry},
        waterfall::BalanceChange,
    },
    explain::{ExplainRequest, Explanation, explain},
    fact::{ChargeRefundedFact, Fact, FactBody, Grant, InvoiceStep, RefundFailedFact, Seconds},
    ids::UserId,
    testkit::{DAY, T0, TimedFact, active, changed, created, facts, invoice, month, other_session, sub, user},
};
use std::collections::BTreeMap;

/// The explanation of `u1` as of a day.
fn explained(facts: &[Fact], recorded: &[LedgerRecord], day: i64, is_past: bool) -> Option<Explanation> {
    let request = ExplainRequest {
        user: &UserId::new("u1"),
        at: T0 + day * DAY,
        is_past,
        free_tier: "free",
        types: &BTreeMap::new(),
    };
    explain(facts, recorded, &request)
}

fn meter(events: &[TimedFact], recorded: &[LedgerRecord], day: i64) -> MeterHistory {
    let mut meters = explained(&facts(events), recorded, day, true)
        .expect("u1 is known")
        .meters;
    assert_eq!(meters.len(), 1, "{meters:?}");
    meters.remove(0)
}

fn used(id: &str, at: Seconds, amount: i64) -> LedgerRecord {
    recorded(EntryKind::Usage, id, at, amount, BalanceChange::default())
}

fn recorded(kind: EntryKind, cause: &str, at: Seconds, amount: i64, change: BalanceChange) -> LedgerRecord {
    LedgerRecord {
        meter: "tokens".to_owned(),
        entry: TimelineEntry {
            at: T0 + at,
            kind,
            cause: cause.to_owned(),
            amount,
            change,
        },
    }
}

/// Session `cs_2` sells 500 tokens for 10.00.
fn pack() -> FactBody {
    match other_session(user("u1"), None) {
        FactBody::Session(mut session) => {
            session.payment_intent = Some("pi_1".to_owned());
            session.amount_total = Some(1_000);
            session.grants = vec![Grant {
                pack: "small".to_owned(),
                meter: "tokens".to_owned(),
                credits: 500,
            }];
            FactBody::Session(session)
        }
        other => other,
    }
}

fn refunded(amount_refunded: i64) -> FactBody {
    FactBody::ChargeRefunded(ChargeRefundedFact {
        charge: "ch_1".to_owned(),
        payment_intent: Some("pi_1".to_owned()),
        amount: 1_000,
        amount_refunded,
        currency: None,
        invoice: None,
    })
}

fn refund_failed(amount: i64) -> FactBody {
    FactBody::RefundFailed(RefundFailedFact {
        refund: "re_1".to_owned(),
        charge: Some("ch_1".to_owned()),
        payment_intent: Some("pi_1".to_owned()),
        amount,
    })
}

/// A month begins, and the invoice of this renewal is paid.
fn renewal(number: i64) -> [TimedFact; 2] {
    let mut cycle = invoice(
        &format!("in_{number}"),
        InvoiceStep::Paid,
        "subscription_cycle",
        month(number),
    );
    cycle.period = Some(month(number - 1));
    let at = 30 * number * DAY;
    [
        (at, changed(active("plus", month(number)))),
        (at, FactBody::Invoice(cycle)),
    ]
}

/// A plan of 1,000 a month with a rollover cap of 2,000, and a pack of 500.
fn events() -> Vec<TimedFact> {
    let mut events = vec![
        (0, created(sub("active", "plus"))),
        (0, other_session(user("u1"), None)),
        (2 * DAY, pack()),
        (4 * DAY, refunded(400)),
        (5 * DAY, refund_failed(400)),
    ];
    events.extend(renewal(1));
    events.extend(renewal(2));
    events
}

fn usage() -> Vec<LedgerRecord> {
    vec![
        used("app r1", DAY, 400),
        used("app r2", 3 * DAY, 1_300),
        used("app r3", 31 * DAY, 300),
    ]
}

#[test]
fn each_line_names_the_buckets_the_cause_and_the_reason() {
    let tokens = meter(&events(), &usage(), 61);
    let lines: Vec<String> = tokens.lines.iter().map(|l| format!("{} {}", l.at, l.words)).collect();
    assert_eq!(
        lines,
        [
            "2023-11-14T22:13:20Z period of sub_1, 2023-11-14T22:13:20Z to 2023-12-14T22:13:20Z: 1,000 are included",
            "2023-11-15T22:13:20Z usage app r1: 400 from the limit",
            "2023-11-16T22:13:20Z grant of cs_2, pack small: 500 are added to purchased credits",
            "2023-11-17T22:13:20Z usage app r2: 600 from the limit, 500 from purchased credits, 200 are debt",
            "2023-11-18T22:13:20Z 200 taken back by evt_00006 (400 of 1000 minor units of charge ch_1 are refunded): \
             200 are spent already and become debt",
            "2023-11-19T22:13:20Z 200 returned by evt_00005 (refund re_1 of 400 minor units of charge ch_1 failed): \
             200 pay off debt",
            "2023-12-14T22:13:20Z period of sub_1, 2023-12-14T22:13:20Z to 2024-01-13T22:13:20Z: 1,000 are included",
            "2023-12-14T22:13:20Z invoice in_1: nothing rolls over from 2023-11-14T22:13:20Z to 2023-12-14T22:13:20Z, \
             no paid units were left",
            "2023-12-15T22:13:20Z usage app r3: 300 from the limit",
            "2024-01-13T22:13:20Z period of sub_1, 2024-01-13T22:13:20Z to 2024-02-12T22:13:20Z: 1,000 are included",
            "2024-01-13T22:13:20Z rollover by invoice in_2: 700 were unused in 2023-12-14T22:13:20Z to \
             2024-01-13T22:13:20Z, 700 roll over; 200 of them pay off debt",
        ]
    );
    assert_eq!(
        tokens.summary,
        "1,000 of 1,000 left in this period, 500 rolled over, 0 purchased: 1,500 available."
    );
    let second = &tokens.lines[3];
    let paid = PaidFrom {
        limit: 600,
        rollover: 0,
        purchased: 500,
        debt: 200,
    };
    assert_eq!(
        (second.kind, second.cause.as_str(), second.amount, second.paid),
        (LineKind::Usage, "app r2", 1_300, Some(paid))
    );
    assert_eq!((second.used, second.rollover, second.purchased), (600, -200, -500));
}

#[test]
fn the_lines_add_up_to_the_balance_as_of_any_moment() {
    for (day, expected) in [
        (0, (0, 0, 0, 1_000)),
        (1, (400, 0, 0, 600)),
        (2, (400, 0, 500, 1_100)),
        (3, (1_000, -200, 0, -200)),
        (4, (1_000, -400, 0, -400)),
        (5, (1_000, -200, 0, -200)),
        (30, (0, -200, 0, 800)),
        (31, (300, -200, 0, 500)),
        (60, (0, 500, 0, 1_500)),
    ] {
        let tokens = meter(&events(), &usage(), day);
        let (used, rollover, purchased, available) = expected;
        assert_eq!(
            (tokens.used, tokens.rollover, tokens.purchased, tokens.available),
            (used, rollover, purchased, Some(available)),
            "day {day}"
        );
        assert_eq!(tokens.plan_limit, Some(1_000));
        let sum = |field: fn(&crate::domain::explain::BalanceLine) -> i64| tokens.lines.iter().map(field).sum::<i64>();
        assert_eq!(
            (sum(|l| l.rollover), sum(|l| l.purchased)),
            (rollover, purchased),
            "day {day}"
        );
    }
    let before = explained(&facts(&events()), &usage(), -1, true).expect("u1 is known later");
    assert!(before.meters.is_empty() && before.entitlement.is_none());
    assert!(before.summary[1].starts_with("Nothing was known yet"));
}

#[test]
fn a_rollover_line_names_the_cap_and_a_summary_names_the_debt() {
    let mut events = events();
    events.extend((3..=5).flat_map(renewal));
    let tokens = meter(&events, &usage(), 151);
    let last = tokens.lines.last().expect("a rollover");
    assert_eq!(
        last.words.split_once("Z, ").map(|(_, words)| words),
        Some("0 roll over, up to the cap of 2,000"),
        "{}",
        last.words
    );
    let debt = meter(&events, &usage(), 3);
    assert_eq!(
        debt.summary,
        "0 of 1,000 left in this period, a debt of 200, 0 purchased: -200 available."
    );
    let repaid = meter(&[(0, pack())], &[used("app r1", -5, 300)], 1);
    assert_eq!(
        repaid.lines[1].words,
        "grant of cs_2, pack small: 300 pay off debt, 200 are added to purchased credits"
    );
    assert_eq!(
        repaid.summary,
        "Nothing is included, 0 rolled over, 200 purchased: 200 available."
    );
}

#[test]
fn a_grace_keeps_the_limit_of_its_period() {
    let mut max = sub("active", "max");
    if let Some(plan) = &mut max.plan {
        plan.limits.insert("tokens".to_owned(), Some(3_000));
    }
    let events = [
        (0, other_session(user("u1"), None)),
        (0, created(max)),
        (5 * DAY, changed(sub("active", "basic"))),
    ];
    let tokens = meter(&events, &[used("app r1", 6 * DAY, 2_000)], 31);
    let words: Vec<&str> = tokens.lines[1..].iter().map(|l| l.words.as_str()).collect();
    assert_eq!(words, ["usage app r1: 2,000 from the limit"]);
    assert_eq!((tokens.plan_limit, tokens.available), (Some(3_000), Some(1_000)));
}

#[test]
fn an_end_that_nobody_told_of_ends_the_limit() {
    let mut canceling = sub("active", "basic");
    canceling.cancel_at_period_end = true;
    let events = [(0, other_session(user("u1"), None)), (0, created(canceling))];
    let tokens = meter(&events, &[], 31);
    let words: Vec<&str> = tokens.lines[1..].iter().map(|l| l.words.as_str()).collect();
    let ends = "sub_1 should have ended more than an hour ago, and no event says that it goes on: nothing is included";
    assert_eq!(words, [ends]);
    assert_eq!((tokens.plan_limit, tokens.available), (Some(0), Some(0)));
    assert_eq!(meter(&events, &[], 30).plan_limit, Some(1_000));
}

#[test]
fn many_neighbouring_usage_lines_are_summed_up() {
    let many =
        |count: i64| -> Vec<LedgerRecord> { (0..count).map(|n| used(&format!("app {n}"), DAY + n, 10)).collect() };
    let few = meter(&events(), &many(50), 3);
    assert_eq!(few.summed_lines().len(), few.lines.len());
    let tokens = meter(&events(), &many(20_000), 3);
    assert_eq!(tokens.lines.iter().filter(|l| l.paid.is_some()).count(), 20_000);
    let short: Vec<String> = tokens.summed_lines().into_iter().map(|(_, words)| words).collect();
    assert_eq!(
        short[1..],
        [
            "20,000 usages from 2023-11-15T22:13:20Z to 2023-11-16T03:46:39Z: 1,000 from the limit, 199,000 are debt",
            "grant of cs_2, pack small: 500 pay off debt",
        ]
    );
}

#[test]
fn a_correction_stands_beside_the_lines_which_already_include_it() {
    let mut all = usage();
    let change = BalanceChange {
        used: -5,
        rollover: 1_005,
        purchased: 0,
    };
    all.push(recorded(EntryKind::Correction, "evt_00005", 5 * DAY, 0, change));
    let tokens = meter(&events(), &all, 6);
    assert_eq!(tokens.rollover, -200, "the lines already include it");
    let words: Vec<&str> = tokens.corrections.iter().map(|l| l.words.as_str()).collect();
    assert_eq!(
        words,
        [
            "correction by evt_00005 (refund re_1 of 400 minor units of charge ch_1 failed): used -5, rollover +1,005, \
          because it changed how earlier entries count"
        ]
    );
    assert!(meter(&events(), &all, 4).corrections.is_empty(), "not yet");
}

#[test]
fn a_user_is_known_by_usage_or_a_pack_alone() {
    let by_usage = explained(&[], &[used("app r1", 0, 7)], 1, true).expect("usage names the user");
    let row = by_usage.entitlement.expect("a row");
    assert_eq!(
        (
            row.entitled,
            row.status.as_str(),
            row.tier.as_str(),
            row.effective_tier.as_str()
        ),
        (false, "none", "free", "free")
    );
    assert_eq!(row.stripe_subscription_id, None);
    assert_eq!(
        by_usage.summary,
        ["u1 may use free only.", "No subscription is linked to this user."]
    );
    assert_eq!(
        by_usage.meters[0].summary,
        "Nothing is included, a debt of 7, 0 purchased: -7 available."
    );
    let by_pack = explained(&facts(&[(0, pack())]), &[], 1, true).expect("a pack names the user");
    assert_eq!(by_pack.entitlement.map(|row| row.status), Some("none".to_owned()));
    assert_eq!(explained(&[], &[], 1, true), None);
}

#[test]
fn periods_that_a_test_clock_announces_early_do_not_count_before_they_begin() {
    let mut events = events();
    for (at, _) in &mut events {
        *at = (*at).min(6 * DAY);
    }
    let (facts, usage) = (facts(&events), usage());
    let at = |day, is_past| {
        let meters = explained(&facts, &usage, day, is_past).expect("u1 is known").meters;
        (meters[0].used, meters[0].rollover)
    };
    assert_eq!(at(7, true), (1_000, -200), "the first period");
    assert_eq!(at(31, true), (300, -200), "the second one");
    assert_eq!(at(61, true), (0, 500), "the third one");
    assert_eq!(at(61, false), (0, 500), "as it is stored");
}
