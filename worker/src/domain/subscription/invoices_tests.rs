//! The books, story by story: what failed, what was given back, and what that
//! leaves of a change.

#[path = "credit_tests.rs"]
mod credited;
#[path = "suspended_tests.rs"]
mod held;

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
        DAY, T0, Told, active, changed, created, days, deleted, entitlement, facts, invoice, item, month, not_renewed,
        of, renewed, sub,
    },
};

/// A snapshot of the first month that names its latest invoice.
fn names(invoice: &str, tier: &str) -> Snapshot {
    Snapshot {
        latest_invoice: Some(invoice.to_owned()),
        ..sub("active", tier)
    }
}

/// Begins with a tier that its first invoice paid for.
fn starts(tier: &str) -> Told {
    (0, created(names("in_0", tier)))
}

/// Changes the tier on a day of the first month; the invoice is the latest then.
fn to(tier: &str, day: i64, invoice: &str) -> Told {
    (day * DAY, changed(names(invoice, tier)))
}

fn on(day: i64, said: FactBody) -> Told {
    (day * DAY, said)
}

/// The invoice of a change on a day, as Stripe writes it: what is left of the
/// old price goes back, what is left of the period is billed.
fn settles(id: &str, step: InvoiceStep, day: i64) -> Told {
    (day * DAY + 1, FactBody::Invoice(settling(id, step, days(day, 30))))
}

fn settling(id: &str, step: InvoiceStep, rest: Period) -> InvoiceFact {
    let line = |amount| InvoiceLine {
        amount,
        proration: true,
        period: Some(rest),
    };
    InvoiceFact {
        lines: vec![line(-300), line(1_300)],
        ..invoice(id, step, "subscription_update", rest)
    }
}

/// The same for a change that begins a year of its own.
fn settles_year(id: &str, step: InvoiceStep, day: i64) -> Told {
    let mut invoice = settling(id, step, days(day, day + 365));
    invoice.lines[1].proration = false;
    (day * DAY + 1, FactBody::Invoice(invoice))
}

fn year_from(day: i64, tier: &str, invoice: &str) -> Told {
    let snapshot = Snapshot {
        period: Some(days(day, day + 365)),
        ..names(invoice, tier)
    };
    on(day, changed(snapshot))
}

fn has(story: &[Told]) -> Entitlement {
    entitlement(story).expect("the story tells of a subscription")
}

/// After the story, Stripe shows `tier`, `counts` is enforced, and the grace is
/// of this tier and until this day.
#[track_caller]
fn check(story: &[Told], tier: &str, counts: &str, grace: Option<(&str, i64)>) {
    check_has(&has(story), tier, counts, grace, story);
}

#[track_caller]
fn check_has(has: &Entitlement, tier: &str, counts: &str, grace: Option<(&str, i64)>, story: &[Told]) {
    let day = |at: Seconds| (at - T0).div_euclid(DAY);
    let shown = has.grace.as_ref().map(|g| (g.plan.tier.as_str(), day(g.until)));
    assert_eq!(
        (has.tier.as_str(), has.base_tier.as_str(), shown),
        (tier, counts, grace),
        "{story:#?}"
    );
}

/// What is told of a story of which some events are missing.
fn without(story: &[Told], missing: &[usize]) -> Entitlement {
    let mut place = 0;
    let mut told = facts(story);
    told.retain(|_| {
        place += 1;
        !missing.contains(&(place - 1))
    });
    let folded = Account::fold(&told.iter().collect::<Vec<_>>()).subscriptions;
    let has = of_user(&UserId::new("u1"), &folded.iter().collect::<Vec<_>>(), "free");
    has.expect("what is told is of a subscription")
}

fn with(story: &[Told], more: &[Told]) -> Vec<Told> {
    [story, more].concat()
}

mod unpaid {
    use super::*;

    /// Max, and Basic from day 10 on.
    fn downgrade() -> Vec<Told> {
        vec![starts("max"), to("basic", 10, "in_0")]
    }

    #[test]
    fn a_failure_told_after_the_downgrade_takes_the_grace_and_the_payment_gives_it_back() {
        check(&downgrade(), "basic", "basic", Some(("max", 30)));
        let failed = with(&downgrade(), &[on(11, not_renewed(month(0)))]);
        check(&failed, "basic", "basic", None);
        check(
            &with(&failed, &[on(12, renewed(month(0)))]),
            "basic",
            "basic",
            Some(("max", 30)),
        );
        // What a later cycle settles was not paid all the same.
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
    fn a_failure_within_the_period_that_was_paid_is_not_one_of_it() {
        // Yearly Max, left for monthly Basic: the months fail, the year was paid.
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
        // A month that was not paid leaves no grace, and takes none.
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
    fn a_failure_that_names_no_period_is_of_each_until_a_later_cycle_is_paid() {
        let mut nameless = invoice("in_1", Failed, "subscription_cycle", month(0));
        nameless.lines.clear();
        let failed = [starts("max"), on(1, FactBody::Invoice(nameless))];
        check(&with(&failed, &[to("basic", 10, "in_0")]), "basic", "basic", None);
        let later = [
            on(30, changed(active("max", month(1)))),
            on(30, renewed(month(1))),
            on(40, changed(active("basic", month(1)))),
        ];
        check(&with(&failed, &later), "basic", "basic", Some(("max", 60)));
        // Without a cycle that was paid since.
        let unpaid = [later[0].clone(), later[2].clone()];
        check(&with(&failed, &unpaid), "basic", "basic", None);
    }

    #[test]
    fn a_change_that_failed_pays_for_no_period_and_leaves_none_unpaid() {
        // Another price of the tier: nothing is held, and the month was paid.
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
    fn a_downgrade_whose_predecessor_is_missing_says_itself_what_was_paid() {
        let year = days(0, 365);
        let paid_year = on(0, created(active("max", year)));
        let left = on(100, changed(active("basic", days(100, 130))));
        let renewal = on(30, changed(active("max", month(1))));
        let fall = on(40, changed(active("basic", month(1))));
        for (story, missing, grace) in [
            (vec![starts("max"), to("basic", 10, "in_0")], 0, Some(("max", 30))),
            (vec![paid_year, left], 0, Some(("max", 365))),
            // The period of the change itself, not the last that was seen.
            (vec![starts("max"), renewal, fall], 1, Some(("max", 60))),
            // A rise that was not seen.
            (
                vec![starts("basic"), to("max", 5, "in_0"), to("plus", 10, "in_0")],
                1,
                Some(("max", 30)),
            ),
            // A fall that was not seen leaves its own.
            (
                vec![starts("max"), to("plus", 5, "in_0"), to("basic", 10, "in_0")],
                1,
                Some(("max", 30)),
            ),
        ] {
            let tier = story.last().and_then(|(_, said)| match said {
                FactBody::Subscription(s) => s.now.plan.as_ref().map(|p| p.tier.clone()),
                _ => None,
            });
            let tier = tier.expect("the last is a snapshot");
            check(&story, &tier, &tier, grace);
            check_has(&without(&story, &[missing]), &tier, &tier, grace, &story);
        }
    }

    #[test]
    fn a_trial_or_a_failed_payment_that_was_not_seen_leaves_no_grace() {
        for status in ["trialing", "past_due", "unpaid"] {
            let story = [
                starts("max"),
                on(5, changed(sub(status, "max"))),
                to("basic", 10, "in_0"),
            ];
            check_has(&without(&story, &[1]), "basic", "basic", None, &story);
        }
        // An end of the entitlement that was not seen ends the grace, too.
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
    fn a_credit_is_of_a_change_whose_predecessor_is_missing() {
        let credit = (10 * DAY + 5, item(-300, true));
        let story = [starts("max"), to("basic", 10, "in_0"), credit];
        check_has(&without(&story, &[0]), "basic", "basic", None, &story);
    }

    #[test]
    fn the_highest_tier_counts_what_only_a_change_tells_of() {
        let story = [starts("max"), to("basic", 10, "in_0")];
        let has = without(&story, &[0]);
        assert_eq!(has.highest.map(|p| p.tier), Some("max".to_owned()));
    }
}
