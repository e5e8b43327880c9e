//! Lists in events are first pages of ten.

use crate::buyer::{Buyer, Shaped, add_item, edited};
use crate::stage::{DEADLINE, M, SHAPES, tell};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::crowd::all_applied;
use tests::fixtures::price::{self, BASIC_MONTHLY, MAX_MONTHLY, PLUS_MONTHLY};
use tests::fixtures::{ApiVersion, DAY, Event, Line, Period, Price, Resource, Subscription};
use tests::harness::{Balance, Entitlement, Pair, Setup, TestEnv, unix_now};
use tests::stripe::Stripe;

/// A seat of something that the catalog does not know.
const EXTRA: Price = Price {
    lookup_key: "extra_monthly",
    product: "prod_extra",
    cents: 100,
    ..price::UNKNOWN
};

/// A basic renewal whose invoice has ten prorations on its first page, and the plan on the second.
fn cut_renewal(buyer: &mut Buyer) -> Vec<Event> {
    let past = buyer.subscription.period;
    let updated = buyer.updated(past.end, Subscription::renew);
    let prorations = (0..10).map(|number| {
        let day = Period {
            start: past.start + (number + 1) * DAY,
            end: past.end,
        };
        let cents = if number % 2 == 0 { 30 } else { -30 };
        Line::proration(&mut buyer.mint, BASIC_MONTHLY, day, cents)
    });
    let lines: Vec<Line> = prorations.collect();
    let mut invoice = buyer.invoice("subscription_cycle", past.end, lines);
    invoice.period = past;
    let paid = buyer.paid(&invoice, past.end + 3_600);
    let cut = edited(&paid, |event| {
        let lines = &mut event["data"]["object"]["lines"];
        lines["has_more"] = json!(true);
        lines["total_count"] = json!(11);
        // The plan's 10 EUR are on the second page.
        for sum in ["amount_due", "amount_paid", "subtotal", "total"] {
            event["data"]["object"][sum] = json!(1_000);
        }
    });
    vec![updated, cut]
}

#[test]
fn a_renewal_invoice_with_ten_prorations_before_the_plan_closes_its_period() -> Result<()> {
    tell(async |stage| {
        let start = unix_now() - 70 * DAY;
        for version in SHAPES {
            let user = format!("user_cut_{}", version.date());
            let mut buyer = Buyer::new(version, &user, BASIC_MONTHLY, start);
            stage.told(&buyer.subscribed()).await?;
            let cut = cut_renewal(&mut buyer);
            stage.told(&cut).await?;
            stage.applied(&cut).await?;
            stage.tokens(&user, Balance::new(5 * M, 0, 5 * M, 0, 10 * M)).await?;
            // The next one, with the plan on its first page: 5,000,000 more.
            stage.told(&buyer.renewed()).await?;
            stage.tokens(&user, Balance::new(5 * M, 0, 10 * M, 0, 15 * M)).await?;
            stage.audited(&user).await?;
        }
        Ok(())
    })
}

/// Shows eleven items, of which the plan is the last one.
fn eleven(subscription: &Subscription, rendered: &mut Value) {
    for number in 0..10 {
        let id = format!("si_extra{number}");
        add_item(rendered, &id, EXTRA, subscription.period, true);
    }
}

/// Its first page, without the plan.
fn first_page(subscription: &Subscription, rendered: &mut Value) {
    eleven(subscription, rendered);
    if let Some(items) = rendered["items"]["data"].as_array_mut() {
        items.truncate(10);
    }
    rendered["items"]["has_more"] = json!(true);
}

const CREATED: &str = "customer.subscription.created";

#[test]
fn a_plan_behind_the_tenth_item_is_a_dead_letter_that_says_what_helps() -> Result<()> {
    tell(async |stage| {
        let (user, start) = ("user_eleventh", unix_now() - DAY);
        let mut buyer = Buyer::new(ApiVersion::Y2026, user, PLUS_MONTHLY, start);
        let page = Shaped::new(&buyer.subscription, &first_page);
        let created = buyer.mint.event(CREATED, start, &page);
        stage.told(std::slice::from_ref(&created)).await?;
        let letters = stage.pair.dead_letters(&[]).await?;
        let letter = letters.iter().find(|letter| letter["id"] == created.id.as_str());
        let letter = letter.context("not a dead letter")?;
        let detail = letter["detail"].as_str().unwrap_or_default();
        ensure!(letter["reason"] == "unknown_price", "{letter}");
        ensure!(detail.contains("STRIPE_SECRET_KEY"), "{detail}");
        let row = stage.found(user).await?;
        ensure!(row.is_none(), "{row:?}");
        Ok(())
    })
}

/// stripe/sync-engine #104, with an invoice.
#[tokio::test]
async fn with_a_key_a_list_that_was_cut_is_read_from_stripe() -> Result<()> {
    let env = TestEnv::new("known_pages").await?;
    let stripe = Stripe::start().await?;
    let setup = Setup::default()
        .worker("STRIPE_SECRET_KEY", "rk_test_tollbridge_hush_0123456789")
        .worker("STRIPE_API_BASE", stripe.base())
        .worker("STRIPE_LIVEMODE", "test")
        .worker("BACKFILL_INTERVAL", "off")
        .worker("RECONCILE_INTERVAL", "off");
    let pair = Pair::start(&env, setup).await?;
    let (user, start) = ("user_eleventh", unix_now() - DAY);
    let mut buyer = Buyer::new(ApiVersion::Y2026, user, PLUS_MONTHLY, start);
    let whole = Shaped::new(&buyer.subscription, &eleven).render(ApiVersion::Y2026);
    stripe.put("subscriptions", &whole);
    let page = Shaped::new(&buyer.subscription, &first_page);
    let created = buyer.mint.event(CREATED, start, &page);
    pair.client.post_event(&created).await?.accepted()?;
    all_applied(env.pool(), std::slice::from_ref(&created.id), DEADLINE).await?;
    let row = Entitlement::load(env.pool(), user).await?.context("no row")?;
    ensure!(row.effective_tier == "plus", "{row:?}");
    let violations = stripe.violations();
    ensure!(violations.is_empty(), "{violations:?}");
    Ok(())
}

/// stripe/sync-engine #104.
#[test]
fn a_plan_on_the_first_page_counts_although_the_list_was_cut() -> Result<()> {
    tell(async |stage| {
        let (user, start) = ("user_first_page", unix_now() - DAY);
        let shape = |subscription: &Subscription, rendered: &mut Value| {
            for number in 0..9 {
                let id = format!("si_extra{number}");
                add_item(rendered, &id, EXTRA, subscription.period, number % 2 == 0);
            }
            rendered["items"]["has_more"] = json!(true);
            rendered["items"]["total_count"] = json!(14);
        };
        // No tier is above max, so the other page cannot hold a higher one.
        let mut buyer = Buyer::new(ApiVersion::Y2026, user, MAX_MONTHLY, start);
        let page = Shaped::new(&buyer.subscription, &shape);
        let created = buyer.mint.event(CREATED, start, &page);
        stage.told(std::slice::from_ref(&created)).await?;
        stage.applied(&[created]).await?;
        stage.has(user, "max", None).await?;
        stage.tokens(user, Balance::new(15 * M, 0, 0, 0, 15 * M)).await
    })
}
