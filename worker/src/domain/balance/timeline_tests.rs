//! Balances by example: events and usage, and what is left. The limits are those of
//! the shipped catalog; the expected numbers are worked out by hand.

use super::{EntryKind, MeterBalance, Timeline, UsageSum};
use crate::domain::{
    balance::{
        replay::{ReplayedMeter, replay},
        waterfall::Overflow,
    },
    fact::{
        Fact, FactBody,
        InvoiceStep::{self, Failed, Paid},
        Period, Seconds, Snapshot,
    },
    ids::{EventId, SubscriptionId, UserId},
    testkit::{
        DAY, T0, TimedFact, changed, created, cycle, days, deleted, facts, has, invoice, month, of, pack, refunded,
        shipped,
    },
};

const M: i64 = 1_000_000;
const HOUR: Seconds = 3_600;

fn on(day: i64, body: FactBody) -> TimedFact {
    (day * DAY, body)
}

/// Usage: (day, units).
type UsageOnDay = (i64, i64);

fn status(word: &str, snapshot: Snapshot) -> Snapshot {
    Snapshot {
        status: word.to_owned(),
        ..snapshot
    }
}

fn starts(key: &str) -> TimedFact {
    on(0, created(has(key, month(0))))
}

fn to(key: &str, day: i64) -> TimedFact {
    on(day, changed(has(key, month(0))))
}

/// The month with this number begins at this price. Its invoice comes an hour later.
fn renews(key: &str, number: i64, step: InvoiceStep) -> [TimedFact; 2] {
    let (ended, begins) = (month(number - 1), month(number));
    [
        on(30 * number, changed(has(key, begins))),
        (30 * number * DAY + HOUR, cycle(step, ended, begins)),
    ]
}

/// The first invoice of a period is paid at its beginning.
fn pays(period: Period) -> TimedFact {
    let id = format!("in_{}", period.start);
    let bill = invoice(&id, Paid, "subscription_create", period);
    (period.start - T0, FactBody::Invoice(bill))
}

fn all(parts: &[&[TimedFact]]) -> Vec<TimedFact> {
    parts.concat()
}

/// The timeline of `u1`. No order of arrival and no second delivery changes it.
#[track_caller]
fn timeline_of(facts: &[Fact]) -> Timeline {
    let of = |facts: &[&Fact]| Timeline::of(&UserId::new("u1"), facts.iter().copied());
    let mut arrived: Vec<&Fact> = facts.iter().collect();
    let timeline = of(&arrived);
    for _ in 0..facts.len() {
        arrived.rotate_left(1);
        assert_eq!(of(&arrived), timeline);
        arrived.reverse();
        assert_eq!(of(&arrived), timeline);
        arrived.reverse();
    }
    arrived.extend(facts);
    assert_eq!(of(&arrived), timeline, "delivered twice");
    timeline
}

#[track_caller]
fn meter(events: &[TimedFact], meter: &str, usage: &[UsageOnDay]) -> ReplayedMeter {
    let usage: Vec<UsageSum> = usage
        .iter()
        .map(|(day, amount)| UsageSum {
            at: T0 + day * DAY,
            amount: *amount,
        })
        .collect();
    replay(&timeline_of(&facts(events)), meter, &usage).expect("in range")
}

/// Checks the tokens at the end: limit, used, rollover, purchased.
#[track_caller]
fn check(events: &[TimedFact], usage: &[UsageOnDay], expected: (i64, i64, i64, i64)) {
    let replayed = meter(events, "tokens", usage);
    let (balance, carried) = (&replayed.balance, replayed.balance.carried);
    let limit = balance.limits.at(balance.since).expect("a limit");
    assert_eq!(
        (limit, balance.used, carried.rollover, carried.purchased),
        expected,
        "{events:#?} {replayed:#?}"
    );
}

/// Checks what rolled over, entry by entry.
#[track_caller]
fn check_rollover(events: &[TimedFact], usage: &[UsageOnDay], expected: &[i64]) {
    let replayed = meter(events, "tokens", usage);
    let entries = replayed.entries.iter().filter(|e| e.kind == EntryKind::Rollover);
    assert_eq!(
        entries.map(|e| e.change.rollover).collect::<Vec<_>>(),
        expected,
        "{events:#?}"
    );
}

fn purchase(day: i64, session: &str, credits: i64) -> TimedFact {
    on(day, FactBody::Session(pack(session, "tokens", credits)))
}

#[test]
fn one_usage_goes_through_every_bucket() {
    let events = all(&[
        &[starts("basic_monthly")],
        &renews("basic_monthly", 1, Paid),
        &[purchase(31, "cs", 2 * M)],
    ]);
    // Month 0 leaves 1M unused; then 5M are included and 2M are purchased.
    check(&events, &[(10, 4 * M)], (5 * M, 0, M, 2 * M));
    check(&events, &[(10, 4 * M), (40, 5 * M)], (5 * M, 5 * M, M, 2 * M));
    check(&events, &[(10, 4 * M), (40, 7 * M)], (5 * M, 5 * M, 0, M));
    check(&events, &[(10, 4 * M), (40, 9 * M)], (5 * M, 5 * M, -M, 0));
    check(&events, &[(10, 4 * M), (40, 9 * M), (41, M)], (5 * M, 5 * M, -2 * M, 0));
}

#[test]
fn rollover_and_purchases_pay_a_debt() {
    let events = [starts("basic_monthly")];
    check(&events, &[(10, 7 * M)], (5 * M, 5 * M, -2 * M, 0));
    // Month 0 leaves nothing unused; month 1 leaves 4M.
    let events = all(&[
        &events,
        &renews("basic_monthly", 1, Paid),
        &renews("basic_monthly", 2, Paid),
    ]);
    check(&events, &[(10, 7 * M), (40, M)], (5 * M, 0, 2 * M, 0));
    check(&events, &[(10, 12 * M), (40, M)], (5 * M, 0, -3 * M, 0));
    let events = [starts("basic_monthly"), purchase(20, "cs", 5 * M)];
    check(&events, &[(10, 7 * M)], (5 * M, 5 * M, 0, 3 * M));
    check(&events, &[(10, 11 * M)], (5 * M, 5 * M, -M, 0));
}

#[test]
fn unused_units_roll_over_once_and_up_to_the_cap() {
    let months: Vec<TimedFact> = (1..=4).flat_map(|n| renews("basic_monthly", n, Paid)).collect();
    let events = all(&[&[starts("basic_monthly")], &months]);
    check_rollover(&events, &[(10, 2 * M)], &[3 * M, 5 * M, 2 * M, 0]);
    check(&events, &[(10, 2 * M)], (5 * M, 0, 10 * M, 0));
    // `invoice.paid` and `invoice.payment_succeeded` count once, even a day apart.
    let mut doubled = facts(&events);
    let mut twins: Vec<Fact> = doubled
        .iter()
        .filter(|f| matches!(f.body, FactBody::Invoice(_)))
        .cloned()
        .collect();
    for twin in &mut twins {
        twin.event_id = EventId::new(format!("{}_too", twin.event_id));
        twin.created += DAY;
    }
    let once = timeline_of(&doubled);
    doubled.extend(twins);
    assert_eq!(timeline_of(&doubled), once);
}

#[test]
fn a_rollover_above_a_new_cap_stays_as_it_is() {
    // A later catalog lowers the cap.
    let mut less = has("basic_monthly", month(2));
    less.plan
        .as_mut()
        .expect("a plan")
        .caps
        .insert("tokens".to_owned(), 3 * M);
    let (mut lower, mut begins) = (less.clone(), less);
    (lower.period, begins.period) = (Some(month(2)), Some(month(3)));
    let events = all(&[
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
    check_rollover(&events, &[], &[5 * M, 5 * M, 0]);
}

#[test]
fn limits_within_a_period_are_weighted_by_time() {
    let next = |key| renews(key, 1, Paid);
    // 10 days of 5M and 20 days of 15M, over 30.
    let up = [starts("basic_monthly"), to("max_monthly", 10)];
    check_rollover(&all(&[&up, &next("max_monthly")]), &[], &[10 * M]);
    check_rollover(
        &all(&[&up, &next("max_monthly")]),
        &[(20, 7 * M)],
        &[11_666_666 - 7 * M],
    );
    // A credited downgrade leaves no grace: 10 days of 15M, 20 of 5M, rounded down.
    let mut credit = invoice("in_fall", Paid, "subscription_update", month(0));
    (credit.lines[0].proration, credit.lines[0].amount) = (true, -500);
    let down = [
        starts("max_monthly"),
        to("basic_monthly", 10),
        (10 * DAY + 1, FactBody::Invoice(credit)),
    ];
    check(&down, &[(20, 7 * M)], (8_333_333, 7 * M, 0, 0));
    check_rollover(&all(&[&down, &next("basic_monthly")]), &[(5, M)], &[8_333_333 - M]);
}

#[test]
fn an_upgrade_in_the_last_hour_adds_little_rollover() {
    let up = (30 * DAY - HOUR, changed(has("max_monthly", month(0))));
    let events = all(&[&[starts("basic_monthly"), up], &renews("max_monthly", 1, Paid)]);
    // 5M and an hour's share of 10M: 10,000,000 / 720.
    check_rollover(&events, &[], &[5_013_888]);
    // Usage above the allowance leaves nothing unused, and no debt.
    check_rollover(&events, &[(1, 5 * M), (29, 0)], &[13_888]);
    // The million beyond 5M was decided before the upgrade. It is debt, which rollover pays.
    check(&events, &[(1, 6 * M)], (15 * M, 0, 13_888 - M, 0));
}

#[test]
fn a_downgrade_keeps_the_limit_of_its_own_period() {
    let down = [starts("max_monthly"), to("basic_monthly", 10)];
    check(&down, &[(20, 12 * M)], (15 * M, 12 * M, 0, 0));
    let events = all(&[&down, &renews("basic_monthly", 1, Paid)]);
    check_rollover(&events, &[(20, 12 * M)], &[3 * M]);
    check(&events, &[(20, 12 * M), (40, 6 * M)], (5 * M, 5 * M, 2 * M, 0));
    // If the next month is unpaid, it has its own limit too.
    let unpaid = all(&[&down, &renews("basic_monthly", 1, Failed)]);
    check(&unpaid, &[(20, 12 * M), (40, 6 * M)], (5 * M, 5 * M, -M, 0));
}

#[test]
fn the_latest_known_period_counts_until_a_newer_one_is_known() {
    let down = [starts("max_monthly"), to("basic_monthly", 10)];
    check(&down, &[(29, 14 * M), (31, 2 * M)], (15 * M, 15 * M, -M, 0));
}

#[test]
fn a_month_that_begins_during_the_grace_of_a_year_has_its_own_limit() {
    let events = [
        on(0, created(has("max_yearly", days(0, 365)))),
        pays(days(0, 365)),
        on(40, changed(has("basic_monthly", days(40, 70)))),
    ];
    // 80M of the year's 180M are left.
    check(&events, &[(39, 100 * M), (50, 6 * M)], (5 * M, 5 * M, 79 * M, 0));
}

#[test]
fn a_year_has_twelve_times_the_limit_and_rolls_over_once() {
    let (first, second) = (days(0, 365), days(365, 730));
    let events = [
        on(0, created(has("basic_yearly", first))),
        pays(first),
        on(365, changed(has("basic_yearly", second))),
        (365 * DAY + HOUR, cycle(Paid, first, second)),
    ];
    check(&events[..2], &[(300, 59 * M)], (60 * M, 59 * M, 0, 0));
    check_rollover(&events, &[(300, 57 * M)], &[3 * M]);
    check_rollover(&events, &[], &[10 * M]);
}

#[test]
fn a_year_that_replaces_a_month_rolls_over_at_its_end() {
    let (year, next) = (days(40, 405), days(405, 770));
    let events = all(&[
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
    // 5M of month 0 and 3M of the year roll over. 1M of month 1, which the year cut short, is
    // carried.
    let usage = [(35, 4 * M), (50, 57 * M)];
    check_rollover(&events, &usage, &[5 * M, 3 * M]);
    check(&events, &usage, (60 * M, 0, 9 * M, 0));
}

#[test]
fn each_meter_has_a_balance_of_its_own() {
    let voice = on(31, FactBody::Session(pack("cs", "voice_chars", 500_000)));
    let events = all(&[&[starts("plus_monthly")], &renews("plus_monthly", 1, Paid), &[voice]]);
    let voice = meter(&events, "voice_chars", &[(10, 300_000), (40, 1_900_000)]);
    let carried = voice.balance.carried;
    // 700,000 rolled over and 500,000 were purchased; 900,000 of these are used.
    assert_eq!(
        (voice.balance.used, carried.rollover, carried.purchased),
        (M, 0, 300_000)
    );
    check(&events, &[], (10 * M, 0, 10 * M, 0));
    assert_eq!(meter(&events, "tokens", &[]).entries.len(), 1);
    let meters = timeline_of(&facts(&events)).meters();
    assert_eq!(
        meters.iter().collect::<Vec<_>>(),
        ["basic_chars", "tokens", "voice_chars"]
    );
}

#[test]
fn a_meter_without_a_limit_is_counted_and_never_rolls_over() {
    let events = all(&[&[starts("basic_monthly")], &renews("basic_monthly", 1, Paid)]);
    let replayed = meter(&events, "basic_chars", &[(10, 90 * M), (40, 70 * M)]);
    assert_eq!((replayed.balance.used, replayed.balance.limits.own), (70 * M, None));
    assert_eq!(
        (replayed.balance.carried, replayed.entries),
        (super::CarriedBalance::default(), vec![])
    );
}

#[test]
fn a_trial_has_a_limit_and_nothing_of_it_rolls_over() {
    let (trial, first) = (days(0, 3), days(3, 33));
    let second = days(33, 63);
    let events = [
        on(0, created(status("trialing", has("basic_monthly", trial)))),
        on(3, changed(has("basic_monthly", first))),
        (3 * DAY + HOUR, cycle(Paid, trial, first)),
        on(33, changed(has("basic_monthly", second))),
        (33 * DAY + HOUR, cycle(Paid, first, second)),
    ];
    check(&events[..1], &[(1, 2 * M)], (5 * M, 2 * M, 0, 0));
    check_rollover(&events[..3], &[(1, 2 * M)], &[]);
    check_rollover(&events, &[(1, 2 * M), (10, 2 * M)], &[3 * M]);
    // A trial that takes a third of a paid period counts for two thirds of it.
    let part = all(&[
        &[
            on(0, created(status("trialing", has("basic_monthly", month(0))))),
            to("basic_monthly", 10),
        ],
        &renews("basic_monthly", 1, Paid),
    ]);
    check_rollover(&part, &[], &[3_333_333]);
}

#[path = "timeline_cut_tests.rs"]
mod cut_short;
#[path = "timeline_edge_tests.rs"]
mod edge_cases;
#[path = "timeline_handover_tests.rs"]
mod hand_overs;
#[path = "timeline_model_tests.rs"]
mod model;
#[path = "timeline_property_tests.rs"]
mod properties;
#[path = "timeline_purchase_tests.rs"]
mod purchases;
#[path = "timeline_unpaid_tests.rs"]
mod unpaid;
