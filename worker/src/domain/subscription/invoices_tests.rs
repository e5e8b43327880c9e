//! The evidence of invoices: failed payments, credits, and their effect on changes.

#[path = "credit_tests.rs"]
mod credited;
#[path = "held_tests.rs"]
mod held;
#[path = "returned_tests.rs"]
mod returned_money;
#[path = "suspended_tests.rs"]
mod suspended;

use crate::domain::{
    fact::{
        FactBody, InvoiceFact, InvoiceLine,
        InvoiceStep::{self, ActionRequired, Failed, Paid},
        Period, Seconds, Snapshot,
    },
    ids::UserId,
    subscription::{
        account::Account,
        entitlement::{Entitlement, of_user},
    },
    testkit::{
        DAY, T0, TimedFact, active, changed, created, days, deleted, entitlement, facts, fold, invoice, item, month,
        not_renewed, of, renewed, sub,
    },
};

/// A snapshot of month 0 that names its latest invoice.
fn names(invoice: &str, tier: &str) -> Snapshot {
    Snapshot {
        latest_invoice: Some(invoice.to_owned()),
        ..sub("active", tier)
    }
}

/// A subscription of this tier begins; `in_0` is its first invoice.
fn starts(tier: &str) -> TimedFact {
    (0, created(names("in_0", tier)))
}

/// The tier changes on a day of month 0; `invoice` is the latest one then.
fn to(tier: &str, day: i64, invoice: &str) -> TimedFact {
    (day * DAY, changed(names(invoice, tier)))
}

fn on(day: i64, body: FactBody) -> TimedFact {
    (day * DAY, body)
}

/// The invoice of a change on a day. As Stripe does, it credits the rest of the old
/// price and bills the rest of the period.
fn settles(id: &str, step: InvoiceStep, day: i64) -> TimedFact {
    (day * DAY + 1, FactBody::Invoice(settling(id, step, days(day, 30))))
}

fn settling(id: &str, step: InvoiceStep, rest: Period) -> InvoiceFact {
    let line = |amount| InvoiceLine {
        item: None,
        price: None,
        amount,
        proration: true,
        period: Some(rest),
        grant: None,
    };
    InvoiceFact {
        lines: vec![line(-300), line(1_300)],
        ..invoice(id, step, "subscription_update", rest)
    }
}

/// The same for a change that begins a new year.
fn settles_year(id: &str, step: InvoiceStep, day: i64) -> TimedFact {
    let mut invoice = settling(id, step, days(day, day + 365));
    invoice.lines[1].proration = false;
    (day * DAY + 1, FactBody::Invoice(invoice))
}

fn year_from(day: i64, tier: &str, invoice: &str) -> TimedFact {
    let snapshot = Snapshot {
        period: Some(days(day, day + 365)),
        ..names(invoice, tier)
    };
    on(day, changed(snapshot))
}

fn has(story: &[TimedFact]) -> Entitlement {
    entitlement(story).expect("the story has a snapshot")
}

/// Checks the end of the story: `tier` is the tier that Stripe shows, `base_tier`
/// the one to enforce, `grace` the grace's tier and its last day.
#[track_caller]
fn check(story: &[TimedFact], tier: &str, base_tier: &str, grace: Option<(&str, i64)>) {
    check_has(&has(story), tier, base_tier, grace, story);
}

#[track_caller]
fn check_has(has: &Entitlement, tier: &str, base_tier: &str, grace: Option<(&str, i64)>, story: &[TimedFact]) {
    let day = |at: Seconds| (at - T0).div_euclid(DAY);
    let shown = has.grace.as_ref().map(|g| (g.plan.tier.as_str(), day(g.until)));
    assert_eq!(
        (has.tier.as_str(), has.base_tier.as_str(), shown),
        (tier, base_tier, grace),
        "{story:#?}"
    );
}

/// The entitlement of a story without some of its events.
fn without(story: &[TimedFact], missing: &[usize]) -> Entitlement {
    let facts = facts(story);
    let known = facts.iter().enumerate().filter(|(index, _)| !missing.contains(index));
    let folded = Account::fold(&known.map(|(_, fact)| fact).collect::<Vec<_>>()).subscriptions;
    let has = of_user(&UserId::new("u1"), &folded.iter().collect::<Vec<_>>(), "free");
    has.expect("a snapshot is left")
}

fn with(story: &[TimedFact], more: &[TimedFact]) -> Vec<TimedFact> {
    [story, more].concat()
}

mod unpaid {
    use super::*;

    /// Max, then Basic from day 10 on.
    fn downgrade() -> Vec<TimedFact> {
        vec![starts("max"), to("basic", 10, "in_0")]
    }

    #[test]
    fn a_failure_after_the_downgrade_removes_the_grace_and_the_payment_restores_it() {
        check(&downgrade(), "basic", "basic", Some(("max", 30)));
        let failed = with(&downgrade(), &[on(11, not_renewed(month(0)))]);
        check(&failed, "basic", "basic", None);
        check(
            &with(&failed, &[on(12, renewed(month(0)))]),
            "basic",
            "basic",
            Some(("max", 30)),
        );
        // A later cycle settles the failure, but does not pay for the year.
        let year = [
            on(0, created(active("max", days(0, 365)))),
            on(1, not_renewed(days(0, 365))),
            on(10, changed(active("basic", days(10, 40)))),
            on(40, changed(active("basic", days(40, 70)))),
            on(40, renewed(days(40, 70))),
        ];
        check(&year[..3], "basic", "basic", None);
        check(&year, "basic", "basic", None);
    }

    #[test]
    fn a_failed_invoice_that_starts_within_a_paid_period_does_not_make_it_unpaid() {
        // From yearly Max to monthly Basic: the months fail, but the year was paid.
        let left = [
            on(0, created(active("max", days(0, 365)))),
            on(100, changed(active("basic", days(100, 130)))),
        ];
        let next = days(130, 160);
        for failed in [
            not_renewed(next),
            FactBody::Invoice(invoice("in_1", ActionRequired, "subscription_cycle", next)),
            FactBody::Invoice(invoice("in_1", Failed, "subscription_update", days(100, 130))),
            FactBody::Invoice(invoice("in_1", Failed, "manual", days(120, 120))),
        ] {
            let story = with(&left, &[on(130, failed)]);
            check(&story, "basic", "basic", Some(("max", 365)));
        }
        // An unpaid month begins no grace, and does not end the running one.
        let fails = [
            on(0, created(active("max", days(0, 365)))),
            on(100, changed(active("plus", days(100, 130)))),
            on(100, not_renewed(days(100, 130))),
            on(110, changed(active("basic", days(100, 130)))),
        ];
        check(&fails, "basic", "basic", Some(("max", 365)));
        let monthly = [
            starts("max"),
            on(30, changed(active("plus", month(1)))),
            on(31, not_renewed(month(1))),
            on(40, changed(active("basic", month(1)))),
        ];
        check(&monthly, "basic", "basic", None);
    }

    #[test]
    fn a_failed_invoice_that_is_not_about_the_plan_makes_no_period_unpaid() {
        let mut of_nothing = invoice("in_1", Failed, "subscription_cycle", month(0));
        of_nothing.lines.clear();
        let mut of_another_item = invoice("in_1", Failed, "subscription_cycle", month(0));
        of_another_item.lines[0].price = Some("price_of_an_add_on".to_owned());
        for invoice in [of_nothing, of_another_item] {
            let failed = [starts("max"), on(1, FactBody::Invoice(invoice))];
            check(
                &with(&failed, &[to("basic", 10, "in_0")]),
                "basic",
                "basic",
                Some(("max", 30)),
            );
        }
    }

    #[test]
    fn the_failed_invoice_of_a_change_makes_no_period_unpaid() {
        // Another price of the tier: nothing is suspended, and the month was paid.
        let story = [
            starts("plus"),
            to("plus", 10, "in_1"),
            settles("in_1", Failed, 10),
            to("basic", 12, "in_1"),
        ];
        check(&story, "basic", "basic", Some(("plus", 30)));
    }
}

mod missing {
    use super::*;

    #[test]
    fn a_downgrade_shows_the_paid_plan_even_if_the_event_before_it_is_missing() {
        let year = days(0, 365);
        let paid_year = on(0, created(active("max", year)));
        let left = on(100, changed(active("basic", days(100, 130))));
        let renewal = on(30, changed(active("max", month(1))));
        let downgrade = on(40, changed(active("basic", month(1))));
        for (story, missing, grace) in [
            (vec![starts("max"), to("basic", 10, "in_0")], 0, Some(("max", 30))),
            (vec![paid_year, left], 0, Some(("max", 365))),
            // The period before the change itself counts, not the last known one.
            (vec![starts("max"), renewal, downgrade], 1, Some(("max", 60))),
            // The event of the upgrade is missing.
            (
                vec![starts("basic"), to("max", 5, "in_0"), to("plus", 10, "in_0")],
                1,
                Some(("max", 30)),
            ),
            // The event of the first downgrade is missing; the second one shows it.
            (
                vec![starts("max"), to("plus", 5, "in_0"), to("basic", 10, "in_0")],
                1,
                Some(("max", 30)),
            ),
        ] {
            let tier = story.last().and_then(|(_, body)| match body {
                FactBody::Subscription(s) => s.now.plan.as_ref().map(|p| p.tier.clone()),
                _ => None,
            });
            let tier = tier.expect("the last is a snapshot");
            check(&story, &tier, &tier, grace);
            check_has(&without(&story, &[missing]), &tier, &tier, grace, &story);
        }
    }

    #[test]
    fn a_trial_or_failed_payment_whose_event_is_missing_leaves_no_grace() {
        for status in ["trialing", "unpaid"] {
            let story = [
                starts("max"),
                on(5, changed(sub(status, "max"))),
                to("basic", 10, "in_0"),
            ];
            check_has(&without(&story, &[1]), "basic", "basic", None, &story);
        }
        // An end of access whose event is missing ends the grace too.
        let story = [
            starts("max"),
            to("basic", 5, "in_0"),
            on(6, changed(sub("unpaid", "basic"))),
            to("basic", 10, "in_0"),
        ];
        check_has(&without(&story, &[2]), "basic", "basic", None, &story);
        let mut of_unknown_price = sub("unpaid", "basic");
        of_unknown_price.plan = None;
        let story = [
            starts("max"),
            to("basic", 5, "in_0"),
            on(6, changed(of_unknown_price)),
            to("basic", 10, "in_0"),
        ];
        check_has(&without(&story, &[2]), "basic", "basic", None, &story);
    }

    #[test]
    fn a_credit_belongs_to_a_change_even_if_the_event_before_it_is_missing() {
        let credit = (10 * DAY + 5, item(-300, true));
        let story = [starts("max"), to("basic", 10, "in_0"), credit];
        check_has(&without(&story, &[0]), "basic", "basic", None, &story);
    }

    #[test]
    fn the_highest_tier_counts_a_plan_that_only_previous_attributes_show() {
        let story = [starts("max"), to("basic", 10, "in_0")];
        let has = without(&story, &[0]);
        assert_eq!(has.highest.map(|p| p.tier), Some("max".to_owned()));
    }
}
