//! The console's share of the database: few connections, short read-only
//! transactions. Reading pages must not slow down the workers.

use super::page_error::PageError;
use crate::store;
use sqlx::{PgConnection, PgPool, Postgres, Transaction};
use std::{
    ops::{Deref, DerefMut},
    sync::Arc,
    time::Duration,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The pool has this many connections more than lanes, watch and readiness need.
const CONNECTIONS_MAX: usize = 2;
const PERMIT_TIMEOUT: Duration = Duration::from_secs(3);

/// The database, as pages may use it.
#[derive(Debug, Clone)]
pub(super) struct PageDatabase {
    pool: PgPool,
    permits: Arc<Semaphore>,
}

/// One page's view of the database. All its reads see the same moment.
#[derive(Debug)]
pub(super) struct PageSnapshot {
    transaction: Transaction<'static, Postgres>,
    _permit: OwnedSemaphorePermit,
}

impl PageDatabase {
    pub(super) fn new(pool: PgPool) -> Self {
        Self {
            pool,
            permits: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
        }
    }

    /// Waits until a connection may be used. The permit is returned when it is dropped.
    pub(super) async fn permit(&self) -> Result<OwnedSemaphorePermit, PageError> {
        let permit = tokio::time::timeout(PERMIT_TIMEOUT, Arc::clone(&self.permits).acquire_owned()).await;
        permit.ok().and_then(Result::ok).ok_or(PageError::Busy)
    }

    /// Waits for a permit, then begins a read-only transaction.
    pub(super) async fn snapshot(&self) -> Result<PageSnapshot, PageError> {
        let permit = self.permit().await?;
        let mut transaction = store::snapshot::begin(&self.pool).await?;
        store::console::limit(&mut transaction).await?;
        Ok(PageSnapshot {
            transaction,
            _permit: permit,
        })
    }
}

impl PageSnapshot {
    /// Ends the transaction and returns the permit.
    pub(super) async fn end(self) -> Result<(), PageError> {
        Ok(self.transaction.commit().await?)
    }
}

impl Deref for PageSnapshot {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.transaction
    }
}

impl DerefMut for PageSnapshot {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }
}
