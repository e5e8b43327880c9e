//! The connections that a replay or a discard needs.

use shared::{broker::Broker, publisher::Publisher, topology::Topology};
use sqlx::PgPool;

/// The connections that a replay or a discard needs.
#[derive(Debug, Clone)]
pub struct MoveTools {
    /// The database with the record of dead letters.
    pub pool: PgPool,
    /// The broker that has the dead-letter queue.
    pub broker: Broker,
    /// The names of the queues.
    pub topology: Topology,
    /// Publishes to the work queue.
    pub publisher: Publisher,
}
