//! Credits: which change a credit belongs to.

use super::*;

/// An invoice that gives money back for a change, `after` seconds after the begin of a day.
fn credit(id: &str, day: i64, after: Seconds) -> TimedFact {
    let mut invoice = settling(id, Paid, days(day, 30));
    invoice.lines.truncate(1);
    invoice.total = 0;
    (day * DAY + after, FactBody::Invoice(invoice))
}

/// A pending item that gives money back, made by this request.
fn item_of(request: &str, day: i64, after: Seconds) -> TimedFact {
    let FactBody::InvoiceItem(mut item) = item(-300, true) else {
        panic!("not an item")
    };
    item.request = Some(request.to_owned());
    (day * DAY + after, FactBody::InvoiceItem(item))
}

const NO_GRACE: Option<(&str, i64)> = None;
const MAX_GRACE: Option<(&str, i64)> = Some(("max", 30));

#[test]
fn a_credit_belongs_to_the_change_that_names_its_invoice_within_an_hour() {
    let downgrade = [starts("max"), to("basic", 10, "in_1")];
    for after in [-3_600, -61, 0, 61, 3_600] {
        check(
            &with(&downgrade, &[credit("in_1", 10, after)]),
            "basic",
            "basic",
            NO_GRACE,
        );
    }
    for after in [-3_601, 3_601] {
        check(
            &with(&downgrade, &[credit("in_1", 10, after)]),
            "basic",
            "basic",
            MAX_GRACE,
        );
    }
    // A change that names an invoice has no credit on another invoice.
    check(&with(&downgrade, &[credit("in_9", 10, 1)]), "basic", "basic", MAX_GRACE);
    // The invoice that was the latest before the change is not its own.
    let first = with(&[starts("max"), to("basic", 10, "in_0")], &[credit("in_0", 10, 61)]);
    check(&first, "basic", "basic", MAX_GRACE);
}

#[test]
fn a_credit_belongs_to_the_change_of_the_same_request_within_an_hour() {
    // The request of a change is `req_` and its index in the story.
    let downgrade = [starts("max"), to("basic", 10, "in_0")];
    for (request, after, grace) in [
        ("req_1", 3_600, NO_GRACE),
        ("req_1", 61, NO_GRACE),
        ("req_1", 3_601, MAX_GRACE),
        ("req_9", 61, MAX_GRACE),
        ("req_9", 60, NO_GRACE),
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
    let credit = (10 * DAY + 120, FactBody::Invoice(invoice));
    check(&with(&downgrade, &[credit]), "basic", "basic", NO_GRACE);
}

#[test]
fn the_credit_of_an_upgrade_does_not_take_the_grace_of_a_downgrade_after_it() {
    // All within a minute; the event of the upgrade's credit comes after the downgrade.
    let both = |upgrade: &str| {
        let down = (10 * DAY + 20, changed(names(upgrade, "basic")));
        [starts("plus"), to("max", 10, upgrade), down]
    };
    let settled = |id| (10 * DAY + 25, settles(id, Paid, 10).1);
    check(&with(&both("in_1"), &[settled("in_1")]), "basic", "basic", MAX_GRACE);
    check(
        &with(&both("in_0"), &[item_of("req_1", 10, 25)]),
        "basic",
        "basic",
        MAX_GRACE,
    );
    // No change has its request: the nearest change counts.
    check(
        &with(&both("in_0"), &[item_of("req_9", 10, 25)]),
        "basic",
        "basic",
        NO_GRACE,
    );
    check(
        &with(&both("in_0"), &[item_of("req_9", 10, 9)]),
        "basic",
        "basic",
        MAX_GRACE,
    );
    // Equally near to both: the downgrade counts.
    check(
        &with(&both("in_0"), &[item_of("req_9", 10, 10)]),
        "basic",
        "basic",
        NO_GRACE,
    );
}

#[test]
fn a_credit_in_several_events_counts_at_the_time_of_the_first() {
    // The upgrade's invoice fails first, and is paid on the day of the downgrade.
    let story = [
        starts("plus"),
        to("max", 10, "in_0"),
        settles("in_9", Failed, 10),
        to("basic", 12, "in_0"),
        settles("in_9", ActionRequired, 12),
        settles("in_9", Paid, 12),
    ];
    check(&story, "basic", "basic", MAX_GRACE);
    // Without its first event, the nearest change is the downgrade.
    let without_first = [0, 1, 3, 5].map(|index: usize| story[index].clone());
    check(&without_first, "basic", "basic", NO_GRACE);
}

#[test]
fn a_credit_removes_the_grace_of_its_own_change_only() {
    let story = [starts("max"), to("plus", 5, "in_0"), to("basic", 10, "in_1")];
    check(&with(&story, &[credit("in_1", 10, 1)]), "basic", "basic", MAX_GRACE);
    check(
        &with(&story, &[credit("in_9", 5, 1)]),
        "basic",
        "basic",
        Some(("plus", 30)),
    );
    let both = with(&story, &[credit("in_9", 5, 1), credit("in_1", 10, 1)]);
    check(&both, "basic", "basic", NO_GRACE);
}

#[test]
fn a_credit_on_a_renewal_does_not_belong_to_a_downgrade_of_days_ago() {
    let mut cycle = invoice("in_2", Paid, "subscription_cycle", month(1));
    cycle.lines.extend(settling("in_2", Paid, days(10, 30)).lines);
    let story = [
        on(0, created(active("max", days(0, 365)))),
        on(10, changed(active("basic", days(0, 365)))),
        on(30, FactBody::Invoice(cycle)),
    ];
    check(&story, "basic", "basic", Some(("max", 365)));
}
