//! Usage that an application reported.

use crate::domain::{fact::Seconds, ids::UserId};

/// One report of usage, weighted by the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// Its source and id; one per report, however often it comes.
    pub key: String,
    /// Whose.
    pub user: UserId,
    /// Of which meter.
    pub meter: String,
    /// Units; not below zero.
    pub amount: i64,
    /// When it was used.
    pub time: Seconds,
}
