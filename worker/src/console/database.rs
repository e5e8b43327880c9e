//! The console's share of the database: little of it, for a short time, and to
//! read alone. Nobody who looks may slow down the workers.

use super::problem::Problem;
use crate::store;
use sqlx::{PgConnection, PgPool, Postgres, Transaction};
use std::{
    ops::{Deref, DerefMut},
    sync::Arc,
    time::Duration,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The pool has as many connections more than lanes, the watch and readiness need.
const CONNECTIONS_MOST: usize = 2;
const TURN_TIMEOUT: Duration = Duration::from_secs(3);

/// Reads for pages.
#[derive(Debug, Clone)]
pub(super) struct Reader {
    pool: PgPool,
    share: Arc<Semaphore>,
}

/// One page's look at the database, all of one moment.
#[derive(Debug)]
pub(super) struct Look {
    transaction: Transaction<'static, Postgres>,
    _turn: OwnedSemaphorePermit,
}

impl Reader {
    pub(super) fn new(pool: PgPool) -> Self {
        Self {
            pool,
            share: Arc::new(Semaphore::new(CONNECTIONS_MOST)),
        }
    }

    /// Waits for a turn to use the database; it lasts as long as what is returned.
    pub(super) async fn turn(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let turn = tokio::time::timeout(TURN_TIMEOUT, Arc::clone(&self.share).acquire_owned()).await;
        turn.ok().and_then(Result::ok).ok_or(Problem::Busy)
    }

    /// Begins a look, when it is its turn.
    pub(super) async fn look(&self) -> Result<Look, Problem> {
        let turn = self.turn().await?;
        let mut transaction = store::snapshot::begin(&self.pool).await?;
        store::console::limit(&mut transaction).await?;
        Ok(Look {
            transaction,
            _turn: turn,
        })
    }
}

impl Look {
    /// Ends it; what was read is not needed any more by the database.
    pub(super) async fn end(self) -> Result<(), Problem> {
        Ok(self.transaction.commit().await?)
    }
}

impl Deref for Look {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.transaction
    }
}

impl DerefMut for Look {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }
}
