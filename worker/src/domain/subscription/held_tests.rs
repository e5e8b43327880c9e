//! Failed changes that raise no tier: another interval, more seats. And what settles them.

use super::*;

/// Plus with another price than the monthly one: three months, a year.
fn other_price(price: &str, period: Period, invoice: &str) -> Snapshot {
    let mut now = names(invoice, "plus");
    now.plan.as_mut().expect("a plan").price = price.to_owned();
    now.period = Some(period);
    now
}

/// Plus with this many seats, in month 0.
fn seats(number: i64, invoice: &str) -> Snapshot {
    let mut now = names(invoice, "plus");
    now.plan.as_mut().expect("a plan").quantity = number;
    now
}

/// The price, the seats and the period that count at the end of a story.
#[track_caller]
fn check_counts(story: &[TimedFact], price: &str, seats: i64, period: Period) {
    let folded = fold(story);
    let base = folded.base_state().expect("a plan is known");
    assert_eq!(
        (base.plan.price.as_str(), base.plan.quantity),
        (price, seats),
        "{story:#?}"
    );
    assert_eq!(base.period, period, "{story:#?}");
}

#[test]
fn a_failed_switch_of_the_interval_does_not_count() {
    let year = days(10, 375);
    let story = [
        starts("plus"),
        on(10, changed(other_price("price_plus_year", year, "in_1"))),
        settles_year("in_1", Failed, 10),
    ];
    check_counts(&story[..2], "price_plus_year", 1, year);
    check_counts(&story, "price_plus", 1, month(0));
    check(&story, "plus", "plus", None);
    check_counts(
        &with(&story, &[settles_year("in_1", Paid, 12)]),
        "price_plus_year",
        1,
        year,
    );
    // Voided: the subscription is active again, nothing else tells of it.
    let voided = other_price("price_plus_year", year, "in_1");
    check_counts(&with(&story, &[on(12, changed(voided))]), "price_plus", 1, month(0));
}

#[test]
fn a_change_that_began_a_new_period_and_was_paid_settles_a_failed_one() {
    // Plus, Max on day 10 whose invoice fails and is voided, and then a
    // change that begins a year on day 12.
    let year = Snapshot {
        period: Some(days(12, 377)),
        ..names("in_2", "max")
    };
    let mut anew = year.clone();
    anew.plan.as_mut().expect("a plan").price = "price_max_year".to_owned();
    let begins = invoice("in_2", Paid, "subscription_update", days(12, 377));
    let story = [
        starts("plus"),
        to("max", 10, "in_1"),
        settles("in_1", Failed, 10),
        on(11, changed(names("in_1", "max"))),
        on(12, changed(year)),
    ];
    check(&story, "max", "plus", None);
    check(
        &with(&story, &[on(12, FactBody::Invoice(begins.clone()))]),
        "max",
        "max",
        None,
    );
    // Also together with another price.
    let priced = with(
        &story[..4],
        &[on(12, changed(anew)), on(12, FactBody::Invoice(begins.clone()))],
    );
    check(&priced, "max", "max", None);
    // A paid invoice of another item, or with prorations alone, settles nothing.
    let mut other = begins.clone();
    other.lines[0].price = Some("price_of_an_add_on".to_owned());
    check(&with(&story, &[on(12, FactBody::Invoice(other))]), "max", "plus", None);
    check(&with(&story, &[settles("in_2", Paid, 12)]), "max", "plus", None);
    // So does one that was paid before the failure.
    check(&with(&story, &[on(9, FactBody::Invoice(begins))]), "max", "plus", None);
}

#[test]
fn seats_whose_payment_failed_do_not_count() {
    let story = [
        on(0, created(seats(2, "in_0"))),
        on(10, changed(seats(9, "in_1"))),
        settles("in_1", Failed, 10),
    ];
    check_counts(&story, "price_plus", 2, month(0));
    check_counts(&with(&story, &[settles("in_1", Paid, 12)]), "price_plus", 9, month(0));
    // Fewer of them are still more than was paid.
    check_counts(
        &with(&story, &[on(12, changed(seats(5, "in_1")))]),
        "price_plus",
        2,
        month(0),
    );
    check_counts(
        &with(&story, &[on(12, changed(seats(2, "in_1")))]),
        "price_plus",
        2,
        month(0),
    );
    check_counts(
        &with(&story, &[on(12, changed(seats(1, "in_1")))]),
        "price_plus",
        1,
        month(0),
    );
    // Fewer seats cost nothing, so no failed invoice bills them.
    let fewer = [
        on(0, created(seats(9, "in_0"))),
        on(10, changed(seats(2, "in_1"))),
        settles("in_1", Failed, 10),
    ];
    check_counts(&fewer, "price_plus", 2, month(0));
}

#[test]
fn a_return_from_a_failed_switch_leaves_what_was_paid() {
    let story = [
        starts("plus"),
        on(10, changed(other_price("price_plus_year", days(10, 375), "in_1"))),
        settles_year("in_1", Failed, 10),
        on(12, changed(other_price("price_plus", days(12, 42), "in_1"))),
    ];
    check_counts(&story, "price_plus", 1, days(12, 42));
    // If its own invoice fails too, the month that was paid still counts.
    let fails = invoice("in_2", Failed, "subscription_update", days(12, 42));
    let mut story = story.to_vec();
    story[3] = on(12, changed(other_price("price_plus", days(12, 42), "in_2")));
    check_counts(
        &with(&story, &[on(12, FactBody::Invoice(fails))]),
        "price_plus",
        1,
        month(0),
    );
}
