//! The story, with real processes on real servers, in the event shapes of each API version.

use serde_json::Value;
use tests::fixtures::ApiVersion;
use tests::harness::{Pair, Setup, TestEnv, unix_now};
use tests::runner::run_step;
use tests::scenario::Scenario;

#[tokio::test]
async fn the_story_in_the_shapes_of_2020_08_27_leads_to_the_promised_rows() -> anyhow::Result<()> {
    tell(ApiVersion::V2020).await
}

#[tokio::test]
async fn the_story_in_the_shapes_of_2024_06_20_leads_to_the_promised_rows() -> anyhow::Result<()> {
    tell(ApiVersion::V2024).await
}

#[tokio::test]
async fn the_story_in_the_shapes_of_2025_03_31_leads_to_the_promised_rows() -> anyhow::Result<()> {
    tell(ApiVersion::Basil).await
}

#[tokio::test]
async fn the_story_in_the_shapes_of_2026_09_30_leads_to_the_promised_rows() -> anyhow::Result<()> {
    tell(ApiVersion::Y2026).await
}

async fn tell(version: ApiVersion) -> anyhow::Result<()> {
    let env = TestEnv::new(&format!("story_{}", version.date().replace('-', "_"))).await?;
    let pair = Pair::start(&env, Setup::default()).await?;
    let story = Scenario::new(version, env.namespace(), unix_now());
    for step in &story.steps {
        if let Err(error) = run_step(&pair, env.pool(), step).await {
            panic!("{version}, {}: {error:#}", step.title);
        }
    }

    let listed: Value = serde_json::from_str(&pair.operate(&["dead-letters", "list", "--json"]).await?)?;
    let listed = listed.as_array().map(Vec::len);
    assert_eq!(listed, Some(story.dead().count()), "each poison event is dead once");
    let dead = env.queues().await?.depth(&env.topology().dead()).await?;
    assert_eq!(usize::try_from(dead)?, story.dead().count(), "and once in the queue");
    Ok(())
}

/// What differs between the versions is the shape of the events, not what they say.
#[test]
fn the_story_promises_the_same_rows_in_every_version_but_for_ids() {
    let rows = |version| {
        let story = Scenario::new(version, "rows", 1_800_000_000);
        let rows = story.steps.into_iter().map(|step| {
            let mut row = step.expected_row;
            row.stripe_customer_id = None;
            row.stripe_subscription_id = None;
            (step.title, row)
        });
        rows.collect::<Vec<_>>()
    };
    for version in ApiVersion::ALL {
        assert_eq!(rows(version), rows(ApiVersion::V2020), "{version}");
    }
}
