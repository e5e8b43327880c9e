//! Money given back for a change: which one it was for.

use super::*;

/// An invoice that gives money back for a change, some seconds after a day.
fn credit(id: &str, day: i64, after: Seconds) -> Told {
    let mut invoice = settling(id, Paid, days(day, 30));
    invoice.lines.truncate(1);
    invoice.total = 0;
    (day * DAY + after, FactBody::Invoice(invoice))
}

/// The same, by a pending item and a request.
fn item_of(request: &str, day: i64, after: Seconds) -> Told {
    let FactBody::InvoiceItem(mut item) = item(-300, true) else {
        panic!("an item")
    };
    item.request = Some(request.to_owned());
    (day * DAY + after, FactBody::InvoiceItem(item))
}

const BASIC: Option<(&str, i64)> = None;
const MAX: Option<(&str, i64)> = Some(("max", 30));

#[test]
fn a_credit_is_of_the_change_that_names_its_invoice_within_the_hour() {
    let downgrade = [starts("max"), to("basic", 10, "in_1")];
    for after in [-3_600, -61, 0, 61, 3_600] {
        check(&with(&downgrade, &[credit("in_1", 10, after)]), "basic", "basic", BASIC);
    }
    for after in [-3_601, 3_601] {
        check(&with(&downgrade, &[credit("in_1", 10, after)]), "basic", "basic", MAX);
    }
    // Whoever names an invoice of their own has no part in another.
    check(&with(&downgrade, &[credit("in_9", 10, 1)]), "basic", "basic", MAX);
    // What was the latest before it is not its own.
    let first = with(&[starts("max"), to("basic", 10, "in_0")], &[credit("in_0", 10, 61)]);
    check(&first, "basic", "basic", MAX);
}

#[test]
fn a_credit_is_of_the_change_of_its_request_within_the_hour() {
    // Each change has a request of its own, by its place in the story.
    let downgrade = [starts("max"), to("basic", 10, "in_0")];
    for (request, after, grace) in [
        ("req_1", 3_600, BASIC),
        ("req_1", 61, BASIC),
        ("req_1", 3_601, MAX),
        ("req_9", 61, MAX),
        ("req_9", 60, BASIC),
    ] {
        check(
            &with(&downgrade, &[item_of(request, 10, after)]),
            "basic",
            "basic",
            grace,
        );
    }
    let mut invoice = settling("in_9", Paid, days(10, 30));
    invoice.request = Some("req_1".to_owned());
    let told = (10 * DAY + 120, FactBody::Invoice(invoice));
    check(&with(&downgrade, &[told]), "basic", "basic", BASIC);
}

#[test]
fn the_credit_of_an_upgrade_does_not_take_the_grace_of_a_downgrade_after_it() {
    // Both within a minute: the upgrade's credit is told after the downgrade.
    let both = |upgrade: &str| {
        let down = (10 * DAY + 20, changed(names(upgrade, "basic")));
        [starts("plus"), to("max", 10, upgrade), down]
    };
    let settled = |id| (10 * DAY + 25, settles(id, Paid, 10).1);
    check(&with(&both("in_1"), &[settled("in_1")]), "basic", "basic", MAX);
    check(&with(&both("in_0"), &[item_of("req_1", 10, 25)]), "basic", "basic", MAX);
    // Nobody names it: the nearest.
    check(
        &with(&both("in_0"), &[item_of("req_9", 10, 25)]),
        "basic",
        "basic",
        BASIC,
    );
    check(&with(&both("in_0"), &[item_of("req_9", 10, 9)]), "basic", "basic", MAX);
    // As near to both, it is of the fall.
    check(
        &with(&both("in_0"), &[item_of("req_9", 10, 10)]),
        "basic",
        "basic",
        BASIC,
    );
}

#[test]
fn a_credit_that_is_told_several_times_is_one() {
    // The upgrade's invoice fails first, and is paid beside the downgrade.
    let story = [
        starts("plus"),
        to("max", 10, "in_0"),
        settles("in_9", Failed, 10),
        to("basic", 12, "in_0"),
        settles("in_9", ActionRequired, 12),
        settles("in_9", Paid, 12),
    ];
    check(&story, "basic", "basic", MAX);
    // Told for the first time there, it is the downgrade's.
    let told = [0, 1, 3, 5].map(|place: usize| story[place].clone());
    check(&told, "basic", "basic", BASIC);
}

#[test]
fn a_credited_change_takes_its_own_grace_and_no_other() {
    let story = [starts("max"), to("plus", 5, "in_0"), to("basic", 10, "in_1")];
    check(&with(&story, &[credit("in_1", 10, 1)]), "basic", "basic", MAX);
    check(
        &with(&story, &[credit("in_9", 5, 1)]),
        "basic",
        "basic",
        Some(("plus", 30)),
    );
    let both = with(&story, &[credit("in_9", 5, 1), credit("in_1", 10, 1)]);
    check(&both, "basic", "basic", BASIC);
}

#[test]
fn the_negative_lines_of_a_renewal_are_not_of_a_downgrade_days_ago() {
    let mut cycle = invoice("in_2", Paid, "subscription_cycle", month(1));
    cycle.lines.extend(settling("in_2", Paid, days(10, 30)).lines);
    let story = [
        on(0, created(active("max", days(0, 365)))),
        on(10, changed(active("basic", days(0, 365)))),
        on(30, FactBody::Invoice(cycle)),
    ];
    check(&story, "basic", "basic", Some(("max", 365)));
}
