//! Packs in all the ways in which they are sold.

use crate::buyer::{Buyer, edited};
use crate::stage::{DEADLINE, M, SHAPES, tell};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::fixtures::price::BASIC_MONTHLY;
use tests::fixtures::{ApiVersion, DAY, Mint, Pack, Session};
use tests::harness::{Balance, Pair, Setup, TestEnv, eventually, unix_now};
use tests::stripe::Stripe;

/// A line of a session that sells `lookup_key`.
fn line(lookup_key: &str, product: &str, quantity: i64) -> Value {
    json!({
        "id": format!("li_{lookup_key}"), "object": "item", "amount_discount": 0, "amount_subtotal": 1_000 * quantity,
        "amount_tax": 0, "amount_total": 1_000 * quantity, "currency": "eur", "description": "Credits",
        "quantity": quantity,
        "price": one_off_price(lookup_key, product)
    })
}

/// The customer pays so many cents, without a discount.
fn pay(session: &mut Session, cents: i64) {
    session.amount_subtotal = cents;
    session.amount_total = cents;
}

fn one_off_price(lookup_key: &str, product: &str) -> Value {
    json!({
        "id": format!("price_{lookup_key}"), "object": "price", "active": true, "billing_scheme": "per_unit",
        "currency": "eur", "livemode": false, "lookup_key": lookup_key, "metadata": {}, "product": product,
        "recurring": null, "type": "one_time", "unit_amount": 1_000, "unit_amount_decimal": "1000"
    })
}

#[tokio::test]
async fn two_packs_in_one_session_are_both_granted() -> Result<()> {
    let env = TestEnv::new("known_two_packs").await?;
    let stripe = Stripe::start().await?;
    let setup = Setup::default()
        .worker("STRIPE_SECRET_KEY", "rk_test_tollbridge_hush_0123456789")
        .worker("STRIPE_API_BASE", stripe.base())
        .worker("BACKFILL_INTERVAL", "off")
        .worker("RECONCILE_INTERVAL", "off");
    let pair = Pair::start(&env, setup).await?;
    let mut mint = Mint::new(ApiVersion::Y2026, "two packs");
    let mut pack = Pack::bought(&mut mint, "user_two", "tokens_5m", 1, unix_now() - DAY);
    pack.session.metadata.remove("pack");
    pack.session.metadata.remove("quantity");
    pay(&mut pack.session, 3_000);
    let lines = [line("tokens_5m", "prod_tokens", 1), line("voice_500k", "prod_voice", 2)];
    let lines = json!({"object": "list", "data": lines, "has_more": false, "url": "/v1/checkout/sessions"});
    let session = json!({
        "id": pack.session.id, "object": "checkout.session", "created": unix_now(), "livemode": false,
        "line_items": lines
    });
    stripe.put("checkout/sessions", &session);
    pair.client.post_event(&pack.completed(&mut mint)).await?.accepted()?;
    eventually(DEADLINE, "both packs are there", async || {
        let expected = [
            ("tokens", Balance::new(0, 0, 0, 5 * M, 5 * M)),
            // Two times 500,000.
            ("voice_chars", Balance::new(0, 0, 0, M, M)),
        ];
        Balance::expect(env.pool(), "user_two", &expected).await
    })
    .await;
    pair.operate(&["audit"]).await.map(drop)
}

#[test]
fn a_quantity_that_was_adjusted_at_checkout_is_the_one_that_was_paid() -> Result<()> {
    tell(async |stage| {
        let at = unix_now() - 2 * DAY;
        let life = |user: &str| {
            let mut mint = Mint::new(ApiVersion::Y2026, user);
            let mut pack = Pack::bought(&mut mint, user, "tokens_5m", 1, at);
            // The metadata still says 1.
            pay(&mut pack.session, 3_000);
            let completed = pack.completed(&mut mint);
            vec![completed, pack.paid_later(&mut mint, at + 3_600)]
        };
        let packs = 3_000 / 1_000;
        let check = async |user: &str| {
            stage
                .tokens(user, Balance::new(0, 0, 0, packs * 5 * M, packs * 5 * M))
                .await
        };
        stage.in_every_order("user_adjusted", life, check).await
    })
}

#[test]
fn money_that_is_no_multiple_of_the_pack_s_price_is_a_dead_letter_without_a_key() -> Result<()> {
    tell(async |stage| {
        let user = "user_odd_money";
        let mut mint = Mint::new(ApiVersion::Y2026, user);
        let mut pack = Pack::bought(&mut mint, user, "tokens_5m", 1, unix_now() - DAY);
        pay(&mut pack.session, 1_500);
        let completed = pack.completed(&mut mint);
        stage.told(std::slice::from_ref(&completed)).await?;
        let seen = stage.outcome(&completed).await?;
        ensure!(
            seen.outcome == "dead" && seen.reason.as_deref() == Some("unknown_pack"),
            "{seen:?}"
        );
        let letters = stage.pair.dead_letters(&[]).await?;
        let letter = letters.iter().find(|letter| letter["id"] == completed.id.as_str());
        let detail = letter.context("not listed")?["detail"].as_str().unwrap_or_default();
        ensure!(detail.contains("STRIPE_SECRET_KEY"), "{detail}");
        Balance::expect(stage.env.pool(), user, &[]).await
    })
}

#[test]
fn a_pack_that_is_sold_with_a_subscription_is_granted_once_in_every_order() -> Result<()> {
    tell(async |stage| {
        let start = unix_now() - DAY;
        for version in SHAPES {
            let life = |user: &str| {
                let mut buyer = Buyer::new(version, user, BASIC_MONTHLY, start);
                let mut session = buyer.checkout();
                pay(&mut session, 2_000);
                let invoice = buyer.bill("subscription_create", start);
                session.invoice = Some(invoice.id.clone());
                let item = buyer.mint.id("ii");
                let paid = buyer.paid(&invoice, start);
                let paid = edited(&paid, |event| add_pack_line(&mut event["data"]["object"], &item));
                let completed = buyer.mint.event("checkout.session.completed", start + 5, &session);
                vec![buyer.created(), paid, completed]
            };
            let check = async |user: &str| stage.tokens(user, Balance::new(5 * M, 0, 0, 5 * M, 10 * M)).await;
            let name = format!("user_with_pack_{}", version.date());
            stage.in_every_order(&name, life, check).await?;
        }
        Ok(())
    })
}

/// Adds a line that sells a pack to a rendered invoice of a subscription to basic.
fn add_pack_line(invoice: &mut Value, item: &str) {
    let mut line = invoice["lines"]["data"][0].clone();
    line["id"] = json!(format!("il_{item}"));
    if line["parent"].is_object() {
        let subscription = invoice["parent"]["subscription_details"]["subscription"].clone();
        line["parent"] = json!({
            "invoice_item_details": {
                "invoice_item": item, "proration": false, "proration_details": { "credited_items": null },
                "subscription": subscription
            },
            "subscription_item_details": null,
            "type": "invoice_item_details"
        });
        line["pricing"]["price_details"] = json!({ "price": "price_tokens_5m", "product": "prod_tokens" });
    } else {
        line["type"] = json!("invoiceitem");
        line["invoice_item"] = json!(item);
        line["price"] = one_off_price("tokens_5m", "prod_tokens");
        line["plan"] = Value::Null;
        if let Some(fields) = line.as_object_mut() {
            fields.remove("subscription_item");
        }
    }
    if let Some(lines) = invoice["lines"]["data"].as_array_mut() {
        lines.push(line);
    }
    invoice["lines"]["total_count"] = json!(2);
    for sum in ["amount_due", "amount_paid", "subtotal", "total"] {
        invoice[sum] = json!(2_000);
    }
}
