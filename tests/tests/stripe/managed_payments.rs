//! Sales through Managed Payments: an invoice that Stripe did not issue is counted in a metric.

use anyhow::{Result, ensure};
use std::time::Duration;
use tests::crowd::{Senders, all_applied, ids};
use tests::fixtures::price::PLUS_MONTHLY;
use tests::fixtures::{ApiVersion, DAY, Event, Invoice, Line, Mint, Subscription};
use tests::harness::{Pair, Setup, TestEnv, unix_now};

const DEADLINE: Duration = Duration::from_secs(30);

/// A paid invoice, issued by `issuer`.
fn paid(mint: &mut Mint, issuer: &str) -> Event {
    let (customer, now) = (mint.id("cus"), unix_now() - DAY);
    let subscription = Subscription::new(mint, &customer, PLUS_MONTHLY, now);
    let lines = vec![Line::plan(mint, PLUS_MONTHLY, subscription.period)];
    let invoice = Invoice::new(mint, &subscription, "subscription_create", now, lines);
    let mut event = mint.event("invoice.paid", now, &invoice);
    let mut body: serde_json::Value = serde_json::from_str(&event.body).expect("an event is JSON");
    body["data"]["object"]["issuer"] = serde_json::json!({"type": issuer});
    event.body = body.to_string();
    event
}

#[tokio::test]
async fn an_invoice_that_stripe_did_not_issue_is_counted_and_applied_all_the_same() -> Result<()> {
    let env = TestEnv::new("managed_payments").await?;
    let pair = Pair::start(&env, Setup::default()).await?;
    let mut mint = Mint::new(ApiVersion::Y2026, "issuer");
    let events = ["stripe", "self", "stripe"].map(|issuer| paid(&mut mint, issuer));
    Senders::start(&pair.client, &events, 1).finish().await?;
    all_applied(env.pool(), &ids(&events), DEADLINE).await?;
    let counted = async || {
        pair.workers[0]
            .metrics()
            .await
            .map(|m| m.get("tollbridge_worker_self_issued_invoice_events_total"))
    };
    tests::harness::wait_for(DEADLINE, "it is counted", async || {
        let counted = counted().await?;
        ensure!(counted == 1, "{counted}");
        Ok(())
    })
    .await?;
    // Once more it is nothing new.
    pair.client.post_event(&events[1]).await?.accepted()?;
    let settled = tests::harness::wait_for(DEADLINE, "the copy is settled", async || {
        ensure!(pair.settled().await? == 4);
        Ok(())
    });
    settled.await?;
    ensure!(counted().await? == 1);
    Ok(())
}
