//! Usage that an application reported.

use crate::domain::{fact::Seconds, ids::UserId};

/// One report of usage. The catalog's weights are already applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// The report's source and id. A report that is sent twice has the same key.
    pub key: String,
    /// The user who used the units.
    pub user: UserId,
    /// The meter that counts them.
    pub meter: String,
    /// Units; not below zero.
    pub amount: i64,
    /// When they were used.
    pub time: Seconds,
}
