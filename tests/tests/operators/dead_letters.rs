//! Dead letters as an operator lists them, and how one is applied after all.

use anyhow::{Result, ensure};
use std::time::Duration;
use tests::crowd::{all_applied, newcomers};
use tests::fixtures::price;
use tests::harness::{Pair, Setup, TestEnv, eventually};
use tests::test_catalog::{TestCatalog, restart, unknown_price};

const DEADLINE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn an_operator_lists_dead_letters_oldest_first_by_type_reason_and_number() -> Result<()> {
    let env = TestEnv::new("poison_list").await?;
    let pair = Pair::start(&env, Setup::default()).await?;
    ensure!(pair.operate(&["dead-letters", "list"]).await? == "No dead letters.\n");
    let mut events = vec![newcomers(env.namespace(), 1)[0].clone(); 3];
    for (number, event) in events.iter_mut().enumerate() {
        event.body = event
            .body
            .replace(&event.id, &format!("evt_{number}"))
            .replace("\"status\": \"active\"", "\"status\": []");
        event.id = format!("evt_{number}");
    }
    events.push(unknown_price(env.namespace()));
    // One after the other, so that their times differ as their places do.
    for (number, event) in events.iter().enumerate() {
        pair.client.post_event(event).await?.accepted()?;
        eventually(DEADLINE, "it is dead", async || {
            ensure!(pair.dead_letters(&[]).await?.len() == number + 1);
            Ok(())
        })
        .await;
    }
    let listed = async |arguments: &[&str]| -> Result<Vec<String>> {
        let letters = pair.dead_letters(arguments).await?;
        Ok(letters
            .iter()
            .filter_map(|letter| Some(letter["id"].as_str()?.to_owned()))
            .collect())
    };
    let price = events[3].id.as_str();
    for (arguments, expected) in [
        (&[][..], &["evt_0", "evt_1", "evt_2", price][..]),
        (&["--limit", "2"], &["evt_0", "evt_1"]),
        (&["--reason", "malformed"], &["evt_0", "evt_1", "evt_2"]),
        (&["--reason", "unknown_price"], &[price]),
        (&["--type", "customer.subscription.created", "--limit", "1"], &["evt_0"]),
        (&["--type", "invoice.paid"], &[]),
    ] {
        let ids = listed(arguments).await?;
        ensure!(ids == expected, "{arguments:?}: {ids:?}");
    }
    let table = pair.operate(&["dead-letters", "list"]).await?;
    let lines: Vec<&str> = table.lines().collect();
    ensure!(
        lines.len() == 5 && lines[0].starts_with("ID ") && lines[4].starts_with(price),
        "{table}"
    );
    ensure!(
        lines[4].contains("unknown_price") && lines[4].contains("catalog"),
        "{table}"
    );
    Ok(())
}

#[tokio::test]
async fn an_event_with_an_unknown_price_is_applied_once_the_catalog_has_the_price() -> Result<()> {
    let shop = TestCatalog::new("poison_price")?;
    let env = TestEnv::new("poison_price").await?.with("CATALOG_FILE", &shop.path());
    let mut pair = Pair::start(&env, Setup::default()).await?;
    let event = unknown_price(env.namespace());
    pair.client.post_event(&event).await?.accepted()?;
    eventually(DEADLINE, "it is dead", async || {
        ensure!(pair.dead_letters(&[]).await?.len() == 1);
        Ok(())
    })
    .await;

    shop.add_price(price::UNKNOWN.lookup_key)?;
    restart(&mut pair).await?;
    pair.client.post_event(&event).await?.accepted()?;
    all_applied(env.pool(), &[event.id], DEADLINE).await?;
    ensure!(pair.dead_letters(&[]).await?.is_empty(), "still listed");
    Ok(())
}
