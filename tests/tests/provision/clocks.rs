//! Test clocks, from the command line.

use crate::operator::Operator;
use anyhow::{Context, Result, ensure};

#[tokio::test]
async fn a_customer_lives_on_a_clock_that_is_moved_on_and_deleted() -> Result<()> {
    let operator = Operator::new().await?;
    let early = operator
        .run(&["test-clock", "create", "--price", "plus_monthly", "--user", "user_1"])
        .await?
        .with(1)?;
    ensure!(
        early
            .said
            .contains("no active price with the lookup key plus_monthly; apply first"),
        "{early:#?}"
    );
    operator.apply().await?;
    let at = "2026-01-31T12:00:00Z";
    let create = [
        "test-clock",
        "create",
        "--test",
        "--price",
        "plus_monthly",
        "--user",
        "user_1",
        "--at",
        at,
    ];
    let made = operator.run(&create).await?.with(0)?;
    let id = |what: &str| {
        let line = made
            .printed
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{what} ")));
        line.map(str::to_owned).with_context(|| format!("no {what}: {made:#?}"))
    };
    let (clock, customer, subscription) = (id("clock")?, id("customer")?, id("subscription")?);
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
        moved.printed.trim() == format!("{clock} stands at 2026-03-04T12:00:00Z"),
        "{moved:#?}"
    );
    ensure!(
        moved.said.contains("advancing to 2026-03-04T12:00:00Z"),
        "no progress: {moved:#?}"
    );
    let back = operator
        .run(&["test-clock", "advance", &clock, "--to", at])
        .await?
        .with(1)?;
    ensure!(back.said.contains("no clock goes back"), "{back:#?}");
    operator
        .run(&["test-clock", "advance", "../account", "--by", "1d"])
        .await?
        .with(1)?;

    operator.run(&["test-clock", "delete", &clock]).await?.with(0)?;
    ensure!(operator.stripe.objects("test_helpers/test_clocks").is_empty());
    ensure!(operator.stripe.objects("subscriptions").is_empty());
    operator.obeys()
}
