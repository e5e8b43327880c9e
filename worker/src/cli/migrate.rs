//! `worker migrate`.

use crate::{
    apply::transaction,
    config::ConfigError,
    store::{catalog, pool, settings::Database},
};
use anyhow::Context;
use shared::{catalog::Catalog, settings::Settings};
use std::time::Duration;

/// Migrates the schema, writes the catalog's tiers, and folds states of older
/// versions again.
pub(super) async fn migrate(settings: &Settings) -> anyhow::Result<()> {
    let catalog = Catalog::from_settings(settings).map_err(ConfigError::from)?;
    // A migration may take long, and other replicas wait for its end.
    let without_timeouts = Database {
        statement_timeout: Duration::ZERO,
        lock_timeout: Duration::ZERO,
        ..Database::from_settings(settings)?
    };
    let database = pool::open(&without_timeouts)?;
    pool::migrate(&database).await.context("cannot migrate the database")?;
    catalog::write_tiers(&mut *database.acquire().await?, catalog.tiers())
        .await
        .context("cannot write the catalog's tiers")?;
    let accounts = transaction::refold_outdated(&database)
        .await
        .context("cannot fold the states of an older version again")?;
    tracing::info!(accounts, "the schema is up to date");
    Ok(())
}
