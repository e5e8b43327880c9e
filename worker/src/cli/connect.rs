//! The connections that commands use.

use crate::{
    dead_letters::tools::MoveTools,
    store::{
        pool::{self, NotReady},
        settings::Database,
    },
};
use shared::{broker::Broker, settings::Settings, topology::Topology, work_queue};
use sqlx::PgPool;

/// A database to read and write.
pub(super) async fn database(settings: &Settings) -> anyhow::Result<PgPool> {
    let database = pool::open(&Database::from_settings(settings)?)?;
    pool::ready(&database).await?;
    Ok(database)
}

/// A database to read from. It may be a standby.
pub(super) async fn database_to_read(settings: &Settings) -> anyhow::Result<PgPool> {
    let database = pool::open(&Database::from_settings(settings)?)?;
    match pool::ready(&database).await {
        Ok(()) | Err(NotReady::ReadOnly) => Ok(database),
        Err(error) => Err(error.into()),
    }
}

/// Runs `work` with a database, and a publisher that is closed afterwards.
pub(super) async fn with_tools<T>(
    settings: &Settings,
    work: impl AsyncFnOnce(MoveTools) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let broker = Broker::from_settings(settings, "tollbridge operator")?;
    let topology = Topology::from_settings(settings)?;
    let pool = database(settings).await?;
    let tools = |publisher| MoveTools {
        pool,
        broker: broker.clone(),
        topology: topology.clone(),
        publisher,
    };
    work_queue::with_publisher(broker.clone(), topology.clone(), async |publisher| {
        work(tools(publisher)).await
    })
    .await
}
