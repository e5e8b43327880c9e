//! Test clocks, from the command line.

use super::operator::{Operator, Ran};
use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::time::Duration;
use tests::fixtures::{ApiVersion, Charge, Mint, Resource};
use tests::harness::{Entitlement, Pair, Setup, TestEnv, eventually, unix_now};
use tests::stripe::{Fault, When};

const DEADLINE: Duration = Duration::from_secs(30);
const AT: &str = "2026-01-31T12:00:00Z";

#[tokio::test]
async fn a_customer_lives_on_a_clock_that_is_moved_on_and_deleted() -> Result<()> {
    let operator = Operator::new().await?;
    let early = operator
        .run(&["test-clock", "create", "--price", "plus_monthly", "--user", "user_1"])
        .await?
        .with(1)?;
    ensure!(
        early
            .stderr
            .contains("no active price with the lookup key plus_monthly; run apply first"),
        "{early:#?}"
    );
    operator.apply().await?;
    let create = [
        "test-clock",
        "create",
        "--test",
        "--price",
        "plus_monthly",
        "--user",
        "user_1",
        "--at",
        AT,
    ];
    let made = operator.run(&create).await?.with(0)?;
    let clock = id(&made, "clock")?;
    let (customer, subscription) = (id(&made, "customer")?, id(&made, "subscription")?);
    let found = operator.find("subscriptions", "id", &subscription)?;
    ensure!(
        found["customer"] == customer.as_str() && found["metadata"]["user_id"] == "user_1",
        "{found:#}"
    );
    ensure!(operator.find("customers", "id", &customer)?["test_clock"] == clock.as_str());

    let moved = operator
        .run(&["test-clock", "advance", &clock, "--by", "32d"])
        .await?
        .with(0)?;
    ensure!(
        moved.printed.trim() == format!("{clock} is at 2026-03-04T12:00:00Z"),
        "{moved:#?}"
    );
    ensure!(
        moved.stderr.contains("advancing to 2026-03-04T12:00:00Z"),
        "no progress: {moved:#?}"
    );
    let back = operator
        .run(&["test-clock", "advance", &clock, "--to", AT])
        .await?
        .with(1)?;
    ensure!(back.stderr.contains("a clock cannot go back"), "{back:#?}");
    operator
        .run(&["test-clock", "advance", "../account", "--by", "1d"])
        .await?
        .with(1)?;

    operator.run(&["test-clock", "delete", &clock]).await?.with(0)?;
    ensure!(operator.stripe.objects("test_helpers/test_clocks").is_empty());
    ensure!(operator.stripe.objects("subscriptions").is_empty());
    operator.obeys()
}

#[tokio::test]
async fn a_clocks_events_reach_the_tables_by_the_work_queue() -> Result<()> {
    let env = TestEnv::new("clocks").await?;
    let pair = Pair::start(&env, Setup::default()).await?;
    let mut operator = Operator::new().await?;
    for name in ["AMQP_URL", "QUEUE_NAMESPACE"] {
        let setting = env.settings()[name].clone();
        operator.settings.insert(name.to_owned(), setting);
    }
    operator.apply().await?;
    let create = [
        "test-clock",
        "create",
        "--price",
        "plus_monthly",
        "--user",
        "user_clock",
        "--at",
        AT,
    ];
    let made = operator.run(&create).await?.with(0)?;
    let clock = id(&made, "clock")?;
    // Looking publishes nothing.
    let seen = operator.run(&["test-clock", "events", &clock]).await?.with(0)?;
    ensure!(
        seen.printed.contains("customer.subscription.created") && !seen.printed.contains("queue"),
        "{seen:#?}"
    );
    ensure!(pair.settled().await? == 0);

    let published = operator
        .run(&["test-clock", "events", &clock, "--publish"])
        .await?
        .with(0)?;
    let count = published.printed.lines().count() - 1;
    ensure!(
        published
            .printed
            .ends_with(&format!("{count} events are on the work queue.\n")),
        "{published:#?}"
    );
    let period = eventually(DEADLINE, "the subscription is in the tables", async || {
        entitled(&env, "plus").await
    })
    .await;
    operator
        .run(&["test-clock", "advance", &clock, "--by", "32d"])
        .await?
        .with(0)?;
    // All of them once more: those that are known have no effect.
    operator
        .run(&["test-clock", "events", &clock, "--publish"])
        .await?
        .with(0)?;
    eventually(DEADLINE, "the next month is in the tables", async || {
        ensure!(entitled(&env, "plus").await? > period);
        Ok(())
    })
    .await;
    ensure!(pair.dead_letters(&[]).await?.is_empty());
    operator.obeys()
}

#[tokio::test]
async fn a_clock_whose_answer_was_lost_is_looked_up_or_named() -> Result<()> {
    let operator = Operator::new().await?;
    operator.apply().await?;
    let clocks = "/v1/test_helpers/test_clocks";
    let create = [
        "test-clock",
        "create",
        "--price",
        "plus_monthly",
        "--user",
        "user_1",
        "--at",
        AT,
    ];
    operator
        .stripe
        .inject(Fault::FailsAfter, When::to("POST", clocks).times(1));
    let failed = operator.run(&create).await?.with(1)?;
    ensure!(
        failed
            .stderr
            .contains("one named 'tollbridge plus_monthly of user_1' may exist"),
        "{failed:#?}"
    );
    ensure!(operator.stripe.objects("test_helpers/test_clocks").len() == 1);

    let clock = id(&operator.run(&create).await?.with(0)?, "clock")?;
    let advance = ["test-clock", "advance", &clock, "--by", "1d"];
    operator
        .stripe
        .inject(Fault::FailsAfter, When::to("POST", clocks).times(1));
    let moved = operator.run(&advance).await?.with(0)?;
    ensure!(moved.printed.contains("is at 2026-02-01T12:00:00Z"), "{moved:#?}");
    operator
        .stripe
        .inject(Fault::FailsBefore(500), When::to("POST", clocks).times(1));
    let failed = operator.run(&advance).await?.with(1)?;
    ensure!(
        failed.stderr.contains("is at 2026-02-01T12:00:00Z; advance it again"),
        "{failed:#?}"
    );

    operator
        .stripe
        .inject(Fault::DropsAfter, When::to("DELETE", clocks).times(1));
    operator.run(&["test-clock", "delete", &clock]).await?.with(0)?;
    operator.run(&["test-clock", "delete", &clock]).await?.with(1)?;
    operator.obeys()
}

/// Refunds and disputes name no customer.
#[tokio::test]
async fn a_clocks_events_include_refunds_and_disputes_of_its_own_customers_alone() -> Result<()> {
    let operator = Operator::new().await?;
    operator.apply().await?;
    let create = ["test-clock", "create", "--price", "plus_monthly", "--user", "user_1"];
    let made = operator.run(&create).await?.with(0)?;
    let (clock, customer) = (id(&made, "clock")?, id(&made, "customer")?);
    let mut mint = Mint::new(ApiVersion::Y2026, "clock");
    let mut events = Vec::new();
    let now = unix_now();
    for (customer, intent) in [
        (customer.as_str(), Some("pi_1")),
        ("cus_other", Some("pi_2")),
        (&customer, None),
    ] {
        let mut charge = Charge {
            id: mint.id("ch"),
            payment_intent: intent.map(str::to_owned),
            invoice: None,
            customer: Some(customer.to_owned()),
            amount: 2_000,
            amount_refunded: 0,
            created: now,
        };
        operator.stripe.put("charges", &charge.render(ApiVersion::Y2026));
        let refund = charge.refund(&mut mint, 500, now);
        let dispute = charge.dispute(&mut mint, 1_500, now);
        for (kind, object) in [
            ("charge.refunded", charge.render(ApiVersion::Y2026)),
            ("refund.failed", refund.render(ApiVersion::Y2026)),
            ("charge.dispute.funds_withdrawn", dispute.render(ApiVersion::Y2026)),
        ] {
            let id = format!("evt_{}", events.len());
            let event = json!({
                "id": id, "object": "event", "api_version": null, "created": now, "data": {"object": object},
                "livemode": false, "request": null, "type": kind
            });
            operator.stripe.emit(&event, true);
            events.push((id, customer != "cus_other"));
        }
    }
    let listed = operator.run(&["test-clock", "events", &clock]).await?.with(0)?;
    for (id, is_listed) in events {
        ensure!(
            listed.printed.contains(&format!("  {id}  ")) == is_listed,
            "{id}: {listed:#?}"
        );
    }
    operator.obeys()
}

/// The end of the period of the user on the clock, who has this tier.
async fn entitled(env: &TestEnv, tier: &str) -> Result<Option<i64>> {
    let row = Entitlement::load(env.pool(), "user_clock")
        .await?
        .context("no row yet")?;
    ensure!(row.effective_tier == tier, "{row:?}");
    Ok(row.current_period_end)
}

fn id(made: &Ran, what: &str) -> Result<String> {
    let line = made
        .printed
        .lines()
        .find_map(|line| line.strip_prefix(&format!("{what} ")));
    line.map(str::to_owned).with_context(|| format!("no {what}: {made:#?}"))
}
