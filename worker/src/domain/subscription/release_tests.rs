//! The end of a suspension: the payment of the failed invoice, or a later cycle; and
//! the state that counts until then.

use super::*;

#[test]
fn the_payment_of_its_invoice_ends_the_suspension_for_good() {
    for day in [10, 14, 40] {
        let story = with(&failed_upgrade(), &[settles("in_1", Paid, day)]);
        check(&story, "max", "max", None);
        // Another failure in the second of the payment.
        let failed_again = with(&story, &[settles("in_1", Failed, day)]);
        check(&failed_again, "max", "max", None);
    }
}

#[test]
fn a_later_paid_cycle_ends_the_suspension_and_an_earlier_or_unpaid_one_does_not() {
    let next = on(
        30,
        changed(Snapshot {
            period: Some(month(1)),
            ..names("in_2", "max")
        }),
    );
    let then = |invoice: FactBody| with(&failed_upgrade(), &[next.clone(), on(30, invoice)]);
    check(&then(renewed(month(1))), "max", "max", None);
    check(&then(not_renewed(month(1))), "max", "basic", None);
    check(&then(renewed(month(0))), "max", "basic", None);
    let manual = invoice("in_9", Paid, "manual", month(1));
    check(&then(FactBody::Invoice(manual)), "max", "basic", None);
    let another = settling("in_9", Paid, days(31, 60));
    check(&then(FactBody::Invoice(another)), "max", "basic", None);
    // A cycle that was paid before the upgrade.
    let before = with(&failed_upgrade(), &[on(1, renewed(month(0)))]);
    check(&before, "max", "basic", None);
}

#[test]
fn a_paid_upgrade_counts_for_grace_from_then_on() {
    let paid = with(&failed_upgrade(), &[settles("in_1", Paid, 12)]);
    check(
        &with(&paid, &[to("basic", 20, "in_1")]),
        "basic",
        "basic",
        Some(("max", 30)),
    );
    // Also if the event of the payment comes after the downgrade.
    let late = with(&failed_upgrade(), &[to("basic", 12, "in_1"), settles("in_1", Paid, 20)]);
    check(&late, "basic", "basic", Some(("max", 30)));
    let renewed = with(
        &failed_upgrade(),
        &[
            on(
                30,
                changed(Snapshot {
                    period: Some(month(1)),
                    ..names("in_2", "max")
                }),
            ),
            on(30, renewed(month(1))),
            on(
                40,
                changed(Snapshot {
                    period: Some(month(1)),
                    ..names("in_2", "basic")
                }),
            ),
        ],
    );
    check(&renewed, "basic", "basic", Some(("max", 60)));
}

#[test]
fn the_cycle_that_ends_the_suspension_does_not_pay_for_the_time_before() {
    // Yearly Basic, an upgrade to yearly Max that fails, then a change to monthly Basic.
    let story = [
        on(0, created(active("basic", days(0, 365)))),
        on(10, changed(active("max", days(0, 365)))),
        settles("in_1", Failed, 10),
        on(20, changed(active("basic", days(20, 50)))),
        on(50, changed(active("basic", days(50, 80)))),
        on(50, renewed(days(50, 80))),
    ];
    check(&story, "basic", "basic", None);
    // A running grace ends when the upgrade counts, as with any upgrade to its tier.
    let story = [
        on(0, created(active("max", days(0, 365)))),
        on(10, changed(active("basic", days(10, 40)))),
        on(20, changed(active("max", days(10, 40)))),
        settles("in_1", Failed, 20),
        on(40, changed(active("max", days(40, 70)))),
        on(41, renewed(days(40, 70))),
    ];
    check(&story[..5], "max", "basic", Some(("max", 365)));
    check(&story, "max", "max", None);
}

#[test]
fn a_cycle_before_a_failed_invoice_without_a_period_does_not_settle_it() {
    let mut timeless = settling("in_1", Failed, days(10, 30));
    timeless.lines.clear();
    let upgrade = [
        starts("basic"),
        to("max", 10, "in_1"),
        on(10, FactBody::Invoice(timeless)),
    ];
    check(&with(&upgrade, &[on(1, renewed(month(0)))]), "max", "basic", None);
    check(&with(&upgrade, &[on(30, renewed(month(1)))]), "max", "max", None);
}

#[test]
fn an_upgrade_after_the_cycle_that_settled_a_failure_is_not_suspended_by_it() {
    let at = 30 * DAY;
    let story = [
        starts("basic"),
        (at - 10, FactBody::Invoice(settling("in_9", Failed, days(29, 30)))),
        (at, changed(active("basic", month(1)))),
        (at, renewed(month(1))),
        (at + 20, changed(active("max", month(1)))),
    ];
    check(&story, "max", "max", None);
    // Without that cycle, the upgrade is the nearest change.
    let unsettled = [0, 1, 2, 4].map(|index: usize| story[index].clone());
    check(&unsettled, "max", "basic", None);
}

#[test]
fn a_late_payment_of_a_settled_invoice_changes_the_time_before_the_cycle() {
    // The cycle ends the suspension. The payment of the invoice itself means that the
    // upgrade was paid from the beginning.
    let story = with(
        &failed_upgrade(),
        &[
            to("basic", 12, "in_1"),
            on(20, renewed(days(20, 50))),
            on(21, changed(active("basic", days(20, 50)))),
        ],
    );
    check(&story, "basic", "basic", None);
    let paid = with(&story, &[settles("in_1", Paid, 22)]);
    check(&paid, "basic", "basic", Some(("max", 30)));
    let facts = facts(&paid);
    let (last, known) = facts.split_last().expect("a story");
    let account = Account::fold(&known.iter().collect::<Vec<_>>());
    assert_eq!(account.advance(&[last]), None, "it alters known states");
}

#[test]
fn a_renewal_that_shows_the_plan_only_later_paid_for_it_from_the_beginning() {
    // At first the paid renewal shows the line of another item alone. It is told again with the
    // plan's line after the downgrade, and after another invoice settled the failed one.
    let mut of_another = renewed(month(0));
    if let FactBody::Invoice(invoice) = &mut of_another {
        invoice.lines[0].item = Some("si_1".to_owned());
        invoice.lines[0].price = Some("price_of_an_add_on".to_owned());
    }
    let mut failed = settling("in_1", Failed, month(0));
    failed.lines[1].proration = false;
    let story = [
        starts("plus"),
        to("max", 10, "in_1"),
        on(10, FactBody::Invoice(failed)),
        on(11, of_another),
        to("plus", 12, "in_1"),
        on(
            13,
            FactBody::Invoice(invoice("in_6", Paid, "subscription_update", month(0))),
        ),
        on(14, renewed(month(0))),
    ];
    check(&story, "plus", "plus", Some(("max", 30)));
    let facts = facts(&story);
    let (last, known) = facts.split_last().expect("a story");
    let account = Account::fold(&known.iter().collect::<Vec<_>>());
    assert_eq!(account.advance(&[last]), None, "it alters known states");
}

#[test]
fn the_state_that_counts_during_a_suspension_follows_status_and_period() {
    let suspended = [starts("plus"), to("max", 10, "in_1"), settles("in_1", Failed, 10)];
    let down = |status: &str| {
        let unpaid = on(11, changed(sub(status, "max")));
        with(&suspended, &[unpaid, on(12, changed(sub("active", "basic")))])
    };
    check(&down("past_due"), "basic", "basic", Some(("plus", 30)));
    check(&down("unpaid"), "basic", "basic", None);
    // A new period is a period of the plan that counts.
    let next = |tier| Snapshot {
        period: Some(month(1)),
        ..names("in_1", tier)
    };
    let later = with(
        &suspended,
        &[on(30, changed(next("max"))), on(40, changed(next("basic")))],
    );
    check(&later[..4], "max", "plus", None);
    check(&later, "basic", "basic", Some(("plus", 60)));
    check(&with(&later, &[on(41, not_renewed(month(1)))]), "basic", "basic", None);
}
