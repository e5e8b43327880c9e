//! Usage reports.

use super::Meter;

/// A usage report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// The user's id.
    pub user_id: String,
    /// The report's id.
    pub id: String,
    /// When it was used (Unix time).
    pub at: i64,
    /// The meter.
    pub meter: Meter,
    /// Units.
    pub amount: i64,
}
