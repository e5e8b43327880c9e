//! Balances, story by story: what Stripe told, what was used, and what is left.
//! The numbers are the shipped catalog's, worked out by hand.

use super::{EntryKind, MeterBalance, Timeline, UsageSum};
use crate::domain::{
    balance::{
        replay::{ReplayedMeter, replay},
        waterfall::Overflow,
    },
    fact::{
        Fact, FactBody,
        InvoiceStep::{self, ActionRequired, Failed, Paid},
        Period, Seconds, Snapshot,
    },
    ids::{EventId, SubscriptionId, UserId},
    testkit::{DAY, T0, Told, changed, created, cycle, days, deleted, facts, has, invoice, month, of, pack, shipped},
};

const M: i64 = 1_000_000;
const HOUR: Seconds = 3_600;

fn on(day: i64, said: FactBody) -> Told {
    (day * DAY, said)
}

/// Usage of so much on a day.
type Use = (i64, i64);

fn status(word: &str, snapshot: Snapshot) -> Snapshot {
    Snapshot {
        status: word.to_owned(),
        ..snapshot
    }
}

fn starts(key: &str) -> Told {
    on(0, created(has(key, month(0))))
}

fn to(key: &str, day: i64) -> Told {
    on(day, changed(has(key, month(0))))
}

/// The month with this number begins at this price; its invoice, an hour later.
fn renews(key: &str, number: i64, step: InvoiceStep) -> [Told; 2] {
    let (ended, begins) = (month(number - 1), month(number));
    [
        on(30 * number, changed(has(key, begins))),
        (30 * number * DAY + HOUR, cycle(step, ended, begins)),
    ]
}

fn all(parts: &[&[Told]]) -> Vec<Told> {
    parts.concat()
}

/// The story of `u1`: late, early or twice, what was told ends the same.
#[track_caller]
fn story_of(facts: &[Fact]) -> Timeline {
    let of = |told: &[&Fact]| Timeline::of(&UserId::new("u1"), told.iter().copied());
    let mut arrived: Vec<&Fact> = facts.iter().collect();
    let story = of(&arrived);
    for _ in 0..facts.len() {
        arrived.rotate_left(1);
        assert_eq!(of(&arrived), story);
        arrived.reverse();
        assert_eq!(of(&arrived), story);
        arrived.reverse();
    }
    arrived.extend(facts);
    assert_eq!(of(&arrived), story, "delivered twice");
    story
}

#[track_caller]
fn meter(story: &[Told], meter: &str, usage: &[Use]) -> ReplayedMeter {
    let usage: Vec<UsageSum> = usage
        .iter()
        .map(|(day, amount)| UsageSum {
            at: T0 + day * DAY,
            amount: *amount,
        })
        .collect();
    replay(&story_of(&facts(story)), meter, &usage).expect("in range")
}

/// What there is of the tokens in the end: limit, used, rollover, purchased.
#[track_caller]
fn check(story: &[Told], usage: &[Use], expected: (i64, i64, i64, i64)) {
    let done = meter(story, "tokens", usage);
    let (balance, purse) = (&done.balance, done.balance.carried);
    let limit = balance.limits.at(balance.since).expect("a limit");
    assert_eq!(
        (limit, balance.used, purse.rollover, purse.purchased),
        expected,
        "{story:#?} {done:#?}"
    );
}

/// What rolled over, entry by entry.
#[track_caller]
fn rolled(story: &[Told], usage: &[Use], expected: &[i64]) {
    let done = meter(story, "tokens", usage);
    let entries = done.entries.iter().filter(|e| e.kind == EntryKind::Rollover);
    assert_eq!(
        entries.map(|e| e.change.rollover).collect::<Vec<_>>(),
        expected,
        "{story:#?}"
    );
}

fn bought(day: i64, session: &str, credits: i64) -> Told {
    on(day, FactBody::Session(pack(session, "tokens", credits)))
}

#[test]
fn one_usage_goes_through_every_bucket() {
    let story = all(&[
        &[starts("basic_monthly")],
        &renews("basic_monthly", 1, Paid),
        &[bought(31, "cs", 2 * M)],
    ]);
    // Month 0 leaves 1M over; then 5M are included and 2M bought.
    check(&story, &[(10, 4 * M)], (5 * M, 0, M, 2 * M));
    check(&story, &[(10, 4 * M), (40, 5 * M)], (5 * M, 5 * M, M, 2 * M));
    check(&story, &[(10, 4 * M), (40, 7 * M)], (5 * M, 5 * M, 0, M));
    check(&story, &[(10, 4 * M), (40, 9 * M)], (5 * M, 5 * M, -M, 0));
    check(&story, &[(10, 4 * M), (40, 9 * M), (41, M)], (5 * M, 5 * M, -2 * M, 0));
}

#[test]
fn a_debt_is_paid_by_the_rollover_and_by_a_pack() {
    let story = [starts("basic_monthly")];
    check(&story, &[(10, 7 * M)], (5 * M, 5 * M, -2 * M, 0));
    // Nothing was left over of month 0; month 1 leaves 4M.
    let story = all(&[
        &story,
        &renews("basic_monthly", 1, Paid),
        &renews("basic_monthly", 2, Paid),
    ]);
    check(&story, &[(10, 7 * M), (40, M)], (5 * M, 0, 2 * M, 0));
    check(&story, &[(10, 12 * M), (40, M)], (5 * M, 0, -3 * M, 0));
    let story = [starts("basic_monthly"), bought(20, "cs", 5 * M)];
    check(&story, &[(10, 7 * M)], (5 * M, 5 * M, 0, 3 * M));
    check(&story, &[(10, 11 * M)], (5 * M, 5 * M, -M, 0));
}

#[test]
fn what_is_left_over_comes_in_once_and_up_to_the_cap() {
    let months: Vec<Told> = (1..=4).flat_map(|n| renews("basic_monthly", n, Paid)).collect();
    let story = all(&[&[starts("basic_monthly")], &months]);
    rolled(&story, &[(10, 2 * M)], &[3 * M, 5 * M, 2 * M, 0]);
    check(&story, &[(10, 2 * M)], (5 * M, 0, 10 * M, 0));
    // `invoice.paid` and `invoice.payment_succeeded` are one, also a day later.
    let mut told = facts(&story);
    let mut twins: Vec<Fact> = told
        .iter()
        .filter(|f| matches!(f.body, FactBody::Invoice(_)))
        .cloned()
        .collect();
    for twin in &mut twins {
        twin.event_id = EventId::new(format!("{}_too", twin.event_id));
        twin.created += DAY;
    }
    let once = story_of(&told);
    told.extend(twins);
    assert_eq!(story_of(&told), once);
}

#[test]
fn what_is_above_the_cap_is_not_cut() {
    // The cap falls when the catalog of a later time says so.
    let mut less = has("basic_monthly", month(2));
    less.plan
        .as_mut()
        .expect("a plan")
        .caps
        .insert("tokens".to_owned(), 3 * M);
    let (mut lower, mut begins) = (less.clone(), less);
    (lower.period, begins.period) = (Some(month(2)), Some(month(3)));
    let story = all(&[
        &[starts("basic_monthly")],
        &renews("basic_monthly", 1, Paid),
        &[
            on(60, changed(lower)),
            (60 * DAY + HOUR, cycle(Paid, month(1), month(2))),
        ],
        &[
            on(90, changed(begins)),
            (90 * DAY + HOUR, cycle(Paid, month(2), month(3))),
        ],
    ]);
    rolled(&story, &[], &[5 * M, 5 * M, 0]);
}

#[test]
fn a_change_within_a_period_weighs_by_its_time() {
    let next = |key| renews(key, 1, Paid);
    // 10 days of 5M and 20 days of 15M, over 30.
    let up = [starts("basic_monthly"), to("max_monthly", 10)];
    rolled(&all(&[&up, &next("max_monthly")]), &[], &[10 * M]);
    rolled(
        &all(&[&up, &next("max_monthly")]),
        &[(20, 7 * M)],
        &[11_666_666 - 7 * M],
    );
    // A credited fall leaves no grace: 10 days of 15M, 20 of 5M, rounded down.
    let mut credit = invoice("in_fall", Paid, "subscription_update", month(0));
    (credit.lines[0].proration, credit.lines[0].amount) = (true, -500);
    let down = [
        starts("max_monthly"),
        to("basic_monthly", 10),
        (10 * DAY + 1, FactBody::Invoice(credit)),
    ];
    check(&down, &[(20, 7 * M)], (5 * M, 5 * M, -2 * M, 0));
    rolled(&all(&[&down, &next("basic_monthly")]), &[(5, M)], &[8_333_333 - M]);
}

#[test]
fn an_upgrade_in_the_last_hour_buys_next_to_nothing() {
    let up = (30 * DAY - HOUR, changed(has("max_monthly", month(0))));
    let story = all(&[&[starts("basic_monthly"), up], &renews("max_monthly", 1, Paid)]);
    // 5M and an hour's share of 10M: 10,000,000 / 720.
    rolled(&story, &[], &[5_013_888]);
    // What was used beyond that leaves nothing, and no debt.
    rolled(&story, &[(1, 5 * M), (29, 0)], &[13_888]);
    check(&story, &[(1, 6 * M)], (15 * M, 0, 5_013_888 - 5 * M - M, 0));
}

#[test]
fn a_downgrade_keeps_the_limit_of_its_own_period() {
    let down = [starts("max_monthly"), to("basic_monthly", 10)];
    check(&down, &[(20, 12 * M)], (15 * M, 12 * M, 0, 0));
    let story = all(&[&down, &renews("basic_monthly", 1, Paid)]);
    rolled(&story, &[(20, 12 * M)], &[3 * M]);
    check(&story, &[(20, 12 * M), (40, 6 * M)], (5 * M, 5 * M, 2 * M, 0));
    // Unpaid, the month after has its own limit too.
    let unpaid = all(&[&down, &renews("basic_monthly", 1, Failed)]);
    check(&unpaid, &[(20, 12 * M), (40, 6 * M)], (5 * M, 5 * M, -M, 0));
}

#[test]
fn by_time_too_what_was_lent_is_over_at_its_end() {
    // The downgrade's own period is a year; what was paid was a month of it.
    let down = [starts("max_monthly"), to("basic_monthly", 10)];
    check(&down, &[(29, 14 * M), (30, M)], (5 * M, 14 * M, -M, 0));
}

#[test]
fn a_month_that_begins_during_the_grace_of_a_year_has_its_own_limit() {
    let story = [
        on(0, created(has("max_yearly", days(0, 365)))),
        on(40, changed(has("basic_monthly", days(40, 70)))),
    ];
    check(&story, &[(39, 100 * M), (50, 6 * M)], (5 * M, 5 * M, -M, 0));
}

#[test]
fn a_year_has_twelve_times_the_limit_and_rolls_over_once() {
    let (first, second) = (days(0, 365), days(365, 730));
    let story = [
        on(0, created(has("basic_yearly", first))),
        on(365, changed(has("basic_yearly", second))),
        (365 * DAY + HOUR, cycle(Paid, first, second)),
    ];
    check(&story[..1], &[(300, 59 * M)], (60 * M, 59 * M, 0, 0));
    rolled(&story, &[(300, 57 * M)], &[3 * M]);
    rolled(&story, &[], &[10 * M]);
}

#[test]
fn a_year_that_began_within_a_month_of_paid_months_rolls_over() {
    let (year, next) = (days(40, 405), days(405, 770));
    let story = all(&[
        &[starts("basic_monthly")],
        &renews("basic_monthly", 1, Paid),
        &[
            on(40, changed(has("basic_yearly", year))),
            (
                40 * DAY,
                FactBody::Invoice(invoice("in_year", Paid, "subscription_update", year)),
            ),
            on(405, changed(has("basic_yearly", next))),
            (405 * DAY + HOUR, cycle(Paid, year, next)),
        ],
    ]);
    // 5M of month 0; nothing of month 1, which never ended; and of the year 3M.
    rolled(&story, &[(50, 57 * M)], &[5 * M, 3 * M]);
}

#[test]
fn meters_are_apart() {
    let voice = on(31, FactBody::Session(pack("cs", "voice_chars", 500_000)));
    let story = all(&[&[starts("plus_monthly")], &renews("plus_monthly", 1, Paid), &[voice]]);
    let voice = meter(&story, "voice_chars", &[(10, 300_000), (40, 1_900_000)]);
    let purse = voice.balance.carried;
    // 700,000 over and 500,000 bought, of which 900,000 go.
    assert_eq!((voice.balance.used, purse.rollover, purse.purchased), (M, 0, 300_000));
    check(&story, &[], (10 * M, 0, 10 * M, 0));
    assert_eq!(meter(&story, "tokens", &[]).entries.len(), 1);
    let meters = story_of(&facts(&story)).meters();
    assert_eq!(
        meters.iter().collect::<Vec<_>>(),
        ["basic_chars", "tokens", "voice_chars"]
    );
}

#[test]
fn a_meter_without_a_limit_is_counted_and_never_rolls_over() {
    let story = all(&[&[starts("basic_monthly")], &renews("basic_monthly", 1, Paid)]);
    let done = meter(&story, "basic_chars", &[(10, 90 * M), (40, 70 * M)]);
    assert_eq!((done.balance.used, done.balance.limits.own), (70 * M, None));
    assert_eq!(
        (done.balance.carried, done.entries),
        (super::CarriedBalance::default(), vec![])
    );
}

#[test]
fn a_trial_includes_usage_and_leaves_nothing_over() {
    let (trial, first) = (days(0, 3), days(3, 33));
    let second = days(33, 63);
    let story = [
        on(0, created(status("trialing", has("basic_monthly", trial)))),
        on(3, changed(has("basic_monthly", first))),
        (3 * DAY + HOUR, cycle(Paid, trial, first)),
        on(33, changed(has("basic_monthly", second))),
        (33 * DAY + HOUR, cycle(Paid, first, second)),
    ];
    check(&story[..1], &[(1, 2 * M)], (5 * M, 2 * M, 0, 0));
    rolled(&story[..3], &[(1, 2 * M)], &[]);
    rolled(&story, &[(1, 2 * M), (10, 2 * M)], &[3 * M]);
    // A trial that takes a third of a paid period counts for two thirds of it.
    let part = all(&[
        &[
            on(0, created(status("trialing", has("basic_monthly", month(0))))),
            to("basic_monthly", 10),
        ],
        &renews("basic_monthly", 1, Paid),
    ]);
    rolled(&part, &[], &[3_333_333]);
}

#[test]
fn a_period_whose_own_invoice_was_never_paid_gives_nothing_until_it_is() {
    let retried = (65 * DAY, cycle(Paid, month(0), month(1)));
    let months = |first: &[Told]| all(&[&[starts("basic_monthly")], first, &renews("basic_monthly", 2, Paid)]);
    for first in [
        &renews("basic_monthly", 1, Failed)[..],
        &renews("basic_monthly", 1, ActionRequired),
        &renews("basic_monthly", 1, Paid)[..1],
    ] {
        let story = months(first);
        rolled(&story, &[(40, 2 * M)], &[]);
        // Told late, it gives what month 0 left over, and month 1.
        let late = all(&[&story, std::slice::from_ref(&retried)]);
        let done = meter(&late, "tokens", &[(40, 2 * M)]);
        let entries = done
            .entries
            .iter()
            .map(|e| (e.cause.clone(), (e.at - T0) / DAY, e.change.rollover));
        let expected = [(month(2), 60, 3 * M), (month(1), 65, 5 * M)];
        let expected = expected.map(|(p, day, units)| (format!("in_{}", p.start), day, units));
        assert_eq!(entries.collect::<Vec<_>>(), expected);
    }
}

#[test]
fn a_first_period_whose_invoice_failed_gives_nothing() {
    let fails = |step, at| {
        on(
            at,
            FactBody::Invoice(invoice("in_first", step, "subscription_create", month(0))),
        )
    };
    let story = all(&[
        &[starts("basic_monthly"), fails(Failed, 0)],
        &renews("basic_monthly", 1, Paid),
    ]);
    rolled(&story, &[], &[]);
    rolled(&all(&[&story, &[fails(Paid, 2)]]), &[], &[5 * M]);
}

#[path = "timeline_law_tests.rs"]
mod law;
#[path = "timeline_life_tests.rs"]
mod lives;
#[path = "timeline_model_tests.rs"]
mod model;
#[path = "timeline_pack_tests.rs"]
mod packs;
