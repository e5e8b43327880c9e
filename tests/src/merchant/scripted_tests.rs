//! Small lives written by hand, and their rows by the billing rules.

use super::*;
use crate::fixtures::ApiVersion;
use crate::fixtures::DAY;
use crate::fixtures::price::{BASIC_MONTHLY, BASIC_YEARLY, MAX_MONTHLY, MAX_YEARLY, PLUS_MONTHLY, PLUS_YEARLY};
use crate::harness::Entitlement;

const NOW: i64 = 1_790_000_000;
const MONTH: i64 = 30 * DAY;
const YEAR: i64 = 365 * DAY;

const REFUSED: UpgradePayment = UpgradePayment::Failed(FailedPayment {
    failure: PaymentFailure::Refused,
    status: StatusAfterFailure::Unchanged,
    is_named: true,
    lag_seconds: 0,
});
const PAID: RenewalPayment = RenewalPayment::Paid { after: 60 };

/// A script that begins `age` seconds before now with a checkout of `price`.
fn bought(age: i64, price: crate::fixtures::Price) -> Script {
    let mut script = Script::new(ApiVersion::Y2026, "user_by_hand", NOW - age);
    script.checkout(&CheckoutOrder::new(price));
    script.wait(DAY);
    script
}

fn row(script: &Script) -> Entitlement {
    script.clone().life(NOW).entitlement.expect("a row")
}

/// The tier, the effective tier, and the grace with its end.
fn plan(script: &Script) -> (String, String, Option<(String, i64)>) {
    let row = row(script);
    (row.tier, row.effective_tier, row.grace_tier.zip(row.grace_until))
}

fn is(tier: &str, effective: &str, grace: Option<(&str, i64)>) -> (String, String, Option<(String, i64)>) {
    let grace = grace.map(|(tier, until)| (tier.to_owned(), until));
    (tier.to_owned(), effective.to_owned(), grace)
}

#[test]
fn a_checkout_gives_a_whole_row() {
    let script = bought(10 * DAY, PLUS_MONTHLY);
    let expected = Entitlement {
        user_id: "user_by_hand".to_owned(),
        entitled: true,
        status: "active".to_owned(),
        tier: "plus".to_owned(),
        effective_tier: "plus".to_owned(),
        grace_tier: None,
        grace_until: None,
        current_period_start: Some(NOW - 10 * DAY),
        current_period_end: Some(NOW + 20 * DAY),
        trial_end: None,
        is_canceling: false,
        cancel_at: None,
        canceled_at: None,
        ever_paid: true,
        highest_tier_subscribed: Some("plus".to_owned()),
        stripe_customer_id: Some(script.shown(0).customer.clone()),
        stripe_subscription_id: Some(script.shown(0).id.clone()),
    };
    assert_eq!(row(&script), expected);
}

#[test]
fn max_to_plus_to_basic_in_one_period_keeps_max() {
    let mut script = bought(10 * DAY, MAX_MONTHLY);
    script.downgrade(0, PLUS_MONTHLY, DowngradeCredit::None);
    script.wait(DAY);
    script.downgrade(0, BASIC_MONTHLY, DowngradeCredit::None);
    assert_eq!(plan(&script), is("basic", "max", Some(("max", NOW + 20 * DAY))));
    script.wait(DAY);
    script.upgrade(0, PLUS_MONTHLY, UpgradePayment::Paid);
    assert_eq!(
        plan(&script),
        is("plus", "max", Some(("max", NOW + 20 * DAY))),
        "below: it stays"
    );
    script.wait(DAY);
    script.upgrade(0, MAX_MONTHLY, UpgradePayment::Paid);
    assert_eq!(plan(&script), is("max", "max", None));
}

#[test]
fn yearly_max_to_monthly_basic_keeps_max_until_the_year_ends() {
    let start = NOW - 70 * DAY;
    let mut script = bought(70 * DAY, MAX_YEARLY);
    script.downgrade(0, BASIC_MONTHLY, DowngradeCredit::None);
    script.renew(0, PAID);
    script.renew(0, PAID);
    let until = start + YEAR;
    assert_eq!(plan(&script), is("basic", "max", Some(("max", until))));
    let row = row(&script);
    assert_eq!(row.current_period_start, Some(start + DAY + 2 * MONTH));
    let after = script.life(until).entitlement.expect("a row");
    assert_eq!((after.effective_tier.as_str(), after.grace_tier), ("basic", None));
}

#[test]
fn monthly_max_to_yearly_basic_keeps_max_until_the_month_ends() {
    let mut script = bought(10 * DAY, MAX_MONTHLY);
    script.downgrade(0, BASIC_YEARLY, DowngradeCredit::None);
    assert_eq!(plan(&script), is("basic", "max", Some(("max", NOW + 20 * DAY))));
    assert_eq!(row(&script).current_period_end, Some(NOW - 9 * DAY + YEAR));
}

#[test]
fn a_credited_tier_is_not_kept_whatever_the_order_within_a_minute() {
    for after in [0, 50, -50] {
        for credit in [DowngradeCredit::Invoice { after }, DowngradeCredit::Item { after }] {
            for price in [BASIC_MONTHLY, BASIC_YEARLY] {
                let mut script = bought(10 * DAY, MAX_MONTHLY);
                script.downgrade(0, price, credit);
                assert_eq!(plan(&script), is("basic", "basic", None), "{credit:?}");
                assert!(row(&script).ever_paid);
            }
        }
    }
}

#[test]
fn an_unpaid_tier_is_not_kept() {
    let mut trial = Script::new(ApiVersion::Basil, "user_by_hand", NOW - 2 * DAY);
    trial.checkout(&CheckoutOrder {
        first_period: FirstPeriod::Trial(3),
        ..CheckoutOrder::new(PLUS_MONTHLY)
    });
    trial.wait(DAY);
    trial.downgrade(0, BASIC_MONTHLY, DowngradeCredit::None);
    assert_eq!(plan(&trial), is("basic", "basic", None));
    let trial = row(&trial);
    assert_eq!((trial.status.as_str(), trial.ever_paid), ("trialing", false));
    assert_eq!(
        (trial.trial_end, trial.current_period_end),
        (Some(NOW + DAY), Some(NOW + DAY))
    );
    assert_eq!(trial.highest_tier_subscribed.as_deref(), Some("plus"));

    for is_past_due in [true, false] {
        let mut script = bought(40 * DAY, PLUS_MONTHLY);
        script.renew(
            0,
            RenewalPayment::Failed {
                after: 60,
                failure: PaymentFailure::Refused,
                is_past_due,
            },
        );
        script.wait(DAY);
        script.downgrade(0, BASIC_MONTHLY, DowngradeCredit::None);
        assert_eq!(plan(&script), is("basic", "basic", None), "{is_past_due}");
    }
}

#[test]
fn a_scheduled_downgrade_gives_no_grace_and_ends_none() {
    let mut script = bought(40 * DAY, MAX_MONTHLY);
    script.schedule(0, BASIC_MONTHLY);
    script.renew(0, PAID);
    assert_eq!(plan(&script), is("basic", "basic", None));
    assert_eq!(row(&script).current_period_end, Some(NOW + 20 * DAY));
}

#[test]
fn a_failed_upgrade_is_shown_but_gives_nothing_until_it_is_paid() {
    let mut script = bought(10 * DAY, BASIC_MONTHLY);
    script.upgrade(0, MAX_MONTHLY, REFUSED);
    assert_eq!(plan(&script), is("max", "basic", None));
    let mut paid = script.clone();
    paid.wait(DAY);
    paid.pay_upgrade(0);
    assert_eq!(plan(&paid), is("max", "max", None));
    paid.wait(DAY);
    paid.downgrade(0, PLUS_MONTHLY, DowngradeCredit::None);
    assert_eq!(plan(&paid), is("plus", "max", Some(("max", NOW + 20 * DAY))));
    script.wait(DAY);
    script.downgrade(0, BASIC_MONTHLY, DowngradeCredit::None);
    assert_eq!(
        plan(&script),
        is("basic", "basic", None),
        "taken back: there was nothing to keep"
    );
}

#[test]
fn a_failed_upgrade_counts_with_the_next_renewal_that_is_paid() {
    let mut script = bought(40 * DAY, BASIC_MONTHLY);
    script.upgrade(0, MAX_MONTHLY, REFUSED);
    let mut failed = script.clone();
    script.renew(0, PAID);
    assert_eq!(plan(&script), is("max", "max", None));
    failed.renew(
        0,
        RenewalPayment::Failed {
            after: 60,
            failure: PaymentFailure::ActionRequired,
            is_past_due: true,
        },
    );
    assert_eq!(plan(&failed), is("max", "basic", None));
    assert_eq!(row(&failed).status, "past_due");
    failed.wait(DAY);
    failed.recover(0);
    assert_eq!(plan(&failed), is("max", "max", None));
}

#[test]
fn a_failed_upgrade_in_a_grace_leaves_the_grace() {
    let mut script = bought(10 * DAY, MAX_MONTHLY);
    script.downgrade(0, BASIC_MONTHLY, DowngradeCredit::None);
    script.wait(DAY);
    script.upgrade(0, MAX_MONTHLY, REFUSED);
    let grace = Some(("max", NOW + 20 * DAY));
    assert_eq!(plan(&script), is("max", "max", grace));
    script.wait(DAY);
    script.pay_upgrade(0);
    assert_eq!(plan(&script), is("max", "max", None));
}

#[test]
fn an_upgrade_that_waits_for_its_payment_changes_nothing_until_then() {
    let mut script = bought(10 * DAY, PLUS_MONTHLY);
    script.upgrade_pending(0, MAX_MONTHLY, PaymentFailure::Refused);
    assert_eq!(plan(&script), is("plus", "plus", None));
    script.wait(DAY);
    script.apply_pending(0);
    assert_eq!(plan(&script), is("max", "max", None));
}

#[test]
fn each_of_several_prices_in_one_second_has_its_effect() {
    let mut script = bought(10 * DAY, BASIC_MONTHLY);
    let [a, b, c] = [BASIC_MONTHLY, MAX_MONTHLY, PLUS_MONTHLY].map(BurstStep::Price);
    script.burst(0, &[b, a, c]);
    assert_eq!(plan(&script), is("plus", "max", Some(("max", NOW + 20 * DAY))));
}

#[test]
fn an_end_keeps_only_tier_and_period() {
    let mut script = bought(10 * DAY, MAX_MONTHLY);
    script.downgrade(0, BASIC_MONTHLY, DowngradeCredit::None);
    script.wait(DAY);
    script.cancel(0);
    let asked = script.clock();
    let canceling = row(&script);
    assert!(canceling.is_canceling);
    assert_eq!(
        (canceling.cancel_at, canceling.canceled_at),
        (Some(NOW + 20 * DAY), Some(asked))
    );
    assert_eq!(canceling.effective_tier, "max");
    script.wait(DAY);
    script.delete_account(0, true);
    let ended = row(&script);
    assert_eq!(plan(&script), is("basic", "free", None));
    assert_eq!(
        (ended.status.as_str(), ended.entitled, ended.is_canceling),
        ("canceled", false, false)
    );
    assert_eq!(ended.current_period_end, Some(NOW + 20 * DAY));
    assert_eq!(ended.canceled_at, Some(asked));
}

#[test]
fn an_end_date_after_the_period_is_no_cancellation_yet() {
    let mut script = bought(40 * DAY, PLUS_MONTHLY);
    script.cancel_on(0, NOW + DAY);
    assert!(!row(&script).is_canceling);
    script.renew(0, PAID);
    assert!(row(&script).is_canceling);
    script.wait(DAY);
    script.reactivate(0);
    assert!(!row(&script).is_canceling);
}

#[test]
fn the_current_subscription_is_an_entitled_one_then_the_higher_then_the_later() {
    let mut script = bought(20 * DAY, MAX_MONTHLY);
    script.end(0);
    script.wait(DAY);
    let again = CheckoutOrder {
        customer: Some(script.shown(0).customer.clone()),
        link: UserLink::Dashboard,
        ..CheckoutOrder::new(BASIC_MONTHLY)
    };
    let second = script.checkout(&again);
    assert_eq!(
        row(&script).stripe_subscription_id.as_ref(),
        Some(&script.shown(second).id)
    );
    script.wait(DAY);
    let third = script.checkout(&CheckoutOrder {
        link: UserLink::SessionReference,
        ..CheckoutOrder::new(PLUS_YEARLY)
    });
    assert_eq!(
        row(&script).stripe_subscription_id.as_ref(),
        Some(&script.shown(third).id)
    );
    script.wait(DAY);
    script.end(third);
    assert_eq!(
        row(&script).stripe_subscription_id.as_ref(),
        Some(&script.shown(second).id)
    );
    assert_eq!(row(&script).highest_tier_subscribed.as_deref(), Some("max"));
    script.wait(DAY);
    script.end(second);
    assert_eq!(row(&script).tier, "plus", "of those that ended the newest");
}

#[test]
fn there_is_no_row_before_an_object_identifies_the_user() {
    let mut script = Script::new(ApiVersion::V2020, "user_by_hand", NOW - 10 * DAY);
    script.checkout(&CheckoutOrder {
        link: UserLink::Customer,
        ..CheckoutOrder::new(BASIC_MONTHLY)
    });
    assert_eq!(script.clone().life(NOW).entitlement, None);
    script.wait(DAY);
    let customer = Some(script.shown(0).customer.clone());
    let order = CheckoutOrder {
        customer,
        ..CheckoutOrder::new(PLUS_MONTHLY)
    };
    let unpaid = script.checkout_unpaid(&order, PaymentFailure::Refused);
    let row = row(&script);
    assert_eq!(row.stripe_subscription_id.as_ref(), Some(&script.shown(0).id));
    assert_eq!(row.highest_tier_subscribed.as_deref(), Some("basic"));
    script.wait(DAY);
    script.expire(unpaid);
    assert_eq!(script.life(NOW).checkpoints[0].entitlement, None);
}
