//! The parts that all lanes share.

use crate::{
    consume::{acks::InFlight, tuning::Tuning, watchdog::Watchdog},
    read::message::EventReader,
};
use shared::{publisher::Publisher, shutdown::CancellationToken, topology::Topology};
use sqlx::PgPool;
use std::{sync::Arc, time::Duration};
use stripe_api::Api;

/// The parts that every lane uses. Each lane has a clone.
#[derive(Debug, Clone)]
pub struct Context {
    /// The database.
    pub pool: PgPool,
    /// Publishes to the retry queues and the dead-letter queue.
    pub publisher: Publisher,
    /// The queues.
    pub topology: Arc<Topology>,
    /// Reads messages, with the catalog.
    pub reader: EventReader,
    /// Sizes of batches, numbers of lanes, and waits.
    pub tuning: Tuning,
    /// The deliveries of all lanes that are not acknowledged yet.
    pub in_flight: InFlight,
    /// Ends the process when a transaction does not end.
    pub watchdog: Watchdog,
    /// How long an event waits for its account while another session locks it.
    pub lock_timeout: Duration,
    /// Stripe's API, if there is a key.
    pub stripe: Option<Api>,
}

/// The two signals that end a lane.
#[derive(Debug, Clone)]
pub(crate) struct Shutdown {
    /// Finish and acknowledge the batch under way, then end.
    pub(crate) stop: CancellationToken,
    /// The connection is lost, so nothing can be acknowledged any more.
    pub(crate) lost: CancellationToken,
}
