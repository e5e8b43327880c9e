//! What all lanes share.

use crate::{
    consume::{acks::InFlight, tuning::Tuning, watchdog::Watchdog},
    read::prepared::EventReader,
};
use shared::{publisher::Publisher, shutdown::CancellationToken, topology::Topology};
use sqlx::PgPool;
use std::{sync::Arc, time::Duration};
use stripe_api::Api;

/// What every lane works with.
#[derive(Debug, Clone)]
pub struct Context {
    /// The database.
    pub pool: PgPool,
    /// Publishes to retry and dead-letter queues.
    pub publisher: Publisher,
    /// The queues.
    pub topology: Arc<Topology>,
    /// Reads deliveries, by the catalog.
    pub reader: EventReader,
    /// How deliveries are gathered.
    pub tuning: Tuning,
    /// The deliveries of all lanes that are not acknowledged.
    pub in_flight: InFlight,
    /// Ends the process when a transaction does not end.
    pub watchdog: Watchdog,
    /// How long an event waits for its account while another session locks it.
    pub lock_timeout: Duration,
    /// Stripe's API, if there is a key.
    pub stripe: Option<Api>,
}

/// The two ways in which a lane ends.
#[derive(Debug, Clone)]
pub(crate) struct Shutdown {
    /// No more deliveries: the batch under way is finished and acknowledged.
    pub(crate) stop: CancellationToken,
    /// The connection is gone: nothing can be acknowledged any more.
    pub(crate) lost: CancellationToken,
}
