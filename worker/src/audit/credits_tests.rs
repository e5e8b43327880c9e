//! Stored balances, a timeline, and the differences between them.

use super::{balances, odd_lines, without_reason, without_subscription};
use crate::{
    audit::difference::Difference,
    domain::{
        balance::{
            closing::Closing,
            grants::Purchase,
            ledger::RecordedLines,
            period_limit::PeriodLimit,
            replay::replay,
            returns::TakenBackTotal,
            terms::Term,
            timeline::{EntryKind, MeterBalance, Timeline, UsageSum},
            waterfall::BalanceChange,
        },
        fact::Period,
        ids::{EventId, SubscriptionId, UserId},
    },
    store::audit::credits::{OddLine, UnexplainedEntry, UserWithoutSubscription},
};
use std::collections::BTreeMap;

type BalancesByMeter = BTreeMap<String, MeterBalance>;
type Ledger = BTreeMap<String, RecordedLines>;

fn limits() -> BTreeMap<String, PeriodLimit> {
    let limit = PeriodLimit {
        limit: Some(10),
        allowance: Some(10),
        ..PeriodLimit::default()
    };
    BTreeMap::from([("tokens".to_owned(), limit)])
}

fn term(start: i64) -> Term {
    Term {
        since: start,
        subscription: SubscriptionId::new("sub_1"),
        period: Period {
            start,
            end: start + 100,
        },
        counted_from: start,
        entitled: true,
        trial: false,
        canceling: false,
        rank: 1,
        subscribed_at: 0,
        ends_at: None,
        handed_over: false,
        limits: limits(),
        caps: BTreeMap::from([("tokens".to_owned(), 50)]),
    }
}

/// A period of which 6 of 10 roll over, a pack of 30 of which 10 are refunded,
/// and a second period.
fn timeline() -> Timeline {
    Timeline {
        terms: vec![term(0), term(100)],
        closings: vec![Closing {
            at: 100,
            invoice: "in_1".to_owned(),
            subscription: SubscriptionId::new("sub_1"),
            ended: term(0).period,
            paid: true,
            limits: limits(),
            caps: term(0).caps,
        }],
        cuts: Vec::new(),
        purchases: vec![Purchase {
            sale: "cs_1".to_owned(),
            at: 20,
            pack: "small".to_owned(),
            meter: "tokens".to_owned(),
            credits: 30,
            taken_back: vec![TakenBackTotal {
                at: 50,
                event: EventId::new("evt_9"),
                credits: 10,
            }],
        }],
    }
}

fn change(used: i64, rollover: i64, purchased: i64) -> BalanceChange {
    BalanceChange {
        used,
        rollover,
        purchased,
    }
}

/// What is stored of the timeline when 4 are used in its first period and 3 in the
/// second; computed by hand.
fn stored() -> (BalancesByMeter, Ledger) {
    let mut balance = MeterBalance {
        window: Some(term(100).window()),
        limits: term(0).limits_of("tokens"),
        used: 3,
        reported: 7,
        since: 100,
        ..MeterBalance::default()
    };
    balance.carried.rollover = 6;
    balance.carried.purchased = 20;
    let causes = [
        (EntryKind::Rollover, "in_1"),
        (EntryKind::Grant, "cs_1"),
        (EntryKind::TakenBack, "evt_9"),
    ];
    let recorded = RecordedLines {
        sums: BTreeMap::from([
            (None, change(0, 6, 20)),
            (Some(term(0).window()), change(4, 0, 0)),
            (Some(term(100).window()), change(3, 0, 0)),
        ]),
        causes: causes.map(|(kind, cause)| (kind, cause.to_owned())).into(),
        usage: vec![UsageSum { at: 10, amount: 4 }, UsageSum { at: 110, amount: 3 }],
    };
    let one = |meter: &str| meter.to_owned();
    (
        BTreeMap::from([(one("tokens"), balance)]),
        BTreeMap::from([(one("tokens"), recorded)]),
    )
}

#[track_caller]
pub(super) fn check(found: &[Difference], expected: &[&str]) {
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(found, expected);
}

#[track_caller]
fn check_stored(change: fn(&mut MeterBalance, &mut RecordedLines), expected: &[&str]) {
    let (mut balance, mut ledger) = stored();
    let of = |meter: &str| meter.to_owned();
    change(
        balance.entry(of("tokens")).or_default(),
        ledger.entry(of("tokens")).or_default(),
    );
    let (found, unexplained) = balances(&UserId::new("u1"), &timeline(), &balance, &ledger);
    check(&found, expected);
    assert!(unexplained.is_empty(), "{unexplained:?}");
}

#[test]
fn a_balance_is_compared_column_by_column() {
    check_stored(|_, _| (), &[]);
    check_stored(
        |balance, _| balance.used = 4,
        &["balance of u1 tokens: used is 4, the events say 3"],
    );
    check_stored(
        |balance, _| balance.carried.rollover = -6,
        &["balance of u1 tokens: rollover is -6, the events say 6"],
    );
    check_stored(
        |balance, _| balance.carried.purchased = 0,
        &["balance of u1 tokens: purchased is 0, the events say 20"],
    );
    check_stored(
        |balance, _| balance.limits.own = None,
        &["balance of u1 tokens: plan_limit is none, the events say 10"],
    );
    check_stored(
        |balance, _| balance.limits.ends_at = Some(60),
        &["balance of u1 tokens: limit_ends_at is '1970-01-01T00:01:00Z', the events say none"],
    );
    check_stored(
        |balance, _| balance.window = None,
        &[
            "balance of u1 tokens: period_start is none, the events say '1970-01-01T00:01:40Z'",
            "balance of u1 tokens: subscription_id is none, the events say 'sub_1'",
        ],
    );
    check_stored(
        |balance, _| balance.since = i64::MIN,
        &["balance of u1 tokens: settled_until is none, the events say '1970-01-01T00:01:40Z'"],
    );
}

#[test]
fn a_ledger_is_summed_up_and_searched_for_every_cause() {
    check_stored(
        |_, recorded| {
            recorded.sums.insert(None, change(0, 7, 19));
        },
        &[
            "ledger of u1 tokens: rollover sums up to 7, the events say 6",
            "ledger of u1 tokens: purchased sums up to 19, the events say 20",
        ],
    );
    check_stored(
        |_, recorded| {
            recorded.sums.insert(Some(term(0).window()), change(5, 0, 0));
        },
        &["ledger of u1 tokens: used in the period of sub_1 from 1970-01-01T00:00:00Z sums up to 5, the events say 4"],
    );
    check_stored(
        |_, recorded| {
            recorded.sums.insert(None, change(1, 6, 20));
        },
        &["ledger of u1 tokens: used outside of any period sums up to 1, the events say 0"],
    );
    check_stored(
        |_, recorded| {
            recorded.sums.insert(Some(term(0).window()), change(4, i64::MAX, 0));
        },
        &["ledger of u1 tokens: it sums up to more than 64 bits hold"],
    );
    check_stored(
        |_, recorded| recorded.causes.retain(|(kind, _)| *kind != EntryKind::Grant),
        &["ledger of u1 tokens: there is no grant of cs_1, but there are events for it"],
    );
    check_stored(
        |_, recorded| {
            let most = UsageSum {
                at: 120,
                amount: i64::MAX,
            };
            recorded.usage.extend([most, most]);
        },
        &["balance of u1 tokens: the events add up to more than 64 bits hold"],
    );
}

#[test]
fn missing_rows_and_rows_without_an_event_are_found() {
    let user = UserId::new("u1");
    let (balance, ledger) = stored();
    let none = BTreeMap::new();
    check(
        &balances(&user, &timeline(), &none, &ledger).0,
        &["balance of u1 tokens: there is no row, but there are events for it"],
    );
    let (found, unexplained) = balances(&user, &Timeline::default(), &balance, &no_lines());
    check(&found, &["balance of u1 tokens: there is a row, but no event for it"]);
    assert!(unexplained.is_empty());
    // An empty balance too: what was never theirs leaves none behind.
    let empty = BTreeMap::from([("tokens".to_owned(), MeterBalance::default())]);
    check(
        &balances(&user, &Timeline::default(), &empty, &no_lines()).0,
        &["balance of u1 tokens: there is a row, but no event for it"],
    );
    let nothing = balances(&user, &timeline(), &none, &no_lines()).0;
    assert!(
        nothing
            .iter()
            .any(|d| d.what.starts_with("there is no rollover of in_1")),
        "{nothing:?}"
    );
}

fn no_lines() -> Ledger {
    BTreeMap::new()
}

#[test]
fn an_entry_that_the_timeline_does_not_contain_is_returned() {
    let (balance, mut ledger) = stored();
    if let Some(recorded) = ledger.get_mut("tokens") {
        recorded.causes.insert((EntryKind::Grant, "cs_2".to_owned()));
        recorded.causes.insert((EntryKind::Rollover, "in_2".to_owned()));
        recorded.causes.insert((EntryKind::Returned, "evt_9".to_owned()));
    }
    let (found, unexplained) = balances(&UserId::new("u1"), &timeline(), &balance, &ledger);
    check(&found, &[]);
    check(
        &without_reason(&unexplained),
        &[
            "ledger of u1 tokens: there is a rollover of in_2, but no event for it",
            "ledger of u1 tokens: there is a grant of cs_2, but no event for it",
            "ledger of u1 tokens: there is a returned of evt_9, but no event for it",
        ],
    );
    // A closed period of which nothing is left needs no rollover entry.
    let (_, mut ledger) = stored();
    let recorded = ledger.entry("tokens".to_owned()).or_default();
    recorded.usage.push(UsageSum { at: 11, amount: 6 });
    let replayed = replay(&timeline(), "tokens", &recorded.usage).expect("in range");
    assert!(replayed.entries.iter().all(|e| e.kind != EntryKind::Rollover));
    let unexplained: Vec<UnexplainedEntry> = balances(&UserId::new("u1"), &timeline(), &balance, &ledger).1;
    assert!(unexplained.is_empty(), "{unexplained:?}");
}

#[test]
fn a_row_that_contradicts_itself_is_reported() {
    let line = OddLine {
        user: "u1".to_owned(),
        meter: "tokens".to_owned(),
        kind: "usage".to_owned(),
        cause: "app 1".to_owned(),
        has_event: true,
        is_early: false,
        amount: 5,
        used: 3,
        rollover: 0,
        purchased: -1,
    };
    let early = OddLine {
        is_early: true,
        ..line.clone()
    };
    let lost = OddLine {
        has_event: false,
        ..line.clone()
    };
    check(
        &odd_lines(&[line, early, lost]),
        &[
            "ledger of u1 tokens, usage app 1: amount is 5, which does not match used 3, rollover 0 and purchased -1",
            "ledger of u1 tokens, usage app 1: it counts before the time of its event",
            "ledger of u1 tokens, usage app 1: no event of that id is applied",
        ],
    );
    let user = UserWithoutSubscription {
        user: "u1".to_owned(),
        has_entitlement: false,
        has_lock: false,
    };
    check(
        &without_subscription(&[user]),
        &[
            "entitlement of u1: there is no row, but the user has balances",
            "app_user u1: there is no row, but the user has balances",
        ],
    );
}
