//! Refunds and disputes, of subscription invoices and of packs.

use crate::buyer::{Buyer, edited};
use crate::stage::{M, SHAPES, tell};
use anyhow::Result;
use serde_json::json;
use tests::fixtures::price::{BASIC_MONTHLY, MAX_MONTHLY};
use tests::fixtures::{ApiVersion, Charge, DAY, Event, Mint, Pack};
use tests::harness::{Balance, unix_now};

/// Max, paid with 40 EUR: the subscription, its charge, and the events that tell which charge paid its invoice.
fn paid_max(version: ApiVersion, user: &str, start: i64) -> (Buyer, Charge, Vec<Event>) {
    let mut buyer = Buyer::new(version, user, MAX_MONTHLY, start);
    let mut session = buyer.checkout();
    session.payment_intent = Some(buyer.mint.id("pi"));
    let charge = Charge::of_session(&mut buyer.mint, &session, start);
    let invoice = buyer.bill("subscription_create", start);
    let mut events = vec![buyer.created(), buyer.paid(&invoice, start)];
    if version.is_since_basil() {
        // Since 2025-03-31 only this event says which payment paid which invoice.
        let data = json!({ "object": {
            "id": buyer.mint.id("inpay"),
            "object": "invoice_payment",
            "amount_paid": charge.amount,
            "amount_requested": charge.amount,
            "created": start,
            "currency": "eur",
            "invoice": invoice.id,
            "is_default": true,
            "livemode": false,
            "payment": { "payment_intent": charge.payment_intent, "type": "payment_intent" },
            "status": "paid",
            "status_transitions": { "canceled_at": null, "paid_at": start }
        }});
        events.push(buyer.mint.envelope("invoice_payment.paid", start, &data));
    } else {
        events[1] = edited(&events[1], |event| {
            event["data"]["object"]["charge"] = json!(charge.id);
            event["data"]["object"]["payment_intent"] = json!(charge.payment_intent);
        });
    }
    (buyer, charge, events)
}

/// The charge is refunded in full on day 5, and on day 10 follows a downgrade without credit.
fn refunded_and_downgraded(version: ApiVersion, user: &str, start: i64) -> (Buyer, Vec<Event>) {
    let (mut buyer, mut charge, mut events) = paid_max(version, user, start);
    charge.refund(&mut buyer.mint, charge.amount, start + 5 * DAY);
    events.push(buyer.mint.event("charge.refunded", start + 5 * DAY, &charge));
    events.push(buyer.switched(BASIC_MONTHLY, start + 10 * DAY));
    (buyer, events)
}

#[test]
fn a_downgrade_after_a_full_refund_has_no_grace_in_every_order() -> Result<()> {
    tell(async |stage| {
        let start = unix_now() - 20 * DAY;
        for version in SHAPES {
            let life = |user: &str| refunded_and_downgraded(version, user, start).1;
            let check = async |user: &str| {
                stage.has(user, "basic", None).await?;
                // 10 days at 15,000,000 and 20 at 5,000,000.
                let limit = (10 * 15 * M + 20 * 5 * M) / 30;
                stage.tokens(user, Balance::new(limit, 0, 0, 0, limit)).await
            };
            let name = format!("user_refunded_{}", version.date());
            stage.in_every_order(&name, life, check).await?;
        }
        Ok(())
    })
}

#[test]
fn a_period_whose_invoice_was_refunded_in_full_rolls_nothing_over() -> Result<()> {
    tell(async |stage| {
        let start = unix_now() - 40 * DAY;
        for version in SHAPES {
            let user = format!("user_refunded_renews_{}", version.date());
            let (mut buyer, mut events) = refunded_and_downgraded(version, &user, start);
            events.extend(buyer.renewed());
            stage.told(&events).await?;
            stage.applied(&events).await?;
            stage.tokens(&user, Balance::new(5 * M, 0, 0, 0, 5 * M)).await?;
            stage.audited(&user).await?;
        }
        Ok(())
    })
}

/// As above, with a dispute in the place of the refund.
#[test]
fn a_lost_dispute_takes_the_grace_and_a_won_one_returns_it() -> Result<()> {
    tell(async |stage| {
        let user = "user_disputed";
        let start = unix_now() - 20 * DAY;
        let (mut buyer, charge, mut events) = paid_max(ApiVersion::Y2026, user, start);
        events.push(buyer.switched(BASIC_MONTHLY, start + 10 * DAY));
        stage.told(&events).await?;
        stage.has(user, "max", Some(("max", start + 30 * DAY))).await?;

        let at = start + 12 * DAY;
        let dispute = charge.dispute(&mut buyer.mint, charge.amount, at);
        let withdrawn = buyer.mint.event("charge.dispute.funds_withdrawn", at, &dispute);
        stage.told(&[withdrawn]).await?;
        stage.has(user, "basic", None).await?;

        stage.told(&[dispute.reinstated(&mut buyer.mint, at + DAY)]).await?;
        stage.has(user, "max", Some(("max", start + 30 * DAY))).await?;
        stage.tokens(user, Balance::new(15 * M, 0, 0, 0, 15 * M)).await?;
        stage.audited(user).await
    })
}

/// A pack of 5,000,000 tokens for 10 EUR.
fn pack(version: ApiVersion, user: &str, at: i64) -> (Mint, Pack) {
    let mut mint = Mint::new(version, user);
    let pack = Pack::bought(&mut mint, user, "tokens_5m", 1, at);
    (mint, pack)
}

fn in_pence(event: &Event) -> Event {
    edited(event, |event| event["data"]["object"]["currency"] = json!("gbp"))
}

#[test]
fn a_dispute_in_another_currency_takes_the_whole_pack() -> Result<()> {
    tell(async |stage| {
        let at = unix_now() - 10 * DAY;
        let life = |user: &str| {
            let (mut mint, pack) = pack(ApiVersion::Y2026, user, at);
            // 860 GBP pence are the 1,000 EUR cents of the charge.
            let (_, withdrawn) = pack.withdrawn(&mut mint, 860, at + DAY);
            vec![pack.completed(&mut mint), in_pence(&withdrawn)]
        };
        let check = async |user: &str| stage.tokens(user, Balance::new(0, 0, 0, 0, 0)).await;
        stage.in_every_order("user_pence", life, check).await?;

        let life = |user: &str| {
            let (mut mint, pack) = pack(ApiVersion::Y2026, user, at);
            let (dispute, withdrawn) = pack.withdrawn(&mut mint, 860, at + DAY);
            let won = dispute.reinstated(&mut mint, at + 3 * DAY);
            vec![pack.completed(&mut mint), in_pence(&withdrawn), in_pence(&won)]
        };
        let check = async |user: &str| stage.tokens(user, Balance::new(0, 0, 0, 5 * M, 5 * M)).await;
        stage.in_every_order("user_pence_won", life, check).await
    })
}

#[test]
fn a_refund_that_failed_returns_the_pack_under_each_name_of_the_event() -> Result<()> {
    tell(async |stage| {
        let at = unix_now() - 10 * DAY;
        let names = [
            ("failed", ApiVersion::V2020, "charge.refund.updated", "failed"),
            ("canceled", ApiVersion::V2024, "charge.refund.updated", "canceled"),
            ("updated", ApiVersion::Y2026, "refund.updated", "canceled"),
        ];
        for (name, version, kind, status) in names {
            let life = |user: &str| {
                let (mut mint, mut pack) = pack(version, user, at);
                let completed = pack.completed(&mut mint);
                let (refund, refunded) = pack.refunded(&mut mint, 1_000, at + DAY);
                let failed = pack.refund_failed(&mut mint, &refund, at + 2 * DAY);
                let failed = edited(&failed, |event| {
                    event["type"] = json!(kind);
                    event["data"]["object"]["status"] = json!(status);
                });
                let kind = kind.to_owned();
                vec![completed, refunded, Event { kind, ..failed }]
            };
            let check = async |user: &str| stage.tokens(user, Balance::new(0, 0, 0, 5 * M, 5 * M)).await;
            stage
                .in_every_order(&format!("user_refund_{name}"), life, check)
                .await?;
        }
        Ok(())
    })
}
