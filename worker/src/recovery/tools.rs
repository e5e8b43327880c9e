//! What all parts of recovery need.

use super::error::RecoveryError;
use crate::read::message::EventReader;
use shared::{shutdown::CancellationToken, work_queue::WorkQueue};
use sqlx::PgPool;
use stripe_api::Api;

/// What all parts of recovery need.
#[derive(Debug, Clone)]
pub struct RecoveryTools {
    /// Stripe's API.
    pub api: Api,
    /// The database.
    pub pool: PgPool,
    /// Reads what Stripe shows of a subscription.
    pub reader: EventReader,
    /// Where missed events and snapshots go. `None`: they are only counted and shown.
    pub work_queue: Option<WorkQueue>,
    /// Cancelled when it is time to stop.
    pub stop: CancellationToken,
}

impl RecoveryTools {
    /// Fails when it is time to stop.
    pub(super) fn check_stop(&self) -> Result<(), RecoveryError> {
        if self.stop.is_cancelled() {
            return Err(RecoveryError::Stopped);
        }
        Ok(())
    }
}
