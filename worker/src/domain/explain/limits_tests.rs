//! How limits come about, in words: weighted by time, trials, unpaid periods, grace, cuts and
//! returned money.

use super::{Explanation, LedgerRecord, MeterHistory};
use crate::domain::{
    balance::{
        timeline::{EntryKind, TimelineEntry},
        waterfall::BalanceChange,
    },
    explain::{ExplainRequest, explain},
    fact::{FactBody, InvoiceStep, Period, Plan, Seconds, Snapshot},
    ids::UserId,
    testkit::{
        DAY, T0, TimedFact, changed, created, cycle, days, facts, has, invoice, month, prorated, refunded, shipped,
    },
};
use std::collections::{BTreeMap, BTreeSet};

const MONTH: &str = "2023-11-14T22:13:20Z to 2023-12-14T22:13:20Z";

fn explained(events: &[TimedFact], recorded: &[LedgerRecord], at: Seconds, is_past: bool) -> Explanation {
    let request = ExplainRequest {
        user: &UserId::new("u1"),
        at: T0 + at,
        is_past,
        free_tier: "free",
        types: &BTreeMap::new(),
    };
    explain(&facts(events), recorded, &request).expect("u1 is known")
}

/// The tokens of `u1` on a day, after this usage in units on days.
fn tokens(events: &[TimedFact], usage: &[(Seconds, i64)], day: i64) -> MeterHistory {
    let recorded: Vec<LedgerRecord> = usage.iter().map(|(day, amount)| used(day * DAY, *amount)).collect();
    let meters = explained(events, &recorded, day * DAY, true).meters;
    meters.into_iter().find(|m| m.meter == "tokens").expect("tokens")
}

fn used(at: Seconds, amount: i64) -> LedgerRecord {
    LedgerRecord {
        meter: "tokens".to_owned(),
        entry: TimelineEntry {
            at: T0 + at,
            kind: EntryKind::Usage,
            cause: format!("app r{at}"),
            amount,
            change: BalanceChange::default(),
        },
    }
}

fn words(history: &MeterHistory) -> Vec<&str> {
    history.lines.iter().map(|l| l.words.as_str()).collect()
}

/// The invoice of a period that no renewal began is paid, with `pi_1`.
fn pays(period: Period) -> FactBody {
    let mut paid = invoice(
        &format!("in_{}", period.start),
        InvoiceStep::Paid,
        "subscription_create",
        period,
    );
    paid.payment_intent = Some("pi_1".to_owned());
    FactBody::Invoice(paid)
}

/// A paid month with this price.
fn month_of(key: &str) -> Vec<TimedFact> {
    vec![(0, created(has(key, month(0)))), (1, pays(month(0)))]
}

fn with(events: Vec<TimedFact>, more: &[TimedFact]) -> Vec<TimedFact> {
    [events, more.to_vec()].concat()
}

#[test]
fn an_upgrade_late_in_a_period_says_how_its_limit_is_weighted() {
    // (27 x 5M + 3 x 15M) / 30 = 6M.
    let events = with(
        month_of("basic_monthly"),
        &[(27 * DAY, changed(has("max_monthly", month(0))))],
    );
    let tokens = tokens(&events, &[], 28);
    assert_eq!(tokens.plan_limit, Some(6_000_000));
    let sum = "27 days at 5,000,000, 3 days at 15,000,000: 6,000,000";
    assert_eq!(tokens.limit_reason.as_deref(), Some(sum));
    assert_eq!(
        tokens.summary,
        format!(
            "6,000,000 of 6,000,000 left in this period, 0 rolled over, 0 purchased: 6,000,000 available. The limit of \
             this period: {sum}."
        )
    );
    assert_eq!(
        words(&tokens),
        [
            format!("period of sub_1, {MONTH}: 5,000,000 are included"),
            format!("from here on {sum} are included"),
        ]
    );
}

#[test]
fn a_plain_limit_has_no_reason() {
    let tokens = tokens(&month_of("basic_monthly"), &[], 28);
    assert_eq!(tokens.limit_reason, None);
    assert!(tokens.summary.ends_with("5,000,000 available."), "{}", tokens.summary);
}

#[test]
fn a_trial_and_the_unpaid_year_after_it_say_so() {
    let year = days(3, 368);
    let trial = Snapshot {
        status: "trialing".to_owned(),
        ..has("plus_yearly", days(0, 3))
    };
    let events = [
        (0, created(trial)),
        (3 * DAY, changed(has("plus_yearly", year))),
        (10 * DAY, cycle(InvoiceStep::Paid, days(0, 3), year)),
    ];
    let in_trial = tokens(&events, &[(1, 4_000_000)], 2);
    assert_eq!(
        in_trial.limit_reason.as_deref(),
        Some("10,000,000; a trial has the limits of a month")
    );
    let unpaid = tokens(&events, &[(1, 4_000_000)], 4);
    assert_eq!((unpaid.plan_limit, unpaid.used), (Some(10_000_000), 4_000_000));
    let left = "the first invoice after the trial is not paid yet, so what the trial left counts";
    assert_eq!(unpaid.limit_reason, Some(format!("10,000,000; {left}")));
    let paid = tokens(&events, &[(1, 4_000_000)], 11);
    assert_eq!((paid.plan_limit, paid.used), (Some(120_000_000), 0));
    assert_eq!(
        words(&paid),
        [
            "period of sub_1, 2023-11-14T22:13:20Z to 2023-11-17T22:13:20Z: 10,000,000 are included (a trial has the \
             limits of a month)"
                .to_owned(),
            "usage app r86400: 4,000,000 from the limit".to_owned(),
            format!(
                "period of sub_1, 2023-11-17T22:13:20Z to 2024-11-16T22:13:20Z: 10,000,000 are included ({left}); \
                 4,000,000 are used already"
            ),
            "from here on 120,000,000 are included (its invoice is paid); the counter of the trial is over".to_owned(),
            format!(
                "invoice in_{}: nothing rolls over from 2023-11-14T22:13:20Z to 2023-11-17T22:13:20Z, it was a trial",
                year.start
            ),
        ]
    );
}

#[test]
fn a_year_that_is_not_paid_says_why_it_has_a_month() {
    let tokens = tokens(&[(0, created(has("plus_yearly", days(0, 365))))], &[], 1);
    assert_eq!(tokens.plan_limit, Some(10_000_000));
    assert_eq!(
        tokens.limit_reason.as_deref(),
        Some("10,000,000; its invoice is not paid yet, so it has no more than a month's")
    );
}

#[test]
fn a_grace_says_that_it_keeps_the_limit() {
    let events = with(
        month_of("max_monthly"),
        &[(10 * DAY, changed(has("basic_monthly", month(0))))],
    );
    let tokens = tokens(&events, &[], 11);
    assert_eq!(tokens.plan_limit, Some(15_000_000));
    assert_eq!(
        tokens.limit_reason.as_deref(),
        Some("15,000,000; the grace keeps the limit of max in this period")
    );
}

#[test]
fn a_meter_that_is_not_prorated_says_what_counts_for_rollover() {
    let whole = |key: &str| Snapshot {
        plan: Some(Plan {
            unprorated: BTreeSet::from(["tokens".to_owned()]),
            ..shipped(key)
        }),
        ..has(key, month(0))
    };
    let events = [
        (0, created(whole("basic_monthly"))),
        (1, pays(month(0))),
        (27 * DAY, changed(whole("max_monthly"))),
    ];
    let tokens = tokens(&events, &[], 28);
    assert_eq!(tokens.plan_limit, Some(15_000_000));
    assert_eq!(
        tokens.limit_reason.as_deref(),
        Some(
            "27 days at 5,000,000, 3 days at 15,000,000: 15,000,000; prorate = false: the limit in force counts in full; for \
             rollover it is 6,000,000"
        )
    );
}

#[test]
fn a_period_that_is_cut_short_says_what_becomes_of_it() {
    let year = days(10, 375);
    let switched = [
        (10 * DAY, changed(has("plus_yearly", year))),
        (10 * DAY + 5, pays(year)),
    ];
    let uncredited = with(month_of("plus_monthly"), &switched);
    let line = |events: &[TimedFact], used: i64| {
        let tokens = tokens(events, &[(5, used)], 11);
        let lines: Vec<String> = words(&tokens).into_iter().map(str::to_owned).collect();
        lines
            .into_iter()
            .find(|w| w.starts_with("change"))
            .expect("a line of the cut")
    };
    assert_eq!(
        line(&uncredited, 4_000_000),
        format!(
            "change evt_00002 cut the period {MONTH} short, without credit: 6,000,000 were left of it, and are kept"
        )
    );
    // 10 of 30 days of 10M are 3,333,333.
    let credited = with(uncredited, &[(10 * DAY + 1, prorated(-500))]);
    let cut = format!("change evt_00003 cut the period {MONTH} short, with credit for the rest: it had sold 3,333,333");
    assert_eq!(
        line(&credited, 8_000_000),
        format!("{cut} by then; 4,666,667 more were used, and become debt")
    );
    assert_eq!(
        line(&credited, 3_000_000),
        format!("{cut} by then, and nothing of it is kept")
    );
}

#[test]
fn a_refunded_period_says_that_nothing_rolls_over() {
    let refund = [(5 * DAY, refunded("1", 1_000))];
    let renewal = [
        (30 * DAY, changed(has("plus_monthly", month(1)))),
        (30 * DAY, cycle(InvoiceStep::Paid, month(0), month(1))),
    ];
    let events = with(with(month_of("plus_monthly"), &refund), &renewal);
    assert_eq!(
        tokens(&events, &[], 6).limit_reason.as_deref(),
        Some("10,000,000; the money of its invoice went back, so nothing of it rolls over")
    );
    let tokens = tokens(&events, &[], 31);
    let no_rollover = format!(
        "invoice in_{}: nothing rolls over from {MONTH}, the money of its invoice went back",
        month(1).start
    );
    assert!(words(&tokens).contains(&no_rollover.as_str()), "{:?}", words(&tokens));
    assert_eq!(tokens.rollover, 0);
}

#[test]
fn a_report_that_is_some_minutes_ahead_counts_as_in_the_tables() {
    let ahead = [used(DAY + 200, 7)];
    let now = |is_past: bool| explained(&month_of("plus_monthly"), &ahead, DAY, is_past);
    let used = |e: &Explanation| e.meters.iter().find(|m| m.meter == "tokens").map(|m| m.used);
    assert_eq!(used(&now(false)), Some(7));
    assert_eq!(used(&now(true)), Some(0));
}
