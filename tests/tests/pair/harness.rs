//! The harness cleans up after a test.

use lapin::BasicProperties;
use shared::topology::Topology;
use sqlx::{Connection, PgConnection};
use tests::harness::{Queues, Servers, TestEnv};

#[tokio::test]
async fn a_test_leaves_neither_database_nor_queue_behind() -> anyhow::Result<()> {
    let servers = Servers::from_env()?;
    let env = TestEnv::new("harness").await?.with("RETRY_DELAYS", "50ms,100ms");
    let topology = env.topology();
    let queues = env.queues().await?;
    queues.declare_all().await?;
    queues
        .publish(&topology.work(), BasicProperties::default(), b"{}")
        .await?;
    assert_eq!(queues.depth(&topology.work()).await?, 1);
    let name: String = sqlx::query_scalar("SELECT current_database()::text")
        .fetch_one(env.pool())
        .await?;
    drop(env);

    let mut connection = PgConnection::connect(&servers.database_url).await?;
    let databases = sqlx::query("SELECT 1 FROM pg_database WHERE datname = $1").bind(&name);
    assert!(
        databases.fetch_optional(&mut connection).await?.is_none(),
        "{name} is left"
    );
    assert_no_queue_is_left(&queues, &topology).await;
    Ok(())
}

async fn assert_no_queue_is_left(queues: &Queues, topology: &Topology) {
    for (queue, _) in topology.queues() {
        assert!(queues.depth(&queue).await.is_err(), "{queue} is left");
    }
}
