//! The words for what each event changed.

use crate::domain::{
    explain::{
        ExplainRequest, HistoryEntry, explain,
        explain_user::tests::{basic, explained},
    },
    fact::{Fact, FactBody, InvoiceStep, Seconds, Snapshot},
    ids::UserId,
    subscription::{account::Account, entitlement},
    testkit::{
        DAY, T0, TimedFact, active, changed, created, deleted, facts, invoice, item, month, not_renewed, prorated,
        renewed, sub, user,
    },
};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// The words of all entries of the first subscription.
#[track_caller]
fn check(events: &[TimedFact], after: Seconds, expected: &[&[&str]]) {
    let explanation = explained(events, after);
    let words = |entry: &HistoryEntry| -> Vec<String> { entry.changes.iter().map(|c| c.words.clone()).collect() };
    let entries: Vec<Vec<String>> = explanation.subscriptions[0].entries.iter().map(words).collect();
    assert_eq!(entries, expected, "{explanation:#?}");
}

/// Checks the words for the events of the last second. The subscription begins at
/// second 0 as an active max.
#[track_caller]
fn check_last(events: &[TimedFact], expected: &[&str]) {
    let mut events = events.to_vec();
    events.insert(0, (0, created(sub("active", "max"))));
    let last = events.iter().map(|(at, _)| *at).max().expect("a life");
    let explanation = explained(&events, last);
    let entries = explanation.subscriptions[0].entries.iter();
    let words: Vec<&str> = entries
        .filter(|e| e.at.0 == T0 + last)
        .flat_map(|e| e.changes.iter().map(|c| c.words.as_str()))
        .collect();
    assert_eq!(words, expected, "{explanation:#?}");
}

#[test]
fn each_event_has_words_for_its_changes() {
    let canceling = Snapshot {
        cancel_at_period_end: true,
        canceled_at: Some(T0 + 35 * DAY),
        ..active("basic", month(1))
    };
    let canceled = Snapshot {
        status: "canceled".to_owned(),
        ..canceling.clone()
    };
    let events = [
        (0, created(sub("incomplete", "max"))),
        (1, changed(sub("active", "max"))),
        (
            1,
            FactBody::Invoice(invoice("in_0", InvoiceStep::Paid, "subscription_create", month(0))),
        ),
        (5 * DAY, basic()),
        (30 * DAY + 60, changed(active("basic", month(1)))),
        (30 * DAY + 3_600, renewed(month(1))),
        (35 * DAY, changed(canceling)),
        (36 * DAY, changed(active("basic", month(1)))),
        (40 * DAY, deleted(canceled)),
    ];
    check(
        &events,
        50 * DAY,
        &[
            &[
                "begins: incomplete, max",
                "period 2023-11-14T22:13:20Z to 2023-12-14T22:13:20Z",
                "linked to u1, as the user of its customer, whom evt_00010 names",
            ],
            &["first payment: ever_paid is true from here on"],
            &[
                "status incomplete -> active",
                "highest tier so far: max",
                "gives max (before: free)",
            ],
            &[
                "tier max -> basic",
                "grace begins: max until 2023-12-14T22:13:20Z; it is paid until then",
            ],
            &["grace of max is over", "gives basic (before: max)"],
            &["period 2023-12-14T22:13:20Z to 2024-01-13T22:13:20Z"],
            &["changes nothing by itself"],
            &["cancellation requested: it ends at 2024-01-13T22:13:20Z"],
            &["cancellation taken back"],
            &[
                "status active -> canceled; it is over for good",
                "gives free (before: basic)",
            ],
        ],
    );
}

#[test]
fn a_downgrade_without_grace_says_why() {
    let day = 5 * DAY;
    let tier = "tier max -> basic";
    let gives = "gives basic (before: max)";
    for (status, why) in [
        ("trialing", "no grace for max: it was a trial"),
        ("unpaid", "no grace for max: the subscription was unpaid"),
    ] {
        let events = [(1, changed(sub(status, "max"))), (day, changed(sub(status, "basic")))];
        let back = [(1, changed(sub(status, "max"))), (day, basic())];
        let status = format!("status {status} -> active");
        match status.as_str() {
            "status unpaid -> active" => check_last(&back, &[&status, tier, why, "gives basic (before: free)"]),
            _ => check_last(&events, &[tier, why, gives]),
        }
    }
    check_last(
        &[(1, not_renewed(month(0))), (day, basic())],
        &[tier, "no grace for max: its period was not paid", gives],
    );
    check_last(
        &[(30 * DAY, changed(active("basic", month(1))))],
        &[
            tier,
            "period 2023-12-14T22:13:20Z to 2024-01-13T22:13:20Z",
            "no grace for max: the lower tier begins with a new period",
            gives,
        ],
    );
    for credit in [item(-300, true), prorated(-300)] {
        let paid = matches!(credit, FactBody::Invoice(_));
        let words: &[&str] = &[
            "changes nothing by itself",
            tier,
            "no grace for max: the change was credited",
            gives,
        ];
        let words = if paid {
            &["changes nothing by itself", tier, words[2], gives]
        } else {
            words
        };
        check_last(&[(day, basic()), (day, credit)], words);
    }
    check_last(
        &[(day - 1, changed(sub("active", "plus"))), (day, basic())],
        &[
            "tier plus -> basic",
            "grace of max continues until 2023-12-14T22:13:20Z",
        ],
    );
}

#[test]
fn a_grace_that_ends_says_why() {
    let (day, gives) = (5 * DAY, "gives basic (before: max)");
    let ends = |why: &str| format!("grace of max ends: {why}");
    check_last(
        &[(day, basic()), (day + 20, item(-300, true))],
        &[&ends("the change was credited"), gives],
    );
    check_last(
        &[(day, basic()), (day + 200, not_renewed(month(0)))],
        &[
            "in_1700000000 counts as unpaid",
            &ends("its period turned out to be unpaid"),
            gives,
        ],
    );
    check_last(
        &[(day, basic()), (day + 200, changed(sub("active", "max")))],
        &["tier basic -> max", &ends("the tier is max again")],
    );
    check_last(
        &[(day, basic()), (day + 200, changed(sub("unpaid", "basic")))],
        &[
            "status active -> unpaid",
            &ends("the subscription no longer gives access"),
            "gives free (before: max)",
        ],
    );
    // Under a test clock, events may come before the period that they are about.
    check_last(
        &[(day, basic()), (day + 200, renewed(month(1)))],
        &[
            "first payment: ever_paid is true from here on",
            &ends("the renewal is paid"),
            gives,
        ],
    );
    check_last(
        &[(day, basic()), (day + 200, changed(active("basic", month(1))))],
        &[
            "period 2023-12-14T22:13:20Z to 2024-01-13T22:13:20Z",
            &ends("a new period began"),
            gives,
        ],
    );
    let late = [
        (1, not_renewed(month(0))),
        (day, basic()),
        (day + 200, renewed(month(0))),
    ];
    check_last(
        &late,
        &[
            "first payment: ever_paid is true from here on",
            "in_1700000000 no longer counts as unpaid",
            "grace begins: max until 2023-12-14T22:13:20Z; the period of the downgrade at 2023-11-19T22:13:20Z \
             is paid now",
            "gives max (before: basic)",
        ],
    );
}

#[test]
fn a_change_whose_payment_failed_does_not_count_until_it_is_paid() {
    let upgrade = changed(Snapshot {
        latest_invoice: Some("in_up".to_owned()),
        ..sub("active", "max")
    });
    let bill = |step| FactBody::Invoice(invoice("in_up", step, "subscription_update", month(0)));
    let held = "the change from plus to max does not count: the payment of in_up failed; what was before counts until \
                in_up or the invoice of a later period is paid";
    let events = [
        (0, created(sub("active", "plus"))),
        (DAY, upgrade),
        (DAY + 5, bill(InvoiceStep::Failed)),
        (DAY + 6, bill(InvoiceStep::Failed)),
        (2 * DAY, bill(InvoiceStep::Paid)),
    ];
    let explanation = explained(&events[..3], 2 * DAY);
    assert_eq!(
        explanation.summary,
        [
            "u1 may use plus.",
            "Subscription sub_1 (max) is active; its period ends at 2023-12-14T22:13:20Z.",
            "Its change from plus to max does not count until in_up or the invoice of a later period is paid; that payment \
             failed.",
        ]
    );
    check(
        &events,
        3 * DAY,
        &[
            &[
                "begins: active, plus",
                "period 2023-11-14T22:13:20Z to 2023-12-14T22:13:20Z",
                "highest tier so far: plus",
                "gives plus (before: free)",
                "linked to u1, as the user of its customer, whom evt_00006 names",
            ],
            &[
                "tier plus -> max",
                "highest tier so far: max",
                "gives max (before: plus)",
            ],
            &[held, "gives plus (before: max)"],
            &["changes nothing: this was known already"],
            &[
                "first payment: ever_paid is true from here on",
                "what Stripe shows counts again (in_up is paid): max",
                "gives max (before: plus)",
            ],
        ],
    );
}

#[test]
fn an_event_that_changes_nothing_says_why() {
    let gone = || sub("canceled", "max");
    check_last(
        &[(5, changed(gone())), (9, changed(sub("active", "max")))],
        &["changes nothing: the subscription had ended before"],
    );
    check_last(
        &[(5, renewed(month(0))), (9, renewed(month(0)))],
        &["changes nothing: this was known already"],
    );
    check_last(
        &[(9, changed(sub("active", "max")))],
        &["changes nothing: this was known already"],
    );
    check_last(&[(9, item(300, true))], &["changes nothing by itself"]);
    let paused = Snapshot {
        collection_paused: true,
        ..sub("active", "max")
    };
    check_last(
        &[(9, changed(paused))],
        &["collection of payments paused; this changes nothing by itself"],
    );
}

/// Ten years of monthly renewals. Each month has tier changes, one of them credited.
/// One invoice stays unpaid for a year.
fn ten_years() -> Vec<Fact> {
    let mut events = vec![(0, created(sub("active", "plus"))), (1, not_renewed(month(12)))];
    for number in 0..125 {
        let at = number * 30 * DAY;
        let tiers = if number % 2 == 0 {
            ["max", "basic"]
        } else {
            ["basic", "max"]
        };
        events.extend([
            (at + 60, changed(active(tiers[0], month(number)))),
            (at + 60, renewed(month(number))),
            (at + 61, renewed(month(number))),
            (at + 5 * DAY, changed(active(tiers[1], month(number)))),
            (at + 5 * DAY, item(-300, true)),
            (at + 6 * DAY, changed(active(tiers[0], month(number)))),
            (
                at + 6 * DAY,
                changed(Snapshot {
                    cancel_at_period_end: true,
                    ..active(tiers[0], month(number))
                }),
            ),
            (at + 7 * DAY, changed(active(tiers[0], month(number)))),
        ]);
    }
    let mut facts = facts(&events);
    for fact in &mut facts {
        if let FactBody::Subscription(s) = &mut fact.body {
            s.now.user = user("u1");
        }
    }
    facts
}

#[test]
fn a_long_history_is_explained_fast_and_ends_like_the_fold() {
    let facts = ten_years();
    let request = ExplainRequest {
        user: &UserId::new("u1"),
        at: T0 + 9_999 * DAY,
        is_past: true,
        free_tier: "free",
        types: &BTreeMap::new(),
    };
    let began = Instant::now();
    let explanation = explain(&facts, &[], &request).expect("u1 is known");
    let took = began.elapsed();
    // It takes about a second, unoptimised and beside other tests.
    assert!(
        facts.len() > 1_000 && took < Duration::from_secs(10),
        "{} in {took:?}",
        facts.len()
    );
    let folded = Account::fold(&facts.iter().collect::<Vec<_>>()).subscriptions;
    let folded = entitlement::of_user(request.user, &folded.iter().collect::<Vec<_>>(), "free");
    let row = explanation.entitlement.expect("a row");
    assert_eq!(folded.map(|e| (e.status, e.tier)), Some((row.status, row.tier)));
    let entries = &explanation.subscriptions[0].entries;
    let events = entries.iter().filter(|e| e.event.is_some()).count();
    assert_eq!(events, facts.len(), "each event has one entry");
}
