//! Changes within one second whose order no event shows.

use super::{DEADLINE, asked_as_stripe_says, asking, snapshots_applied};
use anyhow::{Context, Result, ensure};
use tests::crowd::{Delivery, all_applied, ids, newcomers};
use tests::fixtures::price::{BASIC_MONTHLY, MAX_MONTHLY, PLUS_MONTHLY};
use tests::fixtures::{ApiVersion, DAY, Event, Mint, Resource, Subscription};
use tests::harness::{Entitlement, Pair, TestEnv, eventually, unix_now};
use tests::stripe::{Fault, Stripe, When};

/// Two changes in one second that do not show the state before them.
fn tie(mint: &mut Mint, user: &str, at: i64) -> (Vec<Event>, [Subscription; 2]) {
    let customer = mint.id("cus");
    let first = Subscription::new(mint, &customer, BASIC_MONTHLY, at - DAY).of_user(user);
    let change = |price| {
        let mut changed = first.clone();
        changed.price = price;
        changed
    };
    let both = [change(PLUS_MONTHLY), change(MAX_MONTHLY)];
    let mut events = vec![mint.event("customer.subscription.created", at - DAY, &first)];
    events.extend(
        both.iter()
            .map(|one| mint.event("customer.subscription.updated", at, one)),
    );
    (events, both)
}

async fn tiers(env: &TestEnv, expected: &[(String, &str)]) {
    eventually(DEADLINE, "Stripe's answer decides", async || {
        for (user, tier) in expected {
            let row = Entitlement::load(env.pool(), user).await?.context("no row")?;
            ensure!(row.tier == *tier, "{user} has {}, not {tier}", row.tier);
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_undecided_tie_is_looked_up_at_stripe_without_delaying_other_users() -> Result<()> {
    let stripe = Stripe::start().await?;
    let env = TestEnv::new("recovery_ties").await?;
    let pair = Pair::start(&env, asking(&stripe).workers(2)).await?;
    let mut mint = Mint::new(ApiVersion::Y2026, "ties");
    stripe.inject(Fault::FailsBefore(503), When::any());
    let (mut all, mut expected) = (Vec::new(), Vec::new());
    for number in 0..10 {
        let user = format!("user_tie_{number}");
        let (events, both) = tie(&mut mint, &user, unix_now() - 60);
        let right = number % 2;
        all.extend(events);
        stripe.put("subscriptions", &both[right].render(ApiVersion::Y2026));
        expected.push((user, ["plus", "max"][right]));
    }
    Delivery::start(&pair.client, &all, 4).finish().await?;
    all_applied(env.pool(), &ids(&all), DEADLINE).await?;
    // Stripe is down, and no event waits for it.
    let others = newcomers("others", 50);
    Delivery::start(&pair.client, &others, 4).finish().await?;
    all_applied(env.pool(), &ids(&others), DEADLINE).await?;
    let open: i64 = sqlx::query_scalar("SELECT count(*) FROM billing.stripe_question")
        .fetch_one(env.pool())
        .await?;
    ensure!(open == 10, "{open}");
    stripe.heal();
    // Not all at the time of their next turn: that is for the test alone.
    sqlx::query("UPDATE billing.stripe_question SET due_at = now()")
        .execute(env.pool())
        .await?;
    tiers(&env, &expected).await;
    snapshots_applied(&env, 10).await;
    eventually(DEADLINE, "no question is open", async || {
        let open: i64 = sqlx::query_scalar("SELECT count(*) FROM billing.stripe_question")
            .fetch_one(env.pool())
            .await?;
        ensure!(open == 0, "{open}");
        Ok(())
    })
    .await;
    let answered = stripe
        .requests()
        .iter()
        .filter(|asked| asked.status == Some(200))
        .count();
    ensure!(answered == 10, "each is asked once: {answered}");
    pair.operate(&["audit"]).await?;
    asked_as_stripe_says(&stripe)
}
