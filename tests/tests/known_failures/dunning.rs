//! Payments that fail and come later: what was held back is given, and what was paid for is kept.

use crate::buyer::Buyer;
use crate::stage::{HOUR, M, SHAPES, tell};
use anyhow::Result;
use tests::fixtures::price::{BASIC_MONTHLY, MAX_MONTHLY, PLUS_MONTHLY};
use tests::fixtures::{ApiVersion, DAY, Event, Invoice, Line};
use tests::harness::{Balance, unix_now};

/// Plus; on day 10 an upgrade to max whose payment fails; on day 12 the invoice is voided; on day 14 a new period
/// with max, whose payment is the last of the events.
fn voided_upgrade(version: ApiVersion, user: &str, start: i64) -> Vec<Event> {
    let mut buyer = Buyer::new(version, user, PLUS_MONTHLY, start);
    let (at, past) = (start + 10 * DAY, buyer.subscription.period);
    let created = buyer.created();
    let lines = vec![
        buyer.share(PLUS_MONTHLY, at, past, -1_333),
        buyer.share(MAX_MONTHLY, at, past, 2_667),
    ];
    let upgrade = buyer.invoice("subscription_update", at, lines);
    let first = upgrade.id.clone();
    let upgraded = buyer.updated(at, |subscription| {
        subscription.price = MAX_MONTHLY;
        subscription.status = "past_due";
        subscription.latest_invoice = Some(first);
    });
    let failed = buyer.failed(&upgrade, at + 5);
    let void = Invoice {
        status: "void",
        ..upgrade
    };
    let voided = buyer.mint.event("invoice.voided", at + 2 * DAY, &void);
    let active = buyer.updated(at + 2 * DAY, |subscription| subscription.status = "active");

    let at = start + 14 * DAY;
    let period = MAX_MONTHLY.period_from(at);
    let lines = vec![
        buyer.share(PLUS_MONTHLY, at, past, -1_067),
        Line::plan(&mut buyer.mint, MAX_MONTHLY, period),
    ];
    let invoice = buyer.invoice("subscription_update", at, lines);
    let second = invoice.id.clone();
    let begun = buyer.updated(at, |subscription| {
        subscription.period = period;
        subscription.latest_invoice = Some(second);
    });
    let paid = buyer.paid(&invoice, at + 5);
    vec![created, upgraded, failed, voided, active, begun, paid]
}

#[test]
fn after_a_voided_upgrade_a_paid_new_period_gives_the_higher_tier() -> Result<()> {
    tell(async |stage| {
        let start = unix_now() - 15 * DAY;
        for version in SHAPES {
            let user = format!("user_voided_{}", version.date());
            let events = voided_upgrade(version, &user, start);
            let (last, before) = events.split_last().expect("there are seven");
            stage.told(before).await?;
            // Giving up an invoice frees nothing.
            stage.has(&user, "plus", None).await?;
            stage.told(std::slice::from_ref(last)).await?;
            stage.has(&user, "max", None).await?;
            stage.tokens(&user, Balance::new(15 * M, 0, 0, 0, 15 * M)).await?;
            stage.audited(&user).await?;
        }
        Ok(())
    })
}

#[test]
fn a_voided_upgrade_and_the_payment_after_it_may_come_in_any_order() -> Result<()> {
    tell(async |stage| {
        let start = unix_now() - 15 * DAY;
        let life = |user: &str| {
            let mut events = voided_upgrade(ApiVersion::Y2026, user, start);
            // Without the voiding and what followed from it: five events have 120 orders.
            events.drain(3..5);
            events
        };
        let check = async |user: &str| {
            stage.has(user, "max", None).await?;
            stage.tokens(user, Balance::new(15 * M, 0, 0, 0, 15 * M)).await
        };
        stage.in_every_order("user_order_voided", life, check).await
    })
}

/// A max renewal that fails, a downgrade to basic five days later, and the payment a day after that.
fn paid_after_the_downgrade(version: ApiVersion, user: &str, renewal: i64) -> (Vec<Event>, Vec<Event>) {
    let mut buyer = Buyer::new(version, user, MAX_MONTHLY, renewal - 30 * DAY);
    let first = buyer.subscribed();
    let (begun, invoice) = buyer.begins_next();
    let failed = buyer.failed(&invoice, renewal + HOUR);
    let downgraded = buyer.updated(renewal + 5 * DAY, |subscription| {
        subscription.price = BASIC_MONTHLY;
        subscription.status = "past_due";
    });
    let paid = buyer.paid(&invoice, renewal + 6 * DAY);
    let events = [first, vec![begun, failed, downgraded]].concat();
    (events, vec![paid])
}

#[test]
fn a_renewal_that_is_paid_after_the_downgrade_brings_the_grace_back() -> Result<()> {
    tell(async |stage| {
        let renewal = unix_now() - 10 * DAY;
        for version in SHAPES {
            let user = format!("user_paid_late_{}", version.date());
            let (before, paid) = paid_after_the_downgrade(version, &user, renewal);
            stage.told(&before).await?;
            stage.has(&user, "basic", None).await?;
            // 5 days at 15,000,000 and 25 at 5,000,000; nothing rolls over until the renewal is paid.
            let limit = (5 * 15 * M + 25 * 5 * M) / 30;
            stage.tokens(&user, Balance::new(limit, 0, 0, 0, limit)).await?;

            stage.told(&paid).await?;
            stage.has(&user, "max", Some(("max", renewal + 30 * DAY))).await?;
            // The 40 EUR are paid: max to the period's end. 15,000,000 were left, of which 10,000,000 have room.
            stage.tokens(&user, Balance::new(15 * M, 0, 10 * M, 0, 25 * M)).await?;
            stage.audited(&user).await?;
        }
        Ok(())
    })
}

#[test]
fn a_late_payment_a_downgrade_and_a_failure_give_one_grace_in_every_order() -> Result<()> {
    tell(async |stage| {
        let renewal = unix_now() - 10 * DAY;
        let life = |user: &str| {
            let (mut events, paid) = paid_after_the_downgrade(ApiVersion::Y2026, user, renewal);
            events.extend(paid);
            // The first invoice is in every other story.
            events.remove(1);
            events
        };
        let check = async |user: &str| {
            stage.has(user, "max", Some(("max", renewal + 30 * DAY))).await?;
            let balances = Balance::load(stage.env.pool(), user).await?;
            let limit = balances.get("tokens").and_then(|tokens| tokens.plan_limit);
            anyhow::ensure!(limit == Some(15 * M), "{balances:?}");
            Ok(())
        };
        stage.in_every_order("user_order_paid_late", life, check).await
    })
}
